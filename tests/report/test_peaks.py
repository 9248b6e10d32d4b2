"""LR by LR: differences from the reference at each peak LR, ranks among what was tried there, and flips."""

import csv
import io

import pytest

from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.report.sections import peaks
from tests.analysis.rows import ledger, task

FEW = ("constant", "step", "cosine")
LEADS = {("cosine", 0.03): 0.02, ("cosine", 0.3): -0.01, ("step", 0.03): 0.005, ("step", 0.3): 0.005}


def outcome(name, strategy, budget, peak_lr, seed):
    if (strategy, peak_lr, seed) == ("step", 0.1, 1):
        return None
    final = 0.9 + 0.01 * seed + LEADS.get((strategy, peak_lr), 0.0)
    return 0.5, final, final


@pytest.fixture(scope="module")
def comparison():
    return Comparison(Study.of(ledger({"digits": task(FEW, (0.5, 1.0))}, outcome, tied=())))


def test_a_flip_of_the_order_stands_in_a_sentence(comparison):
    entries = peaks.entries(comparison, "digits", 1.0)
    assert entries["cosine", 0.3].rank == 3
    assert entries["step", 0.1].diverged == 1
    (sentence,) = peaks.flips(comparison, "digits")
    assert "cosine (+0.02000 at 0.03, −0.01000 at 0.3); clearly so, at both, 1 of them" in sentence
    assert "step" not in sentence


def test_the_csv_has_every_peak_lr_of_every_budget(comparison):
    lines = list(csv.DictReader(io.StringIO(peaks.peaks_csv(comparison))))
    assert len(lines) == 2 * 3 * 3
    line = next(x for x in lines if (x["strategy"], x["peak_lr"], x["budget"]) == ("cosine", "0.03", "1.0"))
    assert float(line["mean"]) == pytest.approx(0.93)
    assert float(line["over_reference"]) == pytest.approx(0.02)
    assert (line["n"], line["diverged"], line["rank"]) == ("3", "0", "1.0")


def test_another_optimizers_peak_lrs_are_not_held_against_the_references():
    rows = ledger({"digits": task(FEW, (1.0,))}, outcome, tied=())
    for row in rows:
        if row.kind == "cell" and row.payload["schedule"] == "cosine":
            row.payload["optimizer"] = "adamw"
    comparison = Comparison(Study.of(rows))
    compared = {s for (s, _), entry in peaks.entries(comparison, "digits", 1.0).items() if entry.over}
    assert compared == {"step"}
    entry = peaks.entries(comparison, "digits", 1.0)["cosine with adamw", 0.03]
    assert (entry.rank, entry.over) == (None, None)
    assert entry.final.mean == pytest.approx(0.93)


def test_without_a_reference_nothing_flips():
    comparison = Comparison(Study.of(ledger({"digits": task(("step", "cosine"), (1.0,))}, tied=())))
    assert all(entry.over is None for entry in peaks.entries(comparison, "digits", 1.0).values())
    assert list(peaks.flips(comparison, "digits")) == []

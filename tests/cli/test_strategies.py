"""A strategy is a schedule, an optimizer and an averaging: all three are listed, and chosen on the command line."""

import pytest

from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.cli import main
from bench.contract import InputError
from bench.report import tables
from bench.runner.config import RunConfig, prepare
from bench.strategies import averagings, optimizers
from tests.analysis.rows import ledger, task

FEW = {"suite": "smoke", "tasks": "digits", "schedules": "constant", "budgets": (0.5,), "seeds": 1}


@pytest.mark.parametrize("catalogue", [optimizers, averagings], ids=["optimizers", "averagings"])
def test_a_catalogue_is_listed_with_its_settings(catalogue, capsys):
    kind = catalogue.__name__.rpartition(".")[2]
    assert main.main(["list", kind]) == 0
    listed = capsys.readouterr().out
    for name in catalogue.CATALOGUE:
        assert f"{name}(" in listed


def test_optimizers_and_averagings_are_crossed_with_everything_else():
    config = RunConfig(**FEW, optimizers="sgd, adamw(beta2=0.98)", averagings="none, ema", peak_lrs=(0.01, 0.03))
    cells = prepare(config).plan.cells
    assert {(c.optimizer, c.averaging) for c in cells} == {
        (optimizer, averaging)
        for optimizer in ("sgd(momentum=0.9)", "adamw(beta2=0.98)")
        for averaging in ("none", "ema(decay=0.99)")
    }
    assert len(cells) == 2 * 2 * 2


def test_the_same_optimizer_twice_is_one():
    config = RunConfig(**FEW, optimizers="sgd, sgd(momentum=0.9)")
    assert [c.optimizer for c in prepare(config).plan.cells] == ["sgd(momentum=0.9)"] * 5


def test_another_optimizer_needs_peak_lrs_of_its_own():
    with pytest.raises(
        InputError, match=r"^adamw on digits: its peak LRs are for sgd\(momentum=0.9\); give --peak-lrs$"
    ):
        prepare(RunConfig(**FEW, optimizers="adamw"))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"optimizers": "sdg"}, "unknown optimizer 'sdg'"),
        ({"averagings": "emma"}, "unknown averaging 'emma'"),
        ({"averagings": "ema(decay=2)"}, "decay is a number from 0 to below 1"),
    ],
)
def test_unknown_ones_are_refused(changes, line):
    with pytest.raises(InputError, match=line):
        prepare(RunConfig(**FEW, **changes))


def test_other_metrics_of_a_task_stand_in_its_readings():
    rows = ledger({"digits": task(("constant", "cosine"), (1.0,))})
    for row in rows:
        if row.kind == "cell":
            row.payload["final"]["top5"] = 0.5 + row.payload["seed"] / 10
    comparison = Comparison(Study.of(rows))
    table = tables.readings(comparison, "digits")
    assert table.head[:3] == ("strategy", "final", "final top5")
    assert all(row[2].text.startswith("0.6") for row in table.rows)

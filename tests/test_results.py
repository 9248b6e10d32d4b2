"""Published results under `results/` match the current code."""

import pytest

from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.ledger import ledger, paths
from bench.report import csv_tables
from bench.runner.config import RunConfig, prepare
from tests.runs import ROOT

CORE = ROOT / "results" / "core"


RUNS = sorted(book.parent.name for book in (ROOT / "results").glob("*/ledger"))


@pytest.fixture(scope="module", params=RUNS)
def run(request):
    """(folder, its rows) of each published run."""
    folder = ROOT / "results" / request.param
    return folder, ledger.read(folder)


def test_core_is_the_suite_as_it_is_planned_now():
    plan, rows = prepare(RunConfig(suite="core")).plan, ledger.read(CORE)
    assert {r.key for r in rows if r.kind == "plan"} == {plan.id}
    assert sorted(r.key for r in rows if r.kind == "cell") == sorted(c.id for c in plan.cells)


def test_the_table_is_what_the_ledger_says(run):
    folder, rows = run
    table = csv_tables.table_csv(Comparison(Study.of(rows)))
    assert table.splitlines() == (folder / "table.csv").read_text(encoding="utf-8").splitlines()


def test_the_ledger_stays_small_and_was_made_from_a_clean_checkout(run):
    folder, rows = run
    assert sum(part.stat().st_size for part in paths.parts(folder)) < 5e6
    assert not any(r.payload["dirty"] for r in rows if r.kind == "attempt")

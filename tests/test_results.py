"""What is published under `results/` is of the code as it stands."""

import pytest

from bench.evidence import columns
from bench.evidence.compare import Comparison
from bench.evidence.study import Study
from bench.order import Order, prepare
from bench.record import ledger
from tests.runs import ROOT

CORE = ROOT / "results" / "core"


@pytest.fixture(scope="module")
def rows():
    return ledger.read(CORE)


def test_core_is_the_suite_as_it_is_planned_now(rows):
    plan = prepare(Order(suite="core")).plan
    assert {r["key"] for r in rows if r["kind"] == "plan"} == {plan.id}
    assert sorted(r["key"] for r in rows if r["kind"] == "cell") == sorted(c.id for c in plan.cells)


def test_its_table_is_what_the_ledger_says(rows):
    made = columns.table_csv(Comparison(Study.of(rows)))
    assert made.splitlines() == (CORE / "table.csv").read_text(encoding="utf-8").splitlines()


def test_its_ledger_stays_small_and_was_made_from_a_clean_checkout(rows):
    assert sum(part.stat().st_size for part in ledger.parts(CORE)) < 5e6
    assert not any(r["payload"]["dirty"] for r in rows if r["kind"] == "attempt")

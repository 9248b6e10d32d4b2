"""A cell whose schedule fails in the middle fails alone: its row says so, and no neighbour changes by a bit."""

import pytest

from bench.contract import Setting
from bench.ledger import ledger
from bench.runner.config import RunConfig, prepare
from bench.runner.worker import WorkerContext, build_engine
from bench.train.io import GO, STOP, TrainingIO
from bench.train.loop import Training
from tests.runs import attempt

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = "constant, linear, cosine"


class Failing:
    """A schedule that stays with another until it fails."""

    def __init__(self, like, at, answer, peak_lrs=(0.1,)):
        self.text, self.needs, self.horizon = like.text, like.needs, like.horizon
        self.like, self.at, self.answer, self.peak_lrs = like, at, answer, peak_lrs

    def init(self):
        return self.like.init()

    def __call__(self, state, clock, seen):
        if clock.step >= self.at and clock.peak_lr in self.peak_lrs:
            if self.answer is None:
                raise ZeroDivisionError(f"of {self!r} by nothing")
            return Setting(self.answer), state
        return self.like(state, clock, seen)


@pytest.fixture(params=["modules", "stacked"])
def prepared(request):
    order = RunConfig(
        suite="smoke", tasks="quadratic", schedules=TEXTS, seeds=1, budgets=(0.05, 0.1), peak_lrs=(0.05, 0.1)
    )
    return prepare(RunConfig(**{**vars(order), "engine": request.param}))


def trained(prepared, out, schedules, stops=()):
    """Payload of each cell, its place aside, by (schedule, peak LR, total); stopped and resumed before those steps."""
    (cohort,) = prepared.plan.cohorts
    task, left = prepared.tasks[cohort.task], set(stops)

    def verdict(step):
        stop = step in left
        left.discard(step)
        return STOP if stop else GO

    ended = False
    while not ended:
        book = ledger.Ledger(out, attempt())
        feed, engine = build_engine(cohort, task, WorkerContext(out, "test"))
        ended = Training(cohort, task, schedules, engine, feed, TrainingIO(out, book, verdict)).run()
        book.close()
    assert not left
    cells = [row.payload for row in ledger.read(out, kinds=("cell",))]
    return {(c["schedule"], c["peak_lr"], c["total"]): {k: v for k, v in c.items() if k != "segment"} for c in cells}


@pytest.mark.parametrize("text", ["constant", "cosine"])
@pytest.mark.parametrize("answer", [None, float("nan"), -1.0])
def test_one_cell_fails_alone(prepared, tmp_path, text, answer):
    calm = trained(prepared, tmp_path / "calm", prepared.schedules)
    (name,) = (known for known in prepared.schedules if known.startswith(text))
    wild = prepared.schedules | {name: Failing(prepared.schedules[name], 3, answer)}
    seen = trained(prepared, tmp_path / "wild", wild)
    assert seen.keys() == calm.keys()
    lost = {key for key, cell in seen.items() if cell["status"] == "failed"}
    assert lost == {key for key in calm if key[:2] == (name, 0.1)}
    assert {seen[key]["failed_step"] for key in lost} == {3}
    error = "ZeroDivisionError: of <" if answer is None else f"InputError: the factor {answer}"
    assert all(seen[key]["error"].startswith(error) for key in lost)
    assert {key: seen[key] for key in seen.keys() - lost} == {key: calm[key] for key in calm.keys() - lost}


def test_resuming_knows_what_has_failed(prepared, tmp_path):
    (name,) = (known for known in prepared.schedules if known.startswith("linear"))
    wild = prepared.schedules | {name: Failing(prepared.schedules[name], 3, None)}
    whole = trained(prepared, tmp_path / "whole", wild)
    assert trained(prepared, tmp_path / "parts", wild, stops=(3, 4, 5)) == whole


def test_a_cohort_of_nothing_but_failures_ends(prepared, tmp_path):
    wild = {name: Failing(it, 0, None, (0.05, 0.1)) for name, it in prepared.schedules.items()}
    seen = trained(prepared, tmp_path, wild)
    assert len(seen) == len(prepared.plan.cells)
    assert {cell["status"] for cell in seen.values()} == {"failed"}
    (row,) = ledger.read(tmp_path, kinds=("cohort",))
    assert row.payload["cells"] == len(seen)

"""A small run in this process, with its weights kept."""

from bench.ledger.lines import LedgerReader, row_of
from bench.preempt import Flag
from bench.runner import kept_weights
from bench.runner.config import RunConfig, prepare
from bench.runner.run_dir import KINDS, open_run_dir
from bench.runner.worker import WorkerContext, train


def run(out, keep="best", **settings):
    """Train a suite into `out`; the line that says what is kept."""
    prepared = prepare(RunConfig(out=out, keep=keep, **settings))
    context = WorkerContext(out, prepared.plan.id, keep=keep != "none")
    open_run_dir(LedgerReader(out, row_of(KINDS)), prepared, context)
    book = context.ledger()
    for cohort in prepared.plan.cohorts:
        assert train(cohort, context, book, Flag(), lambda *_: None) == "done"
    book.close()
    return kept_weights.settle(out, keep)


DIGITS = {
    "tasks": "digits(model='cnn')",
    "schedules": "constant, cosine",
    "averagings": "none, ema",
    "budgets": (0.02, 0.04),
    "peak_lrs": (0.02, 0.05),
    "seeds": 2,
}

"""Evaluations for synthetic ledgers: each cell's member alone, from a rule that says what its training was like."""

from bench.ledger.rows import EvalRow
from tests.analysis.rows import row


def with_evaluations(rows, grid, course):
    """`rows` and, for every finished cell, evaluations every `grid` updates and at its end.

    `course(cell, progress)` is (training loss, gradient norm, test loss) after a share of the budget.
    """
    cells = [r.payload for r in rows if r.kind == "cell" and r.payload["status"] == "done"]
    made = {}
    for cell in cells:
        for step in sorted({*range(grid, cell["total"], grid), cell["total"]}):
            it = evaluation(cell["cohort"], cell["segment"], step, *course(cell, step / cell["total"]))
            made[f"{cell['cohort']}/{cell['segment']}/{step}"] = it
    return [*rows, *(row("eval", key, it.payload()) for key, it in made.items())]


def evaluation(cohort, segment, step, train_loss, grad_norm, test_loss, *, lr=0.1, parent=None, start=0, **more):
    """One evaluation of a member."""
    facts = {
        "cohort": cohort,
        "segment": segment,
        "parent": parent,
        "start": start,
        "step": step,
        "lr": lr,
        "train_loss": train_loss,
        "grad_norm": grad_norm,
        "test_loss": test_loss,
        "test": 1 / (1 + test_loss),
    }
    return EvalRow.read(facts | more)

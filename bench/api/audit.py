"""`bench.audit`: LR, loss and result of anybody's training loop, as a run in a ledger."""

from __future__ import annotations

import math
import operator
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np

from bench.api import audit_rows
from bench.api.audit_rows import AuditedRun
from bench.contract import Direction, InputError
from bench.ledger import paths, trace
from bench.ledger.cell_row import Diverged, Done, Result
from bench.ledger.rows import AUDIT
from bench.metrics import METRICS

TOLERANCE = 1e-5
"""Largest difference between a logged LR and its schedule's, as a share of the peak: LRs may be float32."""

PREFIX = f"{AUDIT}:"
"""Begins the names of audited tasks, so that no table takes them for tasks that Glideslope trains."""


class Audit:
    """A run of a training loop, in the making. `bench.audit` makes one.

    Attributes:
        directory: The folder whose ledger gets the run.
        run: Its settings; `run.task` is the task's name in every table, and `run.total` the number of updates.
    """

    def __init__(self, directory: Path, run: AuditedRun):
        self.directory, self.run = directory, run
        self.ended = False
        self._steps: list[tuple[int, float, float, float]] = []  # update, LR, loss, gradient norm
        audit_rows.declare(directory, run)

    def __call__(self, step: int, *, lr: float, loss: float, grad_norm: float = math.nan) -> None:
        """Log an update. Updates may be left out, at equal distances, as a Trainer does.

        Args:
            step: The update's number, from 0 on.
            lr: The LR that it ran at, so read before `scheduler.step()`.
            loss: Training loss of its batch; NaN or infinite where it overflowed.
            grad_norm: Euclidean norm of its gradient before clipping, if known.

        Raises:
            InputError: a step out of range or out of order, an LR below 0, or one that the strategy does not have.
        """
        if self.ended:
            raise InputError(f"log({step}) after final(...): {self.run.task} has ended")
        last = self._steps[-1][0] if self._steps else -1
        at = operator.index(step)
        if not last < at < self.run.total:
            raise InputError(f"log({step}): the next update is one of {last + 1} to {self.run.total - 1}")
        if not (math.isfinite(lr) and lr >= 0):
            raise InputError(f"log({step}, lr={float(lr):g}): give a finite LR, 0 or more")
        self._check(at, float(lr))
        self._steps.append((at, float(lr), float(loss), float(grad_norm)))

    def _check(self, step: int, lr: float) -> None:
        """Compare an LR with that of an open-loop schedule."""
        run = self.run
        if run.settings is None:
            return
        should = run.peak_lr * run.settings[step].factor
        if abs(lr - should) > TOLERANCE * run.peak_lr:
            raise InputError(
                f"update {step} ran at LR {lr:.6g}, and {run.strategy} has {should:.6g} there: is the LR read before "
                "scheduler.step(), and the scheduler stepped once an update? check=False records it under any name"
            )

    def final(self, *, control: float | None = None, **scores: float) -> None:
        """End the run with its scores after the last update, and write its row.

        Args:
            control: The metric on data that is not reported, by which peak LRs are chosen; by default on the same.
            scores: The metric, and any other scores, by name; NaN or infinite if the run diverged.

        Raises:
            InputError: a second call, no update logged or not the last one, or the metric is missing.
        """
        run = self.run
        if self.ended:
            raise InputError(f"a second final(...): {run.task} has ended")
        if not self._steps:
            raise InputError("final(...) before any update was logged: log(step, lr=..., loss=...) first")
        values = audit_rows.scores(run, scores)
        steps = [-1, *(step for step, *_ in self._steps)]
        longest = max(b - a for a, b in pairwise(steps))
        if run.total - steps[-1] > longest and math.isfinite(values[run.metric]):
            raise InputError(
                f"final(...) after update {steps[-1]} of 0 to {run.total - 1}: one that stops early has another budget"
            )
        choices = {run.metric: values[run.metric] if control is None else float(control)}
        if all(map(math.isfinite, (values[run.metric], *choices.values()))):
            self._write(Done(final=values, best=None, control=choices, recalibrated=None))
        else:
            self._write(self._diverged())

    def _diverged(self) -> Diverged:
        return Diverged(first_bad_step=next((s for s, _, loss, _ in self._steps if not math.isfinite(loss)), None))

    def _write(self, result: Result) -> None:
        columns = [np.asarray(column) for column in zip(*self._steps, strict=True)]
        trace.write(paths.trace(self.directory, self.run.id), [(np.zeros(len(self._steps)), *columns)])
        audit_rows.record(self.directory, self.run, result)
        self.ended = True

    def __enter__(self) -> Audit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Record a run that ends without scores as diverged if a loss overflowed; refuse it otherwise.

        Raises:
            InputError: the loop ended without `final`.
        """
        if self.ended or error is not None:
            return
        if self._diverged().first_bad_step is None:
            raise InputError(
                f"the audit of {self.run.task} ended without final({self.run.metric}=...): its cell stays missing in "
                f"{self.directory}"
            )
        self._write(self._diverged())


def audit(
    directory: str | Path,
    *,
    task: str,
    strategy: str,
    peak_lr: float,
    seed: int,
    epochs: float,
    epoch_steps: int,
    metric: str,
    budget: float = 1.0,
    direction: Direction | None = None,
    optimizer: str = "not told",
    weight_decay: float | None = None,
    reference: str = "constant",
    margin: float | None = None,
    test_size: int | None = None,
    check: bool = True,
) -> Audit:
    """Record a training loop of one's own, so that `report`, `compare` and `recommend` work on it.

        with bench.audit("runs/mine", task="birds", strategy="cosine", peak_lr=0.1, seed=0,
                         epochs=30, epoch_steps=len(loader), metric="accuracy") as log:
            for step in range(log.run.total):
                ...
                log(step, lr=optimizer.param_groups[0]["lr"], loss=loss.item())
                scheduler.step()
            log.final(accuracy=0.93)

    The run is declared here, and its row is written by `final`; in between nothing is. In tables, the task is
    `audit:birds`: such cells are never in one ledger or one comparison with those that Glideslope trained. Of several
    processes, one audits.

    Args:
        directory: Folder of the ledger, for audited runs alone; many runs go into one.
        task: Name of the problem: model, data and batch size. What differs in these is another task.
        strategy: A schedule, such as `warmup(cosine, epochs=1)`; each logged LR is checked against it.
        peak_lr: The LR that factor 1 of the schedule stands for.
        seed: Of initial weights and batches; runs of equal seed are paired.
        epochs: The task's full budget.
        epoch_steps: Updates per epoch.
        metric: Name of the score that decides, on test.
        budget: Fraction of `epochs` that this run trains.
        direction: "max" or "min"; may be left out for accuracy, loss and the other metrics of Glideslope.
        optimizer: Any name.
        weight_decay: If there is any.
        reference: The strategy that the others are compared with.
        margin: The smallest difference of the metric that is worth having.
        test_size: Number of test examples, for the resolution of an accuracy.
        check: Compare logged LRs with the schedule; False takes any name as the strategy.

    Raises:
        InputError: a setting is wrong, or the folder holds this run, other facts of its task, or trained cells.
    """
    _check_numbers(peak_lr=peak_lr, epochs=epochs, epoch_steps=epoch_steps, budget=budget, margin=margin)
    _check_names(task, seed)
    text, schedule = audit_rows.canonical(strategy, check)
    run = AuditedRun(
        task=PREFIX + task.removeprefix(PREFIX),
        strategy=text,
        schedule=schedule,
        peak_lr=float(peak_lr),
        seed=int(seed),
        epochs=float(epochs),
        epoch_steps=int(epoch_steps),
        budget=float(budget),
        metric=metric,
        direction=_direction(metric, direction),
        optimizer=optimizer,
        weight_decay=weight_decay,
        reference=audit_rows.canonical(reference, check)[0],
        margin=margin,
        test_size=test_size,
    )
    return Audit(Path(directory), run)


def _direction(metric: str, direction: str | None) -> Direction:
    """The direction of a metric: that of our list, or as given for another one."""
    usual = METRICS[metric].direction if metric in METRICS else None
    if usual is not None and direction in (None, usual):
        return usual
    if usual is None and direction in ("max", "min"):
        return direction  # type: ignore[return-value]  # one of the two
    allowed = f"{usual!r} or none" if usual else "'max' or 'min', for this metric is none of ours"
    raise InputError(f"direction {direction!r} of {metric}: give {allowed}")


def _check_names(task: str, seed: int) -> None:
    """Refuse a task without a name of one line, and a seed that is no whole number."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed {seed!r}: give a whole number, 0 or more")
    if not task.strip() or "\n" in task:
        raise InputError(f"task {task!r}: give a name of one line")


def _check_numbers(**values: float | None) -> None:
    """Refuse settings that are not finite numbers above 0; None is no setting."""
    for name, value in values.items():
        numeric = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if value is not None and not (numeric and 0 < value < math.inf):
            raise InputError(f"{name} {value!r}: give a finite number above 0")
    if values["epoch_steps"] != int(values["epoch_steps"] or 0):
        raise InputError(f"epoch_steps {values['epoch_steps']!r}: give a whole number of updates")

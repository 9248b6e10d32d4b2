"""Typed rows of a ledger, one class for each kind. `results/README.md` explains every field.

Nobody else spells a key of a row. A payload is deterministic: a field that has a default is left out while it has that
value, so that ledgers written before there was such a field replay to the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, TypeVar

from bench.contract import Baseline
from bench.ledger.lines import Row
from bench.ledger.payload import Payload, plain

Scores: TypeAlias = dict[str, float]


class Publication(NamedTuple):
    """Source of runs that other people published."""

    source: str
    citation: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class TaskFacts(Payload):
    """What a plan says of a task. Published ledgers leave empty what their source does not tell."""

    family: str
    metric: str
    direction: str
    baseline: Baseline | None
    epochs: float  # the full budget
    epoch_steps: int
    unit: str = "epochs"  # what `epochs` counts
    eval_epochs: int | None
    batch_size: int | None
    source: str
    chance: str
    digest: str | None  # of the data
    code: str = ""  # digest of what the task's code does
    sizes: dict[str, int]
    layers: str
    engine: str
    optimizer: str
    weight_decay: float | None
    optimizers: list[str] | None  # each with its weight decay
    seeds: list[int]
    budgets: list[float]
    peak_lrs: list[float]
    schedules: list[str]
    repeats: dict[str, float] | None = None  # spread between repeats, of published runs

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> TaskFacts:
        """See `Payload.read`."""
        facts = super().read(payload)
        baseline = payload.get("baseline")
        object.__setattr__(facts, "baseline", None if baseline is None else Baseline(**baseline))
        return facts


@dataclass(frozen=True, kw_only=True)
class PlanRow(Payload):
    """Everything that a report says of the experiment besides its results."""

    kind: ClassVar[str] = "plan"
    suite: str
    plan: str  # its id
    reference: str | None  # None in ledgers from before it was declared
    cells: int
    cohorts: int
    cell_steps: int
    looks: int
    optimum: int
    split_loss: int
    notes: list[str]
    tasks: dict[str, TaskFacts]
    curves: dict[str, dict[str, list[float]]]  # of open-loop schedules: progress and factor
    extends: str | None = None  # id of the plan whose cells are recorded already
    known_as: dict[str, str] | None = None  # a published source's own names of strategies
    published: Publication | None = None
    replaces: tuple[str, ...] = ()  # keys of plan rows whose task code has changed since

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> PlanRow:
        """See `Payload.read`."""
        plan = super().read(payload)
        published = payload.get("published")
        tasks = {task: TaskFacts.read(facts) for task, facts in payload.get("tasks", {}).items()}
        object.__setattr__(plan, "tasks", tasks)
        object.__setattr__(plan, "replaces", tuple(payload.get("replaces", ())))
        object.__setattr__(plan, "published", None if published is None else Publication(**published))
        return plan


@dataclass(frozen=True, kw_only=True)
class AttemptRow(Payload):
    """Provenance of a process: everything about a row that may differ between two attempts at it."""

    kind: ClassVar[str] = "attempt"
    plan: str
    host: str
    process: int
    time: str  # UTC, when it began
    commit: str | None
    dirty: bool | None
    versions: dict[str, str | None]
    device: str
    processor: str
    threads: int
    gpu: dict[str, str] | None = None
    fingerprint: str  # equal ones promise equal payloads


class BestEpoch(NamedTuple):
    """The epoch with the best control value, and both metrics there."""

    epoch: float
    control: float
    test: float


@dataclass(frozen=True, kw_only=True)
class Done(Payload):
    """Results of a cell whose budget is spent."""

    final: Scores  # on test, after the last update
    best: BestEpoch | None  # None in published ledgers
    control: Scores
    recalibrated: Scores | None  # on test, with BatchNorm statistics averaged again; None without BatchNorm

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Done:
        """See `Payload.read`."""
        done = super().read(payload)
        best = payload.get("best")
        object.__setattr__(done, "best", None if best is None else BestEpoch(**best))
        return done


@dataclass(frozen=True, kw_only=True)
class Diverged(Payload):
    """Results of a cell whose loss, gradient or output stopped being finite."""

    first_bad_step: int | None
    parent: int | None = None  # of a member forked since it was last evaluated, which no `eval` row tells
    start: int | None = None


@dataclass(frozen=True, kw_only=True)
class Failed(Payload):
    """Results of a cell whose schedule raised an error, or gave no factor."""

    failed_step: int
    error: str
    parent: int | None = None
    start: int | None = None


Result: TypeAlias = Done | Diverged | Failed
RESULTS: dict[str, type[Result]] = {"done": Done, "diverged": Diverged, "failed": Failed}
STATUSES: dict[type[Result], Literal["done", "diverged", "failed"]] = {
    Done: "done",
    Diverged: "diverged",
    Failed: "failed",
}


@dataclass(frozen=True, kw_only=True)
class CellSettings(Payload):
    """A cell, and the member that it rode to its end."""

    cell: str  # its id
    task: str
    family: str
    schedule: str
    optimizer: str
    weight_decay: float | None
    peak_lr: float
    budget: float
    epochs: float
    total: int
    seed: int
    data: str | None
    cohort: str
    engine: str
    segment: int
    averaging: str = "none"
    arithmetic: str = ""
    code: str = ""


@dataclass(frozen=True)
class CellRow:
    """A cell and what became of it."""

    kind: ClassVar[str] = "cell"
    settings: CellSettings
    result: Result
    published: Publication | None = None

    @property
    def status(self) -> Literal["done", "diverged", "failed"]:
        return STATUSES[type(self.result)]

    def payload(self) -> dict[str, Any]:
        """See `Payload.payload`."""
        published = {} if self.published is None else {"published": plain(self.published)}
        return self.settings.payload() | {"status": self.status} | self.result.payload() | published

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> CellRow:
        """See `Payload.read`."""
        published = payload.get("published")
        return cls(
            CellSettings.read(payload),
            RESULTS[payload["status"]].read(payload),
            None if published is None else Publication(**published),
        )


@dataclass(frozen=True, kw_only=True)
class EvalRow(Payload):
    """An evaluation of a member, or of an average of its weights."""

    kind: ClassVar[str] = "eval"
    cohort: str
    segment: int
    parent: int | None  # segment that it was forked from, before update `start`
    start: int
    step: int  # updates before the evaluation
    epoch: float
    lr: float  # of the last update
    train_loss: float | None  # mean since the last evaluation; None where every loss overflowed
    grad_norm: float | None  # mean since the last evaluation, before clipping
    control: float  # the headline metric
    test: float
    control_loss: float
    test_loss: float
    average: str | None = None  # name of the average that was read

    @property
    def key(self) -> str:
        place = f"{self.cohort}/{self.segment}/{self.step}"
        return place if self.average is None else f"{place}/{self.average}"


@dataclass(frozen=True, kw_only=True)
class CohortRow(Payload):
    """All cells of a cohort are done, and what that took."""

    kind: ClassVar[str] = "cohort"
    cohort: str
    task: str
    seed: int
    engine: str
    threads: int
    cells: int
    cell_steps: int
    looks: int
    moves: int
    segments: int
    arithmetic: str = ""
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class FailureRow(Payload):
    """A cohort could not be trained to its end; its cells are missing."""

    kind: ClassVar[str] = "failure"
    cohort: str
    task: str
    seed: int
    error: str
    cells: int
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class ResumeRow(Payload):
    """A cohort continued from a checkpoint."""

    kind: ClassVar[str] = "resume"
    cohort: str
    step: int


TypedRow: TypeAlias = PlanRow | AttemptRow | CellRow | EvalRow | CohortRow | FailureRow | ResumeRow
T = TypeVar("T", bound=TypedRow)


def of_kind(rows: Iterable[Row], kind: type[T]) -> dict[str, T]:
    """Rows of a kind, by key."""
    return {row.key: kind.read(row.payload) for row in rows if row.kind == kind.kind}  # type: ignore[misc]


def last_plan(plans: Mapping[str, PlanRow]) -> PlanRow:
    """The plan, of the `plan` rows of a ledger by key (one or more), that its tables are of: the last one."""
    past = {key for plan in plans.values() for key in (plan.extends, *plan.replaces)}
    return next(plan for key, plan in plans.items() if key not in past)


def of_code(plan: PlanRow | None, row: CellSettings | CohortRow | FailureRow) -> bool:
    """Whether a row was made by the task's code that a plan is of."""
    facts = plan.tasks.get(row.task) if plan else None
    return row.code == (facts.code if facts else "")

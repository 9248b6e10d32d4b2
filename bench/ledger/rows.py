"""Typed rows of a ledger, one class for each kind; `cell_row` has the rows of cells. `results/README.md` explains them.

The keys of rows are spelled in these two files alone. A payload is deterministic: a field is left out while it has its
default value, so that ledgers written before the field was added replay to the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, TypeAlias, TypeVar

from bench.contract import LARGEST, Baseline, Margin, Primary
from bench.ledger.cell_row import CellRow, CellSettings, Publication
from bench.ledger.lines import Payload, Row, optional

AUDIT = "audit"
"""Engine of cells that a training loop outside Glideslope trained, and family of their tasks."""


@dataclass(frozen=True, kw_only=True)
class TaskFacts(Payload):
    """Facts of a task in a plan. Published ledgers leave fields empty that their source does not give."""

    readers = MappingProxyType({"baseline": optional(Baseline), "margin": optional(Margin)})
    family: str
    metric: str
    direction: str
    baseline: Baseline | None
    epochs: float  # the full budget
    epoch_steps: int
    unit: str = "epochs"  # what `epochs` counts
    eval_epochs: float | None
    batch_size: int | None
    source: str
    chance: str
    digest: str | None  # of the data
    code: str = ""  # digest of the task's code
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
    averagings: list[str] | None = None  # None in old ledgers, which did not record them
    margin: Margin | None = None
    repeats: dict[str, float] | None = None  # spread between repeats, of published runs


@dataclass(frozen=True, kw_only=True)
class PlanRow(Payload):
    """Everything that a report states about the experiment besides its results."""

    kind: ClassVar[str] = "plan"
    readers = MappingProxyType(
        {
            "tasks": lambda tasks: {name: TaskFacts.read(facts) for name, facts in (tasks or {}).items()},
            "replaces": tuple,
            "seed_looks": tuple,
            "primary": lambda primary: Primary(tuple(primary["budgets"]), primary["over"]),
            "published": optional(Publication),
        }
    )
    suite: str
    plan: str  # its id
    reference: str | None  # None in old ledgers, which did not declare it
    cells: int
    cohorts: int
    cell_steps: int
    looks: int
    optimum: int
    split_loss: int
    notes: list[str]
    tasks: dict[str, TaskFacts]
    curves: dict[str, dict[str, list[float]]]  # progress and factor of each open-loop schedule
    extends: str | None = None  # id of the plan whose cells are recorded already
    known_as: dict[str, str] | None = None  # a published source's own names of strategies
    published: Publication | None = None
    primary: Primary = LARGEST
    seed_looks: tuple[int, ...] = ()  # numbers of seeds at which a sequential run looks at its results
    replaces: tuple[str, ...] = ()  # keys of plan rows whose task code has changed since


@dataclass(frozen=True, kw_only=True)
class AttemptRow(Payload):
    """Provenance of a process: everything that may differ between two attempts at the same row."""

    kind: ClassVar[str] = "attempt"
    plan: str
    host: str
    process: int
    time: str  # of the start, UTC
    commit: str | None
    dirty: bool | None
    versions: dict[str, str | None]
    device: str
    processor: str
    threads: int
    gpu: dict[str, str] | None = None
    fingerprint: str  # equal fingerprints promise equal payloads


@dataclass(frozen=True, kw_only=True)
class EvalRow(Payload):
    """An evaluation of a member, or of an average of its weights."""

    kind: ClassVar[str] = "eval"
    cohort: str
    segment: int
    parent: int | None  # the segment that this one was forked from, before update `start`
    start: int
    step: int  # updates before the evaluation
    epoch: float
    lr: float  # of the last update
    train_loss: float | None  # mean since the last evaluation; None if every loss overflowed
    grad_norm: float | None  # mean since the last evaluation, before clipping
    control: float  # the headline metric
    test: float
    control_loss: float
    test_loss: float
    average: str | None = None  # name of the average of weights that was evaluated

    @property
    def key(self) -> str:
        key = f"{self.cohort}/{self.segment}/{self.step}"
        return key if self.average is None else f"{key}/{self.average}"


@dataclass(frozen=True, kw_only=True)
class CohortRow(Payload):
    """A finished cohort, and the work that it took."""

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
    """A cohort that could not be trained to its end; its cells are missing."""

    kind: ClassVar[str] = "failure"
    cohort: str
    task: str
    seed: int
    error: str
    cells: int
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class ResumeRow(Payload):
    """A cohort that continued from a checkpoint."""

    kind: ClassVar[str] = "resume"
    cohort: str
    step: int


@dataclass(frozen=True, kw_only=True)
class WeightsRow(Payload):
    """The file of a cell's final weights, as they are read: averaged, and with their BatchNorm statistics.

    The file is removed where another cell is chosen (`--keep best`), and the row stays.
    """

    kind: ClassVar[str] = "weights"
    cell: str  # its id
    sha256: str  # of the file, which is named by this digest
    size: int  # of the file, in bytes


TypedRow: TypeAlias = PlanRow | AttemptRow | CellRow | EvalRow | CohortRow | FailureRow | ResumeRow | WeightsRow
T = TypeVar("T", bound=TypedRow)


def of_kind(rows: Iterable[Row], kind: type[T]) -> dict[str, T]:
    """Rows of a kind, by key."""
    return {row.key: kind.read(row.payload) for row in rows if row.kind == kind.kind}  # type: ignore[misc]


def last_plan(plans: Mapping[str, PlanRow]) -> PlanRow:
    """The plan that no other one of a ledger extends or replaces. `plans` has one or more, by key."""
    past = {key for plan in plans.values() for key in (plan.extends, *plan.replaces)}
    return next(plan for key, plan in plans.items() if key not in past)


def of_code(plan: PlanRow | None, row: CellSettings | CohortRow | FailureRow) -> bool:
    """True if a row comes from the same code of its task as a plan."""
    facts = plan.tasks.get(row.task) if plan else None
    return row.code == (facts.code if facts else "")

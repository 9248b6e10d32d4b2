"""The types of Glideslope, on one page. Start reading here.

A *cell* is one line of the experiment: task x strategy x peak LR x epoch budget x seed. A *member* is one set of
weights in training; cells *ride* one member for as long as their learning-rate histories are identical. At each step
the loop looks (a forward and backward pass per member), decides (each cell's schedule answers), seats (riders who
disagree get members of their own) and moves (each member takes its optimizer step). Suffix of arrays and tensors:
M = members.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from bench.data import Array as Array  # exported again, so that all types can be imported from here
from bench.data import Data as Data
from bench.data import Split as Split
from bench.data import Stream as Stream
from bench.numerics import USUAL, Arithmetic
from schedules.contract import Clock as Clock
from schedules.contract import InputError as InputError
from schedules.contract import Schedule as Schedule
from schedules.contract import Setting as Setting
from schedules.contract import Signals as Signals
from schedules.contract import digest as digest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Batch: TypeAlias = "tuple[tuple[Tensor, ...], tuple[Tensor, ...]]"  # inputs and target, on the device
Prepare: TypeAlias = "Callable[[tuple[Tensor, ...], tuple[Tensor, ...], torch.Generator | None], Batch]"
EngineName: TypeAlias = Literal["modules", "stacked", "compiled", "rowwise"]
Wandb: TypeAlias = Literal["off", "offline", "online"]
Family: TypeAlias = Literal["image", "detection", "text", "speech", "language", "table", "tunnel"]
Direction: TypeAlias = Literal["max", "min"]
Layers: TypeAlias = Literal["mlp", "conv1d", "conv2d", "residual", "recurrent", "transformer", "detector", "large"]
Recipe: TypeAlias = "Sequence[tuple[str, float]]"  # how an average is mixed; see `bench/strategies/averagings.py`

SEMANTICS = 1
"""Version of the meaning of a cell's settings. Increased when the same settings would give other numbers."""


SKIPPED = -1.0
"""Placeholder for the unknown gradient norm of an update that loss scaling skips; NaN in traces."""


class Baseline(NamedTuple):
    """A trivial predictor's value of the headline metric on the test split."""

    name: str
    value: float


class Margin(NamedTuple):
    """The smallest difference of the headline metric that is worth having, with the reason."""

    value: float
    reason: str


class Primary(NamedTuple):
    """The test of strategies against the reference that a suite declares before anything trains.

    `budgets` are pooled within each seed; without any, each task's largest counts. `over` says what one hypothesis is
    about: a strategy on all tasks pooled, or on each family or task alone.
    """

    budgets: tuple[float, ...] = ()
    over: Literal["all", "family", "task"] = "all"


LARGEST = Primary()
"""The primary test of suites that declare none."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A learning problem: data, model, loss, scores and default settings. `model` is the first to import torch.

    `loss(output, target)` maps the model's output and the batch's target tensors to a scalar, and is called under
    `torch.func.vmap`. `score(output, target)` maps the outputs of a whole split (on the CPU) to named numbers; the key
    `metric` is the headline, and `loss` is there, too. `prepare(inputs, target, generator)` converts examples from
    their stored form (bytes, say) to the model's input, on the device. With a generator (on the CPU, a function of seed
    and step) it also augments them; it gets one for training batches that no worker process has augmented. `lengths`
    gives the length of each example of a split in memory; inputs are cut to the longest of a batch before `prepare`.
    """

    name: str  # canonical call text, e.g. digits(model='cnn')
    family: Family
    source: str  # of the data, with its licence
    batch_size: int
    epochs: float  # the full budget; budgets are fractions of it
    metric: str  # the headline metric
    direction: Direction
    optimizer: str  # default optimizer, as text: sgd(momentum=0.9)
    weight_decay: float
    peak_lrs: tuple[float, ...]  # default grid of peak LRs, ascending
    layers: Layers  # decides the engine under `--engine auto`
    load: Callable[[], Data] = field(repr=False)
    model: Callable[[], nn.Module] = field(repr=False)  # initial weights come from torch's global generator
    loss: Callable[[Any, Sequence[Tensor]], Tensor] = field(repr=False)
    score: Callable[[Any, Sequence[Tensor]], dict[str, float]] = field(repr=False)
    baseline: Callable[[Data], Baseline] = field(repr=False)
    prepare: Prepare | None = field(default=None, repr=False)
    lengths: Callable[[Split], Array] | None = field(default=None, repr=False)
    clip: float | None = None  # gradients are clipped to this norm
    eval_epochs: float = 1  # the epoch grid: epochs between evaluations, may be below 1; there is one at the end, too
    chance: str = ""  # scores of chance and of simple predictors, in words
    # Names of the model's outputs, for a model that is taken home, or a function that reads them; () where not stated.
    classes: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    margin: Margin | None = None  # smaller differences count as equal; None: no two strategies can be called equal
    code: str = ""  # digest of its code; filled in when a task is built by its name, unless the name holds it
    outside: bool = False  # its code, model or data are the user's: it is tried out at length before it is trained


@dataclass(frozen=True)
class Cell:
    """One line of the experiment. Texts are canonical, so that equal settings have equal ids."""

    task: str
    schedule: str
    optimizer: str
    peak_lr: float
    weight_decay: float
    budget: float  # fraction of the task's full budget
    total: int  # the budget in updates
    seed: int
    data: str  # digest of the task's data
    averaging: str = "none"  # of weights, before an evaluation
    code: str = ""  # digest of the task's code; empty in old ledgers, which did not record it

    @cached_property
    def id(self) -> str:
        """Digest of the cell's canonical text, its data, its task's code and the version of the semantics."""
        *settings, averaging, code = (getattr(self, f.name) for f in fields(self))
        # Left out where they are empty, so that cells from before these fields keep their ids.
        if averaging != "none":
            settings.append(averaging)
        if code:
            settings.append(f"code {code}")
        return digest(json.dumps([SEMANTICS, *settings]))


@dataclass(frozen=True)
class Cohort:
    """Cells of equal task, optimizer, weight decay and seed, which share batches. The unit of work and of resuming."""

    cells: tuple[Cell, ...]
    engine: EngineName
    threads: int  # pinned, because results differ bitwise between 1 and 2 threads
    arithmetic: Arithmetic = USUAL

    @cached_property
    def id(self) -> str:
        """Digest of engine, threads, arithmetic and cells."""
        texts = self.engine, str(self.threads), self.arithmetic.text, *(c.id for c in self.cells)
        # The usual arithmetic has an empty text, so that cohorts from before this field keep their ids.
        return digest(" ".join(filter(None, texts)))

    @property
    def task(self) -> str:
        return self.cells[0].task

    @property
    def seed(self) -> int:
        return self.cells[0].seed

    @property
    def cell_steps(self) -> int:
        """Number of updates for training each cell alone."""
        return sum(c.total for c in self.cells)


class Move(NamedTuple):
    """Settings of one member's optimizer step. Cells share a member as long as their moves are bitwise equal."""

    lr: float
    momentum: float | None = None


class Engine(Protocol):
    """Members in training. Row i of everything is member i."""

    recall: bool  # whether gradients are stored until the next look, for `grad_dot`

    def look(self, batch: Batch, step: int) -> None:
        """One forward and backward pass per member on the same batch; stores gradients, losses and norms."""

    def signals(self) -> list[tuple[float, float, float]]:
        """(loss, gradient norm or SKIPPED, grad_dot) of the last look, per member. Synchronises with the device."""

    def take(self, rows: Sequence[int]) -> None:
        """Make member i a copy of old member rows[i], with its gradients. A row that occurs twice is forked."""

    def move(self, moves: Sequence[Move]) -> None:
        """Take the optimizer step of each member."""

    def evaluate(self, split: str, rows: Sequence[int]) -> list[dict[str, float]]:
        """Scores of these members on a split, computed on copies: no state changes."""

    def blend(self, slot: str, rows: Sequence[int], share: float) -> None:
        """Move these members' averages in a slot towards their weights by a share (1: copy); drop those of others."""

    def averaged(self, splits: Sequence[str], rows: Sequence[int], recipe: Recipe) -> list[list[dict[str, float]]]:
        """For each split, scores of these members' averages, with BatchNorm statistics recomputed for them."""

    def recalibrated(self, split: str, rows: Sequence[int]) -> list[dict[str, float]] | None:
        """Scores after recomputing BatchNorm statistics on training batches; None without BatchNorm."""

    def weights(self, row: int, recipe: Recipe | None) -> dict[str, Tensor]:
        """State of a member's model as `evaluate` reads it or, by a recipe, as `averaged` does: copies on the CPU."""

    def history(self) -> list[tuple[Array, Array]]:
        """(loss [M], gradient norm or SKIPPED [M]) of each look since the last call. Synchronises; `look` doesn't."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...

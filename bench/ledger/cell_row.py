"""Typed rows of cells: the settings of a cell, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from bench.ledger.lines import Payload, optional, plain

Scores: TypeAlias = dict[str, float]


class Publication(NamedTuple):
    """Source of runs published by other people."""

    source: str
    citation: str
    licence: str


class BestEpoch(NamedTuple):
    """The epoch with the best control value, and the metrics at that epoch."""

    epoch: float
    control: float
    test: float


@dataclass(frozen=True, kw_only=True)
class Done(Payload):
    """Results of a cell that was trained to the end of its budget."""

    readers = MappingProxyType({"best": optional(BestEpoch)})
    final: Scores  # on test, after the last update
    best: BestEpoch | None  # None in published ledgers
    control: Scores
    recalibrated: Scores | None  # on test, with recomputed BatchNorm statistics; None without BatchNorm


@dataclass(frozen=True, kw_only=True)
class Diverged(Payload):
    """Results of a cell whose loss, gradient or output became infinite or NaN."""

    first_bad_step: int | None
    parent: int | None = None  # of a member forked after its last evaluation, so that no `eval` row has it
    start: int | None = None


@dataclass(frozen=True, kw_only=True)
class Failed(Payload):
    """Results of a cell whose schedule raised an error or returned no factor."""

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
    """Settings of a cell, and the member that it rode to its end."""

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
    """A cell and its result."""

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
        result = RESULTS[payload["status"]].read(payload)
        return cls(CellSettings.read(payload), result, optional(Publication)(payload.get("published")))

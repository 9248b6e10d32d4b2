"""Assignment of cohorts to array tasks: packed at submission, written to a file, and read by each task."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.contract import Cohort, InputError
from bench.plan.plan import Plan


@dataclass(frozen=True)
class Load:
    """A cohort and its predicted cost at submission."""

    id: str
    task: str
    seed: int
    cells: int
    seconds: float  # predicted, on one thread

    @classmethod
    def of(cls, cohort: Cohort, seconds: float) -> Load:
        return cls(cohort.id, cohort.task, cohort.seed, len(cohort.cells), seconds)


Share = tuple[Load, ...]
"""The cohorts of one array task, in the order of training."""


def pack(loads: Sequence[Load], count: int) -> list[Share]:
    """Shares of about equal predicted time: the longest load first, each to the share with the least time so far.

    The longest share of this rule (longest processing time) is at most 4/3 - 1/(3 count) times as long as that of the
    best packing: Graham 1969, doi.org/10.1137/0117039. Equal loads keep their order, so the same loads give the same
    shares.
    """
    shares: list[list[Load]] = [[] for _ in range(count)]
    heap = [(0.0, i) for i in range(count)]
    for load in sorted(loads, key=lambda load: -load.seconds):
        spent, i = heap[0]
        shares[i].append(load)
        heapq.heapreplace(heap, (spent + load.seconds, i))
    return [tuple(share) for share in shares if share]


def size(loads: Sequence[Load], seconds: float, most: int) -> int:
    """Number of array tasks of about `seconds` for the loads: at most one per cohort, and at most `most`."""
    return max(1, min(math.ceil(sum(load.seconds for load in loads) / seconds), len(loads), most))


def save(path: Path, plan: Plan, shares: Sequence[Share]) -> None:
    """Write shares as JSON, one cohort per line."""
    tasks = (",\n   ".join(json.dumps(asdict(load)) for load in share) for share in shares)
    text = ",\n".join(f"  [{task}]" for task in tasks)
    path.write_text(f'{{"suite": {json.dumps(plan.suite)}, "plan": "{plan.id}", "tasks": [\n{text}\n]}}\n', "utf-8")


def read(path: Path) -> tuple[str, list[Share]]:
    """The plan's id and the shares in a file of `save`.

    Raises:
        InputError: there is no such file, or it is another one.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return content["plan"], [tuple(Load(**load) for load in task) for task in content["tasks"]]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is no list of cohorts that `glideslope submit` wrote") from None


class Assigned(NamedTuple):
    """One array task of a submission, as `--assigned FILE:I` names it."""

    path: Path
    task: int  # 0-based

    @property
    def plan(self) -> str:
        """Id of the plan that the array tasks were submitted for."""
        return read(self.path)[0]

    def of(self, plan: Plan) -> Plan:
        """The plan with only this array task's cohorts, in the order of the file.

        Raises:
            InputError: there is no such array task, or the file is of another plan.
        """
        name, shares = read(self.path)
        if name != plan.id:
            raise InputError(f"{self.path} was written for another plan ({name}; this one is {plan.id})")
        if not 0 <= self.task < len(shares):
            raise InputError(f"{self.path} has the array tasks 0 .. {len(shares) - 1}, not {self.task}")
        cohorts: Mapping[str, Cohort] = {cohort.id: cohort for cohort in plan.cohorts}
        return Plan(plan.suite, tuple(cohorts[load.id] for load in shares[self.task]), plan.notes)

"""Averagings: averages of weights for evaluation. They cost no training: a member trains the same with any of them.

An averaging is a pure function of the step. After an update it says which *slot* is blended with the present weights;
for an evaluation it gives the *recipe*, the mix of slots. A blend of share s moves a slot towards the weights by s of
the distance, as `torch.Tensor.lerp`; share 1 is a copy. Engines keep the slots of each member, and know no averagings.

An average is a set of weights that no forward of training has used, so BatchNorm's running statistics, which belong to
other weights, are recomputed for it on training batches before each evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.contract import Cell, InputError, Recipe
from schedules import spec
from schedules.spec import Named

Blend: TypeAlias = tuple[str, float]
"""A slot and a share."""

PRESENT = ""
"""The slot of the present weights."""

AS_IS = ((PRESENT, 1.0),)
"""The recipe of the present weights alone."""


@dataclass(frozen=True)
class Span:
    """Budget and epoch of a cell, in updates."""

    total: int
    epoch_steps: int

    def epochs(self, step: int) -> int:
        """Epochs that have ended after `step` updates."""
        return step // self.epoch_steps

    def ends_epoch(self, step: int) -> bool:
        """True if `step` updates are a whole number of epochs."""
        return step % self.epoch_steps == 0


class Averaging(Named):
    """An averaging of the catalogue: a frozen dataclass whose fields are the arguments of the call.

    A step is a number of updates: after the first one, step is 1. The canonical text contains every argument.
    """

    always = frozenset({"decay", "share", "k"})

    def track(self, span: Span) -> str:
        """Name of the average: riders of one member with equal names share it."""
        return self.text

    def blend(self, step: int, span: Span) -> Blend | None:
        """The blend that is due after `step` updates, if any."""
        raise NotImplementedError

    def recipe(self, step: int, span: Span) -> tuple[Blend, ...]:
        """The recipe of the average after `step` updates, with the blend of that step done."""
        raise NotImplementedError


@dataclass(frozen=True)
class ema(Averaging):
    """Exponential moving average: a_1 = w_1, then a_t = decay * a_(t-1) + (1 - decay) * w_t at every update t.

    Args:
        decay: From 0 (the weights themselves) to below 1.
    """

    decay: float = 0.99

    def __post_init__(self) -> None:
        _check(self, "decay", lambda decay: 0 <= decay < 1, "a number from 0 to below 1")

    def blend(self, step: int, span: Span) -> Blend:
        return self.text, 1.0 if step == 1 else 1 - self.decay

    def recipe(self, step: int, span: Span) -> tuple[Blend, ...]:
        return ((self.text, 1.0),)


@dataclass(frozen=True)
class swa(Averaging):
    """Stochastic weight averaging (arXiv:1803.05407): the mean of the weights at ends of epochs, late in the budget.

    The end of the budget counts as one. Before the first of them, the present weights are evaluated.

    Args:
        share: Share of the budget, at its end, that is averaged over: above 0, at most 1.
    """

    share: float = 0.25

    def __post_init__(self) -> None:
        _check(self, "share", lambda share: 0 < share <= 1, "a number above 0, at most 1")

    def start(self, span: Span) -> int:
        """Updates before averaging begins."""
        return round(span.total * (1 - self.share))

    def count(self, step: int, span: Span) -> int:
        """Ends of epochs averaged over after `step` updates."""
        return max(0, span.epochs(step) - span.epochs(self.start(span)))

    def track(self, span: Span) -> str:
        return f"swa from {self.start(span)}"

    def blend(self, step: int, span: Span) -> Blend | None:
        count = self.count(step, span)
        return (self.track(span), 1 / count) if count and span.ends_epoch(step) else None

    def recipe(self, step: int, span: Span) -> tuple[Blend, ...]:
        count = self.count(step, span)
        if not count:
            return AS_IS
        mean = (self.track(span), 1.0)
        return (mean,) if span.ends_epoch(step) else (mean, (PRESENT, 1 / (count + 1)))


@dataclass(frozen=True)
class lawa(Averaging):
    """Latest weight averaging (arXiv:2209.14981): the mean of the weights at the last k ends of epochs.

    The end of the budget counts as one. Before there are k of them, the mean is over all so far.

    Args:
        k: Ends of epochs, from 1 to 1,000,000.
    """

    k: int = 5

    def __post_init__(self) -> None:
        _check(self, "k", lambda k: type(k) is int and 1 <= k <= 10**6, "a whole number from 1 to 1,000,000")

    def slot(self, epoch: int) -> str:
        """Slot of the weights at the end of an epoch, overwritten after k epochs."""
        return f"{self.text} {epoch % self.k}"

    def blend(self, step: int, span: Span) -> Blend | None:
        return (self.slot(span.epochs(step)), 1.0) if span.ends_epoch(step) else None

    def recipe(self, step: int, span: Span) -> tuple[Blend, ...]:
        last = span.epochs(step)
        late = 0 if span.ends_epoch(step) else 1  # the present weights stand for the end of an epoch
        first = max(1, last - self.k + 1 + late)
        slots = [self.slot(epoch) for epoch in range(first, last + 1)] + [PRESENT] * late
        return tuple((slot, 1 / count) for count, slot in enumerate(slots, 1))


@dataclass(frozen=True)
class none(Averaging):
    """No averaging: the present weights are evaluated."""

    def blend(self, step: int, span: Span) -> None:
        return None

    def recipe(self, step: int, span: Span) -> tuple[Blend, ...]:
        return AS_IS


CATALOGUE: dict[str, Callable[..., Averaging]] = {kind.__name__: kind for kind in (none, ema, swa, lawa)}


def parse(text: str) -> Averaging:
    """The averaging that a call names.

    >>> parse("ema").text, parse("lawa(k=3)").text, parse("none").text
    ('ema(decay=0.99)', 'lawa(k=3)', 'none')

    Raises:
        InputError: unknown name, argument or value.
    """
    return _build(spec.parse(text))


def parse_list(text: str) -> list[Averaging]:
    """The averagings of a comma-separated list: `none, ema, lawa(k=3)`.

    Raises:
        InputError: unknown name, argument or value.
    """
    return [_build(call) for call in spec.parse_list(text)]


def _build(call: spec.Call) -> Averaging:
    averaging: Averaging = spec.build(call, CATALOGUE, "averaging")
    return averaging


def _check(averaging: Averaging, name: str, allows: Callable[[Any], bool], allowed: str) -> None:
    value = getattr(averaging, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not allows(value):
        raise InputError(f"{averaging.name}: {name} is {allowed}, not {value!r}")


class Averagings:
    """The averagings of a cohort's cells, by the index of the cell; cells with `none` are left out."""

    def __init__(self, cells: Sequence[Cell], epoch_steps: int):
        self._by_cell = {
            i: (parse(cell.averaging), Span(cell.total, epoch_steps))
            for i, cell in enumerate(cells)
            if cell.averaging != "none"
        }

    def track(self, i: int) -> str:
        """Name of the average that cell `i` evaluates; PRESENT if it evaluates the weights themselves."""
        if i not in self._by_cell:
            return PRESENT
        averaging, span = self._by_cell[i]
        return averaging.track(span)

    def finals(
        self, ending: Mapping[int, Sequence[int]], step: int
    ) -> Iterator[tuple[int, str, Recipe | None, list[int]]]:
        """Cells that end (by row) as they are read: (row, track, recipe, the cells).

        The recipe is None for cells that evaluate the weights themselves.
        """
        for row, cells in ending.items():
            by_track: dict[str, list[int]] = {}
            for i in cells:
                by_track.setdefault(self.track(i), []).append(i)
            for track, alike in by_track.items():
                averaging, span = self._by_cell.get(alike[0], (None, None))
                yield row, track, averaging.recipe(step, span) if averaging and span else None, alike

    def blends(self, riders: Iterable[Sequence[int]], step: int) -> Mapping[Blend, list[int]]:
        """The blends that are due after `step` updates, each with the members (rows) whose riders need it."""
        due: dict[Blend, list[int]] = {}
        for row, i in self._riding(enumerate(riders)):
            averaging, span = self._by_cell[i]
            blend = averaging.blend(step, span)
            if blend and row not in due.setdefault(blend, []):
                due[blend].append(row)
        return due

    def readings(self, riders: Mapping[int, Sequence[int]], step: int) -> Mapping[tuple[str, Recipe], list[int]]:
        """The averages to evaluate for these riders (by row) after `step` updates: (track, recipe), with the rows."""
        due: dict[tuple[str, Recipe], list[int]] = {}
        for row, i in self._riding(riders.items()):
            averaging, span = self._by_cell[i]
            reading = averaging.track(span), averaging.recipe(step, span)
            if row not in due.setdefault(reading, []):
                due[reading].append(row)
        return due

    def _riding(self, riders: Iterable[tuple[int, Sequence[int]]]) -> list[tuple[int, int]]:
        """(row, cell) of the riders that have an averaging."""
        if not self._by_cell:
            return []
        return [(row, i) for row, cells in riders for i in cells if i in self._by_cell]

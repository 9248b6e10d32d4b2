"""Splits of the user's own data: those that names give, else by a fixed rule on each example's content.

The SHA-256 of an example's content (the bytes of its file, its texts, its numbers; never its label) is read as a number
in [0, 1): below 0.15 it is test, below 0.30 control, else train. So no example moves when others are added or removed,
and equal contents fall in one split. Where only a test part is given, control is what the same rule takes of the train
part; where only a validation part is given, that is test, as for published sets whose test labels are secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bench.contract import Array, Data, InputError

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Names of parts, as `datasets` reads them, in lower case."""

TEST, CONTROL = 0.15, 0.15
RULE = "own parts where there are some, else 70 % train, 15 % control and 15 % test by content"

Blame = Callable[[object, str], InputError]


class Labelled(NamedTuple):
    """Data of a classification task, with the names of its classes."""

    data: Data
    names: tuple[str, ...]


def part_of(name: str) -> str | None:
    """The part that a name stands for; None if it stands for none."""
    return next((part for part, names in PARTS.items() if name.strip().lower() in names), None)


def mark(contents: Iterable[bytes]) -> bytes:
    """The SHA-256 of an example's content, given in pieces."""
    h = hashlib.sha256()
    for content in contents:
        h.update(len(content).to_bytes(8, "little"))
        h.update(content)
    return h.digest()


def assign(parts: Sequence[str], marks: Sequence[bytes], blame: Blame) -> tuple[Array, Array, Array]:
    """Indices of the train, control and test split, each in the order of the examples.

    Args:
        parts: The part of each example, of PARTS.
        marks: The mark of each example's content.
        blame: Makes the error.

    Raises:
        InputError: a split is empty, or one content is in two parts.
    """
    names = set(parts)
    if names & {"validation", "test"}:
        if "train" not in names:
            raise blame("its parts", f"are {' and '.join(sorted(names))}, and none is train")
        _require_disjoint(parts, marks, blame)
    share = np.array([int.from_bytes(m[:8], "big") / 2.0**64 for m in marks])
    of = {part: np.array([p == part for p in parts], bool) for part in PARTS}
    test, control, train = of["test"], of["validation"], of["train"]
    if not control.any() or not test.any():
        if control.any():
            test = control
        held_out = train & (share >= TEST) & (share < TEST + CONTROL)
        if not test.any():
            test = train & (share < TEST)
        control, train = held_out, train & ~held_out & ~test
    splits = {"train": train, "control": control, "test": test}
    for name, split in splits.items():
        if not split.any():
            raise blame(
                f"its {name} split",
                f"has none of its {len(marks):,} examples, which are split by content: give more of them, or parts "
                "named train, validation and test",
            )
    first, second, third = (np.flatnonzero(split) for split in splits.values())
    return first, second, third


def _require_disjoint(parts: Sequence[str], marks: Sequence[bytes], blame: Blame) -> None:
    """Refuse one content in two parts: it would be learnt and tested."""
    part_by_mark: dict[bytes, str] = {}
    twice = [
        (part, other)
        for part, m in zip(parts, marks, strict=True)
        if (other := part_by_mark.setdefault(m, part)) != part
    ]
    if twice:
        part, other = twice[0]
        raise blame(
            f"its {part} part", f"holds {len(twice):,} of the examples of its {other} part: leave them out of one"
        )


def check_classes(labels: Array, names: Sequence[str], train: Array, blame: Blame) -> None:
    """Refuse labels that nothing can be learnt from.

    Raises:
        InputError: there is one class only, or the train split lacks one.
    """
    if len(names) < 2:
        raise blame("its labels", f"are all {names[0] if names else 'missing'}: a classifier needs two classes or more")
    times = np.bincount(labels[train], minlength=len(names))
    if absent := [name for name, n in zip(names, times, strict=True) if not n]:
        raise blame("its train split", f"has no example of the class {', '.join(absent)}: give more, or leave it out")

"""What was found, as tables and text."""

from __future__ import annotations

import csv
import inspect
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import schedules
from bench.conformance.agreement import SAME, SAYS
from bench.conformance.equivalents import E, T
from bench.conformance.factors import LIBRARIES, LibraryComparison, version
from bench.conformance.pitfalls import Trap
from bench.report.markup import Facts, Figure, Item, Mark, Section, Table


def family(text: str) -> str:
    """The schedule that a call is about: the first name that is no combinator.

    >>> family("warmup(wsd(cooldown=0.5), epochs=2)"), family("scale(constant, 0.5)")
    ('wsd', 'constant')
    """
    names = _names(text)
    return next((name for name in names if not _combines(name)), names[0])


def _names(text: str) -> list[str]:
    """Schedules in a call; settings and their values may have the same names."""
    return [name for name in re.findall(r"(?<![\w'])[a-z_]+\b(?![='])", text) if name in schedules.CATALOGUE]


def _combines(name: str) -> bool:
    hints = inspect.signature(schedules.CATALOGUE[name]).parameters.values()
    return any("Schedule" in str(p.annotation) for p in hints)


def libraries(found: Sequence[LibraryComparison]) -> list[str]:
    """Names of the libraries that were read."""
    return list(dict.fromkeys(it.library.name for it in found))


def document(found: Sequence[LibraryComparison], traps: Sequence[Trap], figures: Mapping[str, Figure]) -> list[Section]:
    """The whole document, most important first. `figures` by family."""
    head: tuple[str | Table | Facts, ...] = (*summary(found, traps), matrix(found), "Versions read:", read(found))
    pages = [Section("Conformance of learning-rate schedules", head)]
    wrong = [it for it in found if not it.explained]
    if wrong:
        pages.append(Section("Unexplained", (deviations(wrong, "Deviations that no claim explains", "bad"),)))
    known = [it for it in found if it.explained and it.claim.why]
    drawn = tuple(figures[name] for name in sorted(figures))
    pages.append(Section("Deviations", (deviations(known, "Deviations, each with its explanation"), *drawn)))
    pages.append(Section("Traps", (trapped(traps),)))
    pages.append(Section("Every comparison", (everything(found),)))
    pages.append(Section("How to read this", _reading()))
    return pages


def summary(found: Sequence[LibraryComparison], traps: Sequence[Trap]) -> tuple[str, ...]:
    """What there is to know in a few lines."""
    kinds = Counter(it.finding.kind for it in found)
    wrong = sum(not it.explained for it in found)
    claimed = {name for it in found for name in _names(it.claim.schedule)}
    alone = [name for name in schedules.CATALOGUE if name not in claimed]
    deviate = len(found) - kinds["equal"]
    return (
        f"{len(found)} calls of {len(libraries(found))} libraries claim to be one of our schedules: {kinds['equal']} "
        f"equal ours at every update, {deviate} deviate; {wrong or 'none'} of those unexplained.",
        f"{sum(trap.shows for trap in traps)} of {len(traps)} known traps show with the versions installed.",
        f"Not compared here (in none of these libraries, closed loop, or random): {', '.join(alone)}.",
    )


def read(found: Sequence[LibraryComparison]) -> Facts:
    """The versions that were read."""
    return Facts(tuple((name, version(name)) for name in libraries(found)))


def matrix(found: Sequence[LibraryComparison]) -> Table:
    """Families down, libraries across: how many calls got which verdict."""
    rows = []
    for name in sorted({family(it.claim.schedule) for it in found}):
        row = [Item(name)]
        for library in libraries(found):
            kinds = [
                it.finding.kind for it in found if it.library.name == library and family(it.claim.schedule) == name
            ]
            text = ", ".join(f"{n} {kind}" for kind, n in Counter(sorted(kinds, key=list(SAYS).index)).items())
            row.append(Item(text or "–", "prose"))
        rows.append(tuple(row))
    return Table("Calls by schedule and library", ("schedule", *libraries(found)), tuple(rows))


def deviations(found: Iterable[LibraryComparison], title: str, mark: Mark = "prose") -> Table:
    """Calls that are not equal to ours: how, how far, and why."""
    rows = []
    for it in found:
        f = it.finding
        why = it.claim.why if it.explained else f"expected: {SAYS[it.claim.known]}"
        far = f"{f.text}; {f.theirs:.4g} instead of {f.ours:.4g} at update {f.at}"
        call = Item(f"{it.library.name}: {it.claim.theirs}", "prose")
        rows.append((Item(it.claim.schedule), call, Item(far, mark), Item(why, "prose")))
    return Table(title, ("ours", "theirs", "verdict, and where they differ most", "why"), tuple(rows))


def trapped(traps: Sequence[Trap]) -> Table:
    """What is known to go wrong, tried out."""
    rows = tuple(
        (
            Item(it.title),
            Item(it.library, "prose"),
            Item(it.expected, "prose"),
            Item(it.seen, "prose"),
            Item("shows" if it.shows else "no longer shows", "bad" if it.shows else "best"),
        )
        for it in traps
    )
    return Table("Known traps, tried out", ("what", "where", "expected", "seen", ""), rows)


def everything(found: Sequence[LibraryComparison]) -> Table:
    """Every call, and its verdict."""
    rows = tuple(
        (
            Item(it.claim.schedule),
            Item(it.library.name),
            Item(it.claim.theirs, "prose"),
            Item(it.finding.text, "prose"),
            Item(f"{it.finding.gap:.1g}"),
        )
        for it in found
    )
    return Table("Every call", ("ours", "library", "theirs", "verdict", "largest difference"), rows)


def _reading() -> tuple[str | Facts, ...]:
    single = max(LIBRARIES, key=lambda library: library.same)
    return (
        f"A factor is what an update's LR is of the peak. A trace has one for each of T = {T} updates in epochs of E = "
        f"{E} (128 updates for Chebyshev's powers of two), as it stands when the update is taken; o is an optimizer at "
        f"LR 1. Nothing is trained. Agreement is {SAME:g} absolute; {single.same:g} for {single.name}, which computes "
        "in single precision.",
        "Settings that are the user's to choose are chosen to agree; where defaults are a trap, they have a line of "
        "their own. The verdict is computed from the two traces alone, and must be the one that the claim expects.",
        Facts(tuple(SAYS.items())),
    )


def rows(found: Iterable[LibraryComparison]) -> str:
    """`table.csv`: one line for each call, in full precision."""
    lines = []
    for it in found:
        f = it.finding
        lines.append(
            {
                "schedule": it.claim.schedule,
                "library": it.library.name,
                "version": version(it.library.name),
                "call": it.claim.theirs,
                "updates": it.claim.total,
                "verdict": f.kind,
                "words": f.text,
                "largest_difference": f.gap,
                "at_update": f.at,
                "ours_there": f.ours,
                "theirs_there": f.theirs,
                "ours_last": it.ours[-1],
                "theirs_last": it.theirs[-1],
                "explained": it.explained,
                "why": it.claim.why,
            }
        )
    return _csv(lines)


def trap_rows(traps: Iterable[Trap]) -> str:
    """`traps.csv`: one line for each trap."""
    return _csv([trap._asdict() for trap in traps])


def _csv(lines: Sequence[Mapping[str, object]]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    return text.getvalue()

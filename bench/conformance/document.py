"""The comparisons and traps as tables and text."""

from __future__ import annotations

import csv
import inspect
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import schedules
from bench.conformance.agreement import SAME, VERDICTS, Kind
from bench.conformance.equivalents import E, T
from bench.conformance.factors import LIBRARIES, LibraryComparison, version
from bench.conformance.pitfalls import Trap
from bench.report.markup import Facts, Figure, Item, Mark, Section, Table


def family(text: str) -> str:
    """The schedule that a call is mainly about: the first name that is no combinator.

    >>> family("warmup(wsd(cooldown=0.5), epochs=2)"), family("scale(constant, 0.5)")
    ('wsd', 'constant')
    """
    names = _names(text)
    return next((name for name in names if not _combines(name)), names[0])


def _names(text: str) -> list[str]:
    """Names of schedules in a call, without settings and values of the same names."""
    return [name for name in re.findall(r"(?<![\w'])[a-z_]+\b(?![='])", text) if name in schedules.CATALOGUE]


def _combines(name: str) -> bool:
    hints = inspect.signature(schedules.CATALOGUE[name]).parameters.values()
    return any("Schedule" in str(p.annotation) for p in hints)


def libraries(comparisons: Sequence[LibraryComparison]) -> list[str]:
    """Names of the libraries that were read."""
    return list(dict.fromkeys(comparison.library.name for comparison in comparisons))


def document(
    comparisons: Sequence[LibraryComparison], traps: Sequence[Trap], figures: Mapping[str, Figure]
) -> list[Section]:
    """The whole document, most important sections first. `figures` by family."""
    head: tuple[str | Table | Facts, ...] = (
        *summary(comparisons, traps),
        matrix(comparisons),
        "Versions read:",
        versions(comparisons),
    )
    sections = [Section("Conformance of learning-rate schedules", head)]
    unexplained = [comparison for comparison in comparisons if not comparison.explained]
    if unexplained:
        table = deviations(unexplained, "Deviations that no claim explains", "worse")
        sections.append(Section("Unexplained", (table,)))
    explained = [comparison for comparison in comparisons if comparison.explained and comparison.equivalent.why]
    table = deviations(explained, "Deviations, each with its explanation")
    curves = tuple(figures[name] for name in sorted(figures))
    sections.append(Section("Deviations", (table, *curves)))
    sections.append(Section("Traps", (trap_table(traps),)))
    sections.append(Section("Every comparison", (full_table(comparisons),)))
    sections.append(Section("How to read this", _reading()))
    return sections


def summary(comparisons: Sequence[LibraryComparison], traps: Sequence[Trap]) -> tuple[str, ...]:
    """The main results in a few lines."""
    kinds = Counter(comparison.finding.kind for comparison in comparisons)
    wrong = sum(not comparison.explained for comparison in comparisons)
    compared = {name for comparison in comparisons for name in _names(comparison.equivalent.schedule)}
    alone = [name for name in schedules.CATALOGUE if name not in compared]
    calls, equal = len(comparisons), kinds["equal"]
    return (
        f"{calls} calls of {len(libraries(comparisons))} libraries claim to be one of our schedules: {equal} "
        f"equal ours at every update, {calls - equal} deviate; {wrong or 'none'} of those unexplained.",
        f"{sum(trap.shows for trap in traps)} of {len(traps)} known traps show with the versions installed.",
        f"Not compared here (in none of these libraries, closed loop, or random): {', '.join(alone)}.",
    )


def versions(comparisons: Sequence[LibraryComparison]) -> Facts:
    """Versions of the libraries that were read."""
    return Facts(tuple((name, version(name)) for name in libraries(comparisons)))


def matrix(comparisons: Sequence[LibraryComparison]) -> Table:
    """Number of calls with each verdict, by schedule family (rows) and library (columns)."""
    kinds: dict[tuple[str, str], list[Kind]] = defaultdict(list)
    for comparison in comparisons:
        kinds[family(comparison.equivalent.schedule), comparison.library.name].append(comparison.finding.kind)
    rows = []
    for name in sorted({name for name, _ in kinds}):
        cells = [Item(_counts(kinds[name, library]) or "–", "prose") for library in libraries(comparisons)]
        rows.append((Item(name), *cells))
    return Table("Calls by schedule and library", ("schedule", *libraries(comparisons)), tuple(rows))


def _counts(kinds: Iterable[Kind]) -> str:
    """Number of calls of each kind, such as `2 equal, 1 late`."""
    order = list(VERDICTS)
    return ", ".join(f"{n} {kind}" for kind, n in Counter(sorted(kinds, key=order.index)).items())


def deviations(comparisons: Iterable[LibraryComparison], title: str, mark: Mark = "prose") -> Table:
    """Calls that differ from ours: the verdict, the largest difference and the reason."""
    rows = []
    for comparison in comparisons:
        finding, equivalent = comparison.finding, comparison.equivalent
        why = equivalent.why if comparison.explained else f"expected: {VERDICTS[equivalent.expected]}"
        verdict = f"{finding.text}; {finding.other:.4g} instead of {finding.own:.4g} at update {finding.at}"
        call = Item(f"{comparison.library.name}: {equivalent.call}", "prose")
        rows.append((Item(equivalent.schedule), call, Item(verdict, mark), Item(why, "prose")))
    return Table(title, ("ours", "theirs", "verdict, and where they differ most", "why"), tuple(rows))


def trap_table(traps: Sequence[Trap]) -> Table:
    """Known traps: expected and observed behaviour."""
    rows = []
    for trap in traps:
        expected, observed = Item(trap.expected, "prose"), Item(trap.observed, "prose")
        state = Item("shows", "worse") if trap.shows else Item("no longer shows", "first")
        rows.append((Item(trap.title), Item(trap.library, "prose"), expected, observed, state))
    return Table("Known traps, tried out", ("what", "where", "expected", "seen", ""), tuple(rows))


def full_table(comparisons: Sequence[LibraryComparison]) -> Table:
    """Every call, and its verdict."""
    rows = []
    for comparison in comparisons:
        equivalent, finding = comparison.equivalent, comparison.finding
        schedule, library = Item(equivalent.schedule), Item(comparison.library.name)
        call, verdict = Item(equivalent.call, "prose"), Item(finding.text, "prose")
        rows.append((schedule, library, call, verdict, Item(f"{finding.gap:.1g}")))
    return Table("Every call", ("ours", "library", "theirs", "verdict", "largest difference"), tuple(rows))


def _reading() -> tuple[str | Facts, ...]:
    single = max(LIBRARIES, key=lambda library: library.same)
    return (
        f"A factor is what an update's LR is of the peak. A trace has one for each of T = {T} updates in epochs of E = "
        f"{E} (128 updates for Chebyshev's powers of two), as it stands when the update is taken; o is an optimizer at "
        f"LR 1. Nothing is trained. Agreement is {SAME:g} absolute; {single.same:g} for {single.name}, which computes "
        "in single precision.",
        "Settings that are the user's to choose are chosen to agree; where defaults are a trap, they have a line of "
        "their own. The verdict is computed from the two traces alone, and must be the one that the claim expects.",
        Facts(tuple(VERDICTS.items())),
    )


def rows(comparisons: Iterable[LibraryComparison]) -> str:
    """`table.csv`: one line per call, in full precision."""
    lines = []
    for comparison in comparisons:
        equivalent, finding = comparison.equivalent, comparison.finding
        lines.append(
            {
                "schedule": equivalent.schedule,
                "library": comparison.library.name,
                "version": version(comparison.library.name),
                "call": equivalent.call,
                "updates": equivalent.total,
                "verdict": finding.kind,
                "words": finding.text,
                "largest_difference": finding.gap,
                "at_update": finding.at,
                "ours_there": finding.own,
                "theirs_there": finding.other,
                "ours_last": comparison.own[-1],
                "theirs_last": comparison.other[-1],
                "explained": comparison.explained,
                "why": equivalent.why,
            }
        )
    return _csv(lines)


def trap_rows(traps: Iterable[Trap]) -> str:
    """`traps.csv`: one line per trap."""
    lines = []
    for trap in traps:
        lines.append(
            {
                "title": trap.title,
                "library": trap.library,
                "expected": trap.expected,
                "seen": trap.observed,
                "shows": trap.shows,
            }
        )
    return _csv(lines)


def _csv(lines: Sequence[Mapping[str, object]]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    return text.getvalue()

"""The answer in words: one sentence, the other strategies, and its limits; `protocol.answer` finds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.protocol.answer import Answer, of_families
from bench.analysis.protocol.primary import Hypothesis, Omission, Why, Word
from bench.report.numbers import listed, percent, quantity
from bench.report.sections.missing import losses
from bench.report.sections.reference import WHY, probability

DECAYS = ("linear", "cosine", "step", "exponential", "polynomial")
"""Schedules that are called a decay in a sentence."""

NAMES = 3
"""Most strategies that are named in one place of a sentence."""


AUDITED = "These runs are audited: loops outside Glideslope trained and scored them; equal batches are their promise."
"""Said wherever a result rests on such runs."""


# ------------------------------------------------------------------------------------------------- sentences


def sentence(answer: Answer) -> str:
    """Which decay to take, in one sentence or two; a clause for each family or task, where the suite asked for them."""
    if answer.groups:
        return f"Beside {_constant(answer)}, {'; '.join(map(_clause, answer.groups))}."
    match answer.outcome:
        case "take":
            return _take(answer)
        case "keep":
            return _keep(answer)
        case "equal":
            return (
                f"Take which you like: {_where(answer)}, {_names(answer, ('equal',))} and {_constant(answer)} end "
                f"equally well, less than the smallest difference worth having apart ({_tasks(answer, answer.pooled)})."
            )
        case "undecided":
            return _undecided(answer)
        case "untested":
            return f"Not tested: {_untested(answer)}."


def _take(answer: Answer) -> str:
    best = _sure(answer)
    return (
        f"Take {spoken(best.strategy)}{_group(best)}: {_where(answer)} it ends better than {_constant(answer)}"
        f"{_by(best)}p = {probability(best.adjusted)}; {_tasks(answer, [best])})."
    )


def _clause(answer: Answer) -> str:
    """The answer of one group in a few words."""
    best, worse = _sure(answer), _names(answer, ("worse",))
    if answer.outcome != "take":
        return f"{best.group}: " + (f"keep it, worse are {worse}" if worse else "not decided")
    mean = f"+{best.effect.mean:.1f} margins, " if best.effect else ""
    others = [h.strategy for h in answer.pooled if h.word == "better" and h != best]
    more = f", or {_some(others)}" if others else ""
    return f"{best.group}: take {spoken(best.strategy)} ({mean}p = {probability(best.adjusted)}){more}"


def others(answer: Answer) -> str:
    """The strategies that the sentence does not name; "" where it leaves none out."""
    parts = [f"Not told apart from it: {_some(answer.tied)}."] if answer.tied and not answer.groups else []
    for word, says in REST.items():
        if names := [h.strategy for h in _unnamed(answer) if h.word == word]:
            parts.append(f"{says.format(reference=_constant(answer))}: {_some(names)}.")
    return " ".join(parts)


def _unnamed(answer: Answer) -> list[Hypothesis]:
    """Strategies that neither the sentence names nor those that are not told apart from its best one."""
    if answer.groups or answer.outcome not in ("take", "undecided") or answer.best is None:
        return []
    named = {answer.best.strategy, *answer.tied}
    return [h for h in answer.pooled if h.strategy not in named]


REST: dict[Word, str] = {
    "worse": "Worse than {reference}",
    "equal": "No better than {reference}",
    "undecided": "Not decided",
    "BatchNorm statistics only": "Better only by stale BatchNorm statistics",
    "too few blocks": "Too few runs to tell",
}
"""What is named of strategies that are not better."""


def _by(h: Hypothesis) -> str:
    """By how much, and the beginning of a bracket with its interval."""
    if h.effect is None:
        return " ("
    reach = "" if h.effect.low is None else f"{h.effect.low:.1f} to {h.effect.high:.1f}; ".replace("-", "−")
    return f", by {h.effect.mean:.1f} times the smallest difference worth having ({reach}"


def _keep(answer: Answer) -> str:
    text = f"Keep {_constant(answer)}: {_where(answer)} nothing else ends better ({_tasks(answer, answer.pooled)})"
    parts = [f"worse: {_names(answer, ('worse',))}"] if _names(answer, ("worse",)) else []
    if equal := _names(answer, ("equal",)):
        parts.append(f"equal, within the smallest difference worth having: {equal}")
    return f"{text}; {'; '.join(parts)}."


def _undecided(answer: Answer) -> str:
    best = _sure(answer)
    begin = f"Not decided: {_where(answer)} nothing is shown to end better than {_constant(answer)}"
    tested = f"{begin} ({_tasks(answer, answer.pooled)})."
    if all(h.word == "too few blocks" for h in answer.pooled):
        return f"{tested} There are too few seeds and tasks for any difference to become significant."
    if best.word == "BatchNorm statistics only":
        return f"{tested} The lead of {spoken(best.strategy)} goes away once BatchNorm's statistics are computed anew."
    lead = f"{spoken(best.strategy)}{_group(best)}"
    if best.effect is None:
        return f"{tested} Closest comes {lead} (p = {probability(best.adjusted)})."
    half = f" ± {best.effect.half:.1f}" if best.effect.half is not None else ""
    more = f"; about {answer.seeds_to_decide:,} seeds a task would decide" if answer.seeds_to_decide else ""
    mean = f"{best.effect.mean:+.1f}".replace("-", "−")
    return f"{tested} Closest comes {lead}: {mean}{half} margins{more}."


def _untested(answer: Answer) -> str:
    study = answer.comparison.study
    if study.published and all(len(facts.seeds) == 1 for facts in study.tasks.values()):
        return (
            "these are published runs with one seed each, and nothing says how much another seed would change. What "
            "ended first in each task is below, without a verdict"
        )
    if not study.tries:
        return "no result is recorded yet"
    whole = {o.why for o in answer.test.omissions if o.strategy is None}
    if whole == {"reference not run"}:
        return f"no task ran {answer.comparison.study.reference}, the reference, at a declared budget"
    if whole == {"one seed"}:
        return "each task has one seed, and nothing says how much another would change"
    if len(study.strategies) < 2:
        return f"{listed(list(study.strategies))} is the only strategy, so there is nothing to compare"
    reasons = [f"{listed(sorted(tasks))}: {WHY[why]}" for why, tasks in _reasons(answer.test.omissions).items()]
    return "no task has a result that can be tested (" + ("; ".join(reasons) or "no seed is complete") + ")"


def _reasons(omissions: Sequence[Omission]) -> dict[Why, set[str]]:
    """Tasks by the reason for which something of them is left out."""
    tasks: dict[Why, set[str]] = {}
    for o in omissions:
        tasks.setdefault(o.why, set()).add(o.task)
    return tasks


def spoken(strategy: str) -> str:
    """A strategy's name in a sentence: linear decay."""
    return f"{strategy} decay" if strategy in DECAYS else strategy


def _constant(answer: Answer) -> str:
    reference = answer.comparison.study.reference
    return "a constant LR" if reference == "constant" else spoken(reference)


def _where(answer: Answer) -> str:
    budgets = answer.at
    if budgets == (1.0,):
        return "at the full budget"
    ends = [percent(b).removesuffix(" %") for b in dict.fromkeys((budgets[0], budgets[-1]))]
    return f"at {' to '.join(ends)} % of the full budget"


def _tasks(answer: Answer, hypotheses: Sequence[Hypothesis]) -> str:
    """Number of tasks, families and seeds hypotheses are about: 4 tasks of 3 families, 8 seeds each."""
    tasks = list(dict.fromkeys(t for h in hypotheses for t in h.tasks))
    families = of_families(answer, tasks)
    low, high = answer.seeds
    seeds = f"{low} to {high}" if low < high else f"{high}"
    return f"{quantity(len(tasks), 'tasks')} of {quantity(len(families), 'families')}, {seeds} seeds each"


def _group(h: Hypothesis) -> str:
    return "" if h.group == "all" else f" in {h.group}"


def _names(answer: Answer, words: Sequence[str]) -> str:
    return _some([h.strategy for h in answer.pooled if h.word in words])


def _some(names: Sequence[str]) -> str:
    names = [spoken(s) for s in dict.fromkeys(names)]
    more = [f"{len(names) - NAMES} more"] * (len(names) > NAMES + 1)
    return listed(names if not more else [*names[:NAMES], *more])


def _sure(answer: Answer) -> Hypothesis:
    if answer.best is None:
        raise ValueError("nothing was tested")
    return answer.best


def brief(answer: Answer) -> Iterator[str]:
    """Numbers of the other strategies by verdict and the least lead that is seen, in a line; and what is missing."""
    parts = [f"{len(answer.tied)} not told apart from it"] if answer.tied and not answer.groups else []
    counts = {says: sum(h.word == word for h in _unnamed(answer)) for word, says in COUNTED.items()}
    parts += [f"{n} {says}" for says, n in counts.items() if n]
    text = f"Others: {', '.join(parts)}." if parts else ""
    if answer.invisible is not None:
        text += f" A true lead under {answer.invisible:.1f} margins may go unseen."
    if text:
        yield text.strip()
    if answer.comparison.study.audited:
        yield AUDITED
    yield from losses(answer.comparison.study)


COUNTED: dict[Word, str] = {
    "better": "better on fewer tasks",
    "worse": "worse",
    "equal": "equal to the reference",
    "undecided": "undecided",
    "BatchNorm statistics only": "better by stale BatchNorm statistics",
    "too few blocks": "with too few runs",
}
"""Verdicts of the strategies that a terminal only counts."""


def limits(answer: Answer) -> Iterator[str]:
    """Whatever else was tested, differences too small to be found, what was left out, and what is missing."""
    study = answer.comparison.study
    if rest := others(answer):
        yield rest
    if study.audited:
        yield AUDITED
    if answer.invisible is not None:
        low, high = answer.seeds
        n = f"{low} to {high}" if low < high else f"{high}"
        yield (
            f"With {n} seeds, a true lead of {answer.invisible:.1f} margins is found four times in five, a smaller one "
            "less often."
        )
    if out := left_out(answer):
        yield out
    yield from losses(study)


def left_out(answer: Answer) -> str:
    """Cases that the test leaves out, in one line; "" where that is none or all."""
    if not answer.pooled:
        return ""
    parts = []
    for why, says in SHORT.items():
        if tasks := list(dict.fromkeys(o.task for o in answer.test.omissions if o.why == why)):
            parts.append(f"{says} ({listed(tasks) if len(tasks) <= 2 else f'in {len(tasks)} tasks'})")
    return f"Left out of the test: {'; '.join(parts)}." if parts else ""


SHORT: dict[Why, str] = {
    "wind tunnel": "the wind tunnel",
    "no declared budget": "without a declared budget",
    "nothing learnt": "not shown to learn",
    "reference not run": "without the reference",
    "one seed": "one seed",
    "identical run": "the same run as the reference",
    "edge of the grid": "best peak LR at an edge of the grid",
}
"""Reasons for leaving something out, in a few words."""

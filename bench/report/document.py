"""What the comparison says, in words: the document behind `table.md` and the page. The answer comes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.analysis import ranking, reference
from bench.analysis.claim_tasks import entries
from bench.analysis.comparison import FIRST, Comparison, Verdict, leaders
from bench.analysis.stats.intervals import Interval, binomial_half
from bench.ledger.cell_row import Publication
from bench.report import tables
from bench.report.markup import Facts, Figure, Item, Section, Table
from bench.report.numbers import MISSING, listed, number, percent, value
from bench.report.sections import claims, diagnostics, peaks, provenance, theory
from bench.report.sections import reference as sheets
from bench.report.sections.missing import losses


def document(it: Comparison, figures: Mapping[str, Figure]) -> list[Section]:
    """The whole report. `figures` by key: `curves`, `ranks`, and `task NAME` of each task."""
    drawn = [figures[key] for key in ("ranks", "curves") if key in figures]
    tests = reference.tests(it)
    return [
        Section(f"Glideslope: {it.study.plan.suite}", (headline(it), *summary(it, tests))),
        Section(
            f"Against {it.study.reference}", (sheets.primary(it, tests) if tests else sheets.conclusion(it, tests),)
        ),
        Section("By task and budget", (tables.matrix(it),)),
        Section("Across tasks", (*_across(it, figures), *drawn)),
        *(_task(it, task, figures) for task in it.study.tasks),
        Section("Theory beside measurement", tuple(theory.section(it))),
        *_claims(it),
        *([] if it.study.published else [Section("How sharing paid", (Facts(tuple(provenance.sharing(it))),))]),
        Section("Provenance", (Facts(tuple(provenance.sources(it))),)),
    ]


# ---------------------------------------------------------------------------------------------- the answer


def headline(it: Comparison) -> Table:
    """Per task, at its largest budget: the best, by how much, and how sure."""
    rows = tuple(_headline(it, task) for task in it.study.tasks)
    note = "Differences are means paired by seed ± half of their 95 % interval; positive: the best is better."
    head = ("task", "best", "final", f"over {it.study.reference}", "over the runner-up", "metric, budget")
    return Table("The best at the largest budget, by how much, and how sure", head, rows, (note,))


def _headline(it: Comparison, task: str) -> tuple[Item, ...]:
    facts, best = it.study.tasks[task], it.best(task)
    judged = Item(f"{facts.metric} ({facts.direction}), {percent(it.study.budgets(task)[-1])}")
    if best is None:
        return (Item(task), *[Item(MISSING)] * 4, judged)
    full, second = it.full(task), it.runner_up(task)
    runner = _over(it, task, second)
    runner = runner._replace(text=f"{runner.text} ({second})") if second else runner
    final = Item(tables.outcome(full[best].score))
    return (Item(task), Item(_first(full)), final, _over(it, task, it.reference(task)), runner, judged)


def _first(group: Mapping[str, Verdict]) -> str:
    """What ranks first: one strategy, with those that are the same run, or those that tie."""
    best, *tied = leaders(group)
    if tied:
        return f"none: {listed([best, *tied])} tie"
    same = group[best].identical
    return listed([best, *same]) + " (one run)" * bool(same)


def answer(it: Comparison, task: str) -> str:
    """The task's line of the headline, as a sentence."""
    _, best, final, against, runner, judged = (field.text for field in _headline(it, task))
    return f"{task} ({judged}): {best} {final}; over {it.study.reference}: {against}; over the runner-up: {runner}."


SURE: dict[str, Item] = {
    "worse": Item("clear", "best"),
    "within noise": Item("within noise", "noise"),
    "not judged": Item("not judged"),
}
"""How sure it is that the best is better, by the verdict on the other one."""


def _over(it: Comparison, task: str, other: str | None) -> Item:
    """By how much the best is better than another strategy, and how sure."""
    verdict = it.full(task).get(other or "")  # a task's largest budget may be run by some of its strategies only
    if verdict is None:
        return Item(MISSING)
    if verdict.word in (*FIRST, "identical run"):
        return Item({"best": "is the best", "tied best": "ties"}.get(verdict.word, verdict.word))
    sure = SURE.get(verdict.word, Item(verdict.word, "bad"))
    if verdict.behind and verdict.behind.n == 1:
        sure = Item("one seed, not judged")
    return sure if verdict.behind is None else sure._replace(text=f"{value(verdict.behind, signed=True)}, {sure.text}")


def summary(it: Comparison, tests: Sequence[reference.ReferenceTest]) -> Iterator[str]:
    """The answer in a few sentences, and how far it goes."""
    if published := it.study.published:
        yield from _published(it, published)
        return
    tasks = [t for t in it.study.tasks if it.best(t)]
    lost = ("worse", "diverged", "failed")
    held = {t: v for t in tasks if (v := it.full(t).get(it.reference(t) or ""))}
    second = {t: it.full(t)[s] for t in tasks if (s := it.runner_up(t))}
    if held and second:
        beaten = sum(v.word in lost for v in held.values())
        over_second = sum(v.word == "worse" for v in second.values())
        yield (
            f"At the largest budget the best strategy clearly beats {it.study.reference} in {beaten} of {len(held)} "
            f"tasks, and its own runner-up in {over_second} of {len(second)}."
        )
    yield sheets.conclusion(it, tests)
    yield from losses(it.study)
    yield from baselines(it)
    yield (
        "A beats B only if the mean of their differences, paired by seed, exceeds half of its 95 % t interval. "
        f"{it.comparisons:,} comparisons with a best-ranked strategy were made, none adjusted for the others: even if "
        "nothing differed, one in twenty or more would come out “clear”, and the best of many looks better than it is. "
        "“Clear” is therefore less than “significant”, which only the primary test says."
    )
    yield (
        "Peak LRs are chosen for each seed by the final control value of the other seeds, with the same tries for all. "
        "Intervals are Student's t over seeds (initial weights and batch order), conditional on these test sets: "
        "another test set is not in them, and what it would change is said per task where the metric is a share."
    )


def _published(it: Comparison, about: Publication) -> Iterator[str]:
    """The same of other people's runs."""
    single = all(len(its.seeds) == 1 for its in it.study.tasks.values())
    yield (
        f"Published runs ({about.source}, {about.licence}), {len(it.study.tries):,} configurations; nobody here "
        "ran them. One number, the final validation loss, is both what peak LRs are chosen by and what is reported, so "
        "tuned values flatter themselves, the more so the more peak LRs were tried, which differs between strategies."
    )
    if single:
        yield (
            "Each configuration was run with one seed. No difference between strategies is called significant or clear "
            "here: nothing says how much another seed would change it."
        )
    for task, its in it.study.tasks.items():
        if repeats := its.repeats:
            yield (
                f"{task}: {repeats['runs']} runs repeat configurations with the same seed, with a pooled standard "
                f"deviation of {number(repeats['deviation'])}: a floor under the noise between seeds."
            )
    yield from losses(it.study)


def baselines(it: Comparison) -> Iterator[str]:
    """Which strategies did not get beyond the trivial baseline at the largest budget."""
    short = {task: it.short_of_baseline(task) for task in it.study.tasks if it.full(task)}
    for task, names in short.items():
        line = it.study.tasks[task].baseline
        if line is None:
            continue
        if all(v.score.final and v.score.final.n == 1 for v in it.full(task).values()):
            yield f"{task}: one seed gives no interval to hold against {line.name} ({number(line.value)})."
        elif names:
            yield (
                f"{task}: the interval of {listed(names)} does not lie wholly beyond the trivial baseline "
                f"({line.name}, {number(line.value)})."
            )
    if short and not any(short.values()):
        yield "Every strategy's interval at the largest budget lies wholly beyond its task's trivial baseline."


def _across(it: Comparison, figures: Mapping[str, Figure]) -> Iterator[str | Table | Figure]:
    panels = ranking.panels(it)
    if not panels:
        yield "No task has a rank for every strategy, so there is no mean rank."
        return
    yield "A rank says nothing of distance: differences within noise change ranks freely."
    for i, panel in enumerate(panels):
        yield tables.mean_ranks(panel)
        yield sheets.friedman(panel)
        yield from [figures[key] for key in (f"distances {i}",) if key in figures]
        yield sheets.places(panel)


def _claims(it: Comparison) -> Iterator[Section]:
    """The textbook's claims, judged on this ledger alone, if it can tell of any."""
    if entries({it.study.plan.suite: it}):
        judged = claims.document({it.study.plan.suite: it}, None)[0]
        alone = "Of this ledger alone; the command glideslope claims judges several together."
        yield Section(judged.title, (alone, *judged.blocks))


# ------------------------------------------------------------------------------------------------ each task


def _task(it: Comparison, task: str, figures: Mapping[str, Figure]) -> Section:
    drawn = [figures[key] for key in (f"task {task}",) if key in figures]
    worth = sheets.worth(it, task)
    more = (
        [tables.readings(it, task), tables.sensitivity(it, task), *diagnostics.sheets(it, task)]
        if it.full(task)
        else []
    )
    more = [worth, *more] if worth else more
    by_peak = peaks.table(it, task)
    flips: tuple[str | Table, ...] = (by_peak, *peaks.flips(it, task)) if by_peak else ()
    about = Facts(tuple(provenance.grid(it, task)))
    return Section(task, (tables.results(it, task), *_sentences(it, task), *drawn, *more, *flips, about))


def _sentences(it: Comparison, task: str) -> Iterator[str]:
    for budget in reversed(it.study.budgets(task)):
        group = it.at(task, budget)
        first = leaders(group)
        if len(first) == 1:
            yield f"{percent(budget)}: {_first(group)} ranks first; {_others(group)}."
        elif first:
            yield f"{percent(budget)}: no best, for {listed(first)} tie; {_others(group)}."
        yield from _identical(percent(budget), {s: v.identical for s, v in group.items() if v.identical})
    yield from sheets.limits(it, task)
    yield from _spread_of_test_set(it, task)
    peaks = it.study.peak_lrs(task)
    if peaks < 3:
        yield f"With {peaks} peak LRs every choice is at an edge of the grid, so edges are not marked."
    if not it.full(task):
        yield f"Nothing is recorded at {percent(it.study.budgets(task)[-1])} yet."


def _others(group: Mapping[str, Verdict]) -> str:
    """What is said of those that do not rank first."""
    near = [s for s, v in group.items() if v.word == "within noise"]
    worse = sum(v.word == "worse" for v in group.values())
    if all(v.word in FIRST for v in group.values()):
        return "no other is recorded"
    if not near and not worse and any(v.word == "not judged" for v in group.values()):
        single = all(v.score.final is None or v.score.final.n == 1 for v in group.values())
        return "one seed, so the others are not judged" if single else "the others are not judged"
    noise = f"within noise of it: {listed(near)}" if near else "none is within noise of it"
    rest = sum(v.word not in FIRST for v in group.values())
    return f"{noise}; clearly worse: {worse} of {rest}"


def _identical(budget: str, same: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    groups = sorted({tuple(sorted((s, *others))) for s, others in same.items()})
    for group in groups:
        yield f"{budget}: {listed(list(group))} are one identical run: their LRs never differed."


def _spread_of_test_set(it: Comparison, task: str) -> Iterator[str]:
    n, best = it.examples(task), it.best(task)
    final: Interval | None = it.full(task)[best].score.final if best else None
    if n and final is not None:
        half = binomial_half(final.mean, n)
        yield (
            f"Another test set of {n:,} examples would move the best value by ± {half:.2g} (binomial, 95 %); the "
            "intervals here are over seeds on this one. Differences move less, as strategies share the test set."
        )

"""The document behind `table.md` and the page: the comparison in words and tables, the answer first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.analysis import ranking
from bench.analysis.comparison import FIRST, Comparison, Verdict, leaders
from bench.analysis.primary import PrimaryTest
from bench.analysis.stats.intervals import Interval, binomial_half
from bench.analysis.textbook.claim_tasks import entries
from bench.ledger.cell_row import Publication
from bench.report import tables
from bench.report.markup import Facts, Figure, Item, Section, Table
from bench.report.numbers import MISSING, listed, number, percent, value
from bench.report.sections import claims, diagnostics, peaks, provenance, theory
from bench.report.sections.missing import losses
from bench.report.sections.reference import conclusion, friedman, limits, omitted, places, primary, worth


def document(comparison: Comparison, figures: Mapping[str, Figure]) -> list[Section]:
    """The whole report. `figures` by key: `curves`, `ranks`, and `task NAME` of each task."""
    study, test = comparison.study, PrimaryTest(comparison)
    overview = [figures[key] for key in ("ranks", "curves") if key in figures]
    sharing = [] if study.published else [Section("How sharing paid", (Facts(tuple(provenance.sharing(comparison))),))]
    return [
        Section(f"Glideslope: {study.plan.suite}", (headline(comparison), *summary(comparison, test))),
        Section(f"Against {study.reference}", tuple(_against(comparison, test))),
        Section("By task and budget", (tables.matrix(comparison),)),
        Section("Across tasks", (*_across(comparison, figures), *overview)),
        *(_task(comparison, task, figures) for task in study.tasks),
        Section("Theory beside measurement", tuple(theory.section(comparison))),
        *_claims(comparison),
        *sharing,
        Section("Provenance", (Facts(tuple(provenance.sources(comparison))),)),
    ]


# ---------------------------------------------------------------------------------------------- the answer


def headline(comparison: Comparison) -> Table:
    """The best strategy of each task at its largest budget, by how much it is better, and how sure that is."""
    rows = tuple(_headline(comparison, task) for task in comparison.study.tasks)
    note = "Differences are means paired by seed ± half of their 95 % interval; positive: the best is better."
    head = ("task", "best", "final", f"over {comparison.study.reference}", "over the runner-up", "metric, budget")
    return Table("The best at the largest budget, by how much, and how sure", head, rows, (note,))


def _headline(comparison: Comparison, task: str) -> tuple[Item, ...]:
    facts, best = comparison.study.tasks[task], comparison.best(task)
    metric = Item(f"{facts.metric} ({facts.direction}), {percent(comparison.study.budgets(task)[-1])}")
    if best is None:
        return (Item(task), *[Item(MISSING)] * 4, metric)
    full, second = comparison.full(task), comparison.runner_up(task)
    runner = _over(comparison, task, second)
    runner = runner._replace(text=f"{runner.text} ({second})") if second else runner
    final = Item(tables.outcome(full[best].score))
    return (Item(task), Item(_first(full)), final, _over(comparison, task, comparison.reference(task)), runner, metric)


def _first(group: Mapping[str, Verdict]) -> str:
    """The strategy that ranks first, with those that are the same run; or those that tie."""
    best, *tied = leaders(group)
    if tied:
        return f"none: {listed([best, *tied])} tie"
    same = group[best].identical
    return listed([best, *same]) + " (one run)" * bool(same)


def answer(comparison: Comparison, task: str) -> str:
    """The task's line of the headline, as a sentence."""
    _, best, final, against, runner, metric = (field.text for field in _headline(comparison, task))
    over = f"over {comparison.study.reference}: {against}; over the runner-up: {runner}"
    return f"{task} ({metric}): {best} {final}; {over}."


SURE: dict[str, Item] = {
    "worse": Item("clear", "best"),
    "within noise": Item("within noise", "noise"),
    "not judged": Item("not judged"),
}
"""Certainty that the best is better, by the verdict on the other strategy."""


def _over(comparison: Comparison, task: str, other: str | None) -> Item:
    """By how much the best is better than another strategy, and how sure."""
    # Missing if only some of the task's strategies run its largest budget.
    verdict = comparison.full(task).get(other or "")
    if verdict is None:
        return Item(MISSING)
    if verdict.word in (*FIRST, "identical run"):
        return Item({"best": "is the best", "tied best": "ties"}.get(verdict.word, verdict.word))
    sure = SURE.get(verdict.word, Item(verdict.word, "bad"))
    if verdict.behind and verdict.behind.n == 1:
        sure = Item("one seed, not judged")
    return sure if verdict.behind is None else sure._replace(text=f"{value(verdict.behind, signed=True)}, {sure.text}")


def _against(comparison: Comparison, test: PrimaryTest) -> Iterator[str | Table]:
    yield primary(comparison, test) if test.hypotheses else conclusion(comparison, test)
    yield from omitted(test.omissions)


def summary(comparison: Comparison, test: PrimaryTest) -> Iterator[str]:
    """The answer in a few sentences, and its limits."""
    study = comparison.study
    if published := study.published:
        yield from _published(comparison, published)
        return
    yield from _wins(comparison)
    yield conclusion(comparison, test)
    yield from losses(study)
    yield from baselines(comparison)
    yield (
        "A beats B only if the mean of their differences, paired by seed, exceeds half of its 95 % t interval. "
        f"{comparison.comparisons:,} comparisons with a best-ranked strategy were made, none adjusted for the others: "
        "even if nothing differed, one in twenty or more would come out “clear”, and the best of many looks better "
        "than it is. “Clear” is therefore less than “significant”, which only the primary test says."
    )
    yield (
        "Peak LRs are chosen for each seed by the final control value of the other seeds, with the same tries for all. "
        "Intervals are Student's t over seeds (initial weights and batch order), conditional on these test sets: "
        "another test set is not in them, and what it would change is said per task where the metric is a share."
    )


def _wins(comparison: Comparison) -> Iterator[str]:
    """In how many tasks the best clearly beats the reference and its own runner-up."""
    tasks = [t for t in comparison.study.tasks if comparison.best(t)]
    references = [v for t in tasks if (v := comparison.full(t).get(comparison.reference(t) or ""))]
    runners_up = [comparison.full(t)[s] for t in tasks if (s := comparison.runner_up(t))]
    if references and runners_up:
        over_reference = sum(v.word in ("worse", "diverged", "failed") for v in references)
        over_second = sum(v.word == "worse" for v in runners_up)
        yield (
            f"At the largest budget the best strategy clearly beats {comparison.study.reference} in {over_reference} "
            f"of {len(references)} tasks, and its own runner-up in {over_second} of {len(runners_up)}."
        )


def _published(comparison: Comparison, publication: Publication) -> Iterator[str]:
    """The summary of other people's runs."""
    study = comparison.study
    yield (
        f"Published runs ({publication.source}, {publication.licence}), {len(study.tries):,} configurations; none of "
        "them was run here. One number, the final validation loss, is both what peak LRs are chosen by and what is "
        "reported, so tuned values flatter themselves, the more so the more peak LRs were tried, which differs between "
        "strategies."
    )
    if all(len(facts.seeds) == 1 for facts in study.tasks.values()):
        yield (
            "Each configuration was run with one seed. No difference between strategies is called significant or clear "
            "here: nothing says how much another seed would change it."
        )
    for task, facts in study.tasks.items():
        if repeats := facts.repeats:
            yield (
                f"{task}: {repeats['runs']} runs repeat configurations with the same seed, with a pooled standard "
                f"deviation of {number(repeats['deviation'])}: a floor under the noise between seeds."
            )
    yield from losses(study)


def baselines(comparison: Comparison) -> Iterator[str]:
    """Sentences on strategies that did not get beyond the trivial baseline at the largest budget."""
    study = comparison.study
    short = {task: comparison.short_of_baseline(task) for task in study.tasks if comparison.full(task)}
    for task, names in short.items():
        baseline = study.tasks[task].baseline
        if baseline is None:
            continue
        if all(v.score.final and v.score.final.n == 1 for v in comparison.full(task).values()):
            yield f"{task}: one seed gives no interval to compare with {baseline.name} ({number(baseline.value)})."
        elif names:
            yield (
                f"{task}: the interval of {listed(names)} does not lie wholly beyond the trivial baseline "
                f"({baseline.name}, {number(baseline.value)})."
            )
    if short and not any(short.values()):
        yield "Every strategy's interval at the largest budget lies wholly beyond its task's trivial baseline."


def _across(comparison: Comparison, figures: Mapping[str, Figure]) -> Iterator[str | Table | Figure]:
    panels = ranking.panels(comparison)
    if not panels:
        yield "No task has a rank for every strategy, so there is no mean rank."
        return
    yield "A rank says nothing of distance: differences within noise change ranks freely."
    for i, panel in enumerate(panels):
        yield tables.mean_ranks(panel)
        yield friedman(panel)
        if f"distances {i}" in figures:
            yield figures[f"distances {i}"]
        yield places(panel)


def _claims(comparison: Comparison) -> Iterator[Section]:
    """The textbook's claims, judged on this ledger alone; nothing if the ledger has no task for them."""
    ledgers = {comparison.study.plan.suite: comparison}
    if entries(ledgers):
        section = claims.document(ledgers, None)[0]
        alone = "Of this ledger alone; the command glideslope claims judges several together."
        yield Section(section.title, (alone, *section.blocks))


# ------------------------------------------------------------------------------------------------ each task


def _task(comparison: Comparison, task: str, figures: Mapping[str, Figure]) -> Section:
    blocks: list[str | Table | Figure | Facts] = [tables.results(comparison, task), *_sentences(comparison, task)]
    if f"task {task}" in figures:
        blocks.append(figures[f"task {task}"])
    if budget_worth := worth(comparison, task):
        blocks.append(budget_worth)
    if comparison.full(task):
        blocks += [tables.readings(comparison, task), tables.sensitivity(comparison, task)]
        blocks += diagnostics.sheets(comparison, task)
    if by_peak := peaks.table(comparison, task):
        blocks += [by_peak, *peaks.flips(comparison, task)]
    return Section(task, (*blocks, Facts(tuple(provenance.grid(comparison, task)))))


def _sentences(comparison: Comparison, task: str) -> Iterator[str]:
    budgets = comparison.study.budgets(task)
    for budget in reversed(budgets):
        group = comparison.at(task, budget)
        first = leaders(group)
        if len(first) == 1:
            yield f"{percent(budget)}: {_first(group)} ranks first; {_others(group)}."
        elif first:
            yield f"{percent(budget)}: no best, for {listed(first)} tie; {_others(group)}."
        yield from _identical(percent(budget), {s: v.identical for s, v in group.items() if v.identical})
    yield from limits(comparison, task)
    yield from _spread_of_test_set(comparison, task)
    peak_lrs = comparison.study.peak_lrs(task)
    if peak_lrs < 3:
        yield f"With {peak_lrs} peak LRs every choice is at an edge of the grid, so edges are not marked."
    if not comparison.full(task):
        yield f"Nothing is recorded at {percent(budgets[-1])} yet."


def _others(group: Mapping[str, Verdict]) -> str:
    """Verdict on the strategies that do not rank first, in a few words."""
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


def _spread_of_test_set(comparison: Comparison, task: str) -> Iterator[str]:
    n, best = comparison.examples(task), comparison.best(task)
    final: Interval | None = comparison.full(task)[best].score.final if best else None
    if n and final is not None:
        half = binomial_half(final.mean, n)
        yield (
            f"Another test set of {n:,} examples would move the best value by ± {half:.2g} (binomial, 95 %); the "
            "intervals here are over seeds on this one. Differences move less, as strategies share the test set."
        )

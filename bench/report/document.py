"""The document behind `table.md` and the page: the answer first, then each task, and what else the ledger says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.analysis import ranking
from bench.analysis.comparison import Comparison, leaders
from bench.analysis.prediction.saved import Saved
from bench.analysis.protocol.answer import Answer
from bench.analysis.stats.intervals import Interval, binomial_half
from bench.analysis.textbook.claim_tasks import entries
from bench.ledger.cell_row import Publication
from bench.report import tables
from bench.report.markup import Block, Columns, Facts, Figure, Fold, Plain, Section
from bench.report.numbers import listed, number, percent
from bench.report.prediction import orders
from bench.report.sections import advice, answer, diagnostics, effect_sizes, peaks, provenance, reference
from bench.report.textbook import claims, theory


def document(result: Answer, figures: Mapping[str, Figure], predictions: Sequence[Saved] = ()) -> list[Section]:
    """The whole report; `predictions` are those of held-out schedules, if `glideslope predict` has left some.

    `figures` by key: `effects`, `forest`, `profiles`, `curves`, and `task NAME`, `peaks NAME` of each task.
    """
    comparison, study = result.comparison, result.comparison.study
    elsewhere = study.published or study.audited
    sharing = [] if elsewhere else [_folded("How sharing paid", Facts(tuple(provenance.sharing(comparison))))]
    return [
        Section(f"Glideslope: {study.plan.suite}", tuple(_first_screen(result, figures))),
        *(_task(comparison, task, figures) for task in study.tasks),
        _folded("The test behind the answer", *_test(result, figures)),
        _folded("Across tasks", *_across(comparison, figures)),
        _folded("Theory beside measurement", *orders.section(predictions, study), *theory.section(comparison)),
        *_claims(comparison),
        _folded("How to read the tables", *_reading(comparison)),
        *sharing,
        _folded("Provenance", Facts(tuple(provenance.sources(comparison)))),
    ]


def _folded(title: str, *blocks: Block) -> Section:
    return Section(title, blocks, folded=True)


# ---------------------------------------------------------------------------------------------- the answer


def _first_screen(result: Answer, figures: Mapping[str, Figure]) -> Iterator[Block]:
    """The answer in a sentence, as pictures, and task by task; the method is folded away."""
    yield answer.sentence(result)
    yield from answer.limits(result)
    pictures = tuple(figures[key] for key in ("effects", "forest") if key in figures)
    legend = advice.LEGEND.format(reference=result.comparison.study.reference)
    if pictures:
        yield Columns(pictures, (advice.advice(result), legend))
    else:
        yield advice.advice(result)
        yield legend
    yield Fold("How this was judged", tuple(_method(result)))


def _method(result: Answer) -> Iterator[Plain]:
    comparison = result.comparison
    if published := comparison.study.published:
        yield from _published(comparison, published)
    yield reference.method(comparison, result.test)
    yield (
        "Peak LRs are chosen for each seed by the final control values of the next five seeds, or with fewer by all "
        "together, with the same tries for every strategy. Everything reported is on test. Intervals are Student's t "
        "over seeds (initial weights and batch order), on these test sets."
    )
    yield (
        "In the table, and wherever a single task is judged, a strategy is better or worse than "
        f"{comparison.study.reference} if the 95 % interval of their differences, paired by seed, excludes 0; the "
        "intervals of a column hold together (Bonferroni). Equal: the interval lies within one margin. “As good” are "
        "those within noise of the first one. The number of seeds is what would decide with the spread seen so far."
    )
    yield from baselines(comparison)


def _test(result: Answer, figures: Mapping[str, Figure]) -> Iterator[Block]:
    if result.test.hypotheses:
        yield reference.primary(result.comparison, result.test)
    else:
        yield reference.method(result.comparison, result.test)
    yield from reference.omitted(result.test.omissions)
    if table := effect_sizes.sizes(result.effect_sizes, result.comparison.study.reference):
        yield table
    if "profiles" in figures:
        yield figures["profiles"]
    if table := effect_sizes.tries(result.comparison):
        yield table


def _published(comparison: Comparison, publication: Publication) -> Iterator[str]:
    """Facts about other people's runs."""
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


def _across(comparison: Comparison, figures: Mapping[str, Figure]) -> Iterator[Block]:
    """Ranks over tasks, once: as the diagram of their test or, where none is drawn, as means."""
    if panel := ranking.widest(comparison):
        yield "A rank says nothing of distance: differences within noise change ranks freely."
        yield figures.get("distances") or tables.mean_ranks(panel)
        yield reference.friedman(panel)
    else:
        yield "No task has a rank for every strategy, so there is no mean rank."
    if "curves" in figures:
        yield figures["curves"]


def _claims(comparison: Comparison) -> Iterator[Section]:
    """The textbook's claims, judged on this ledger alone; nothing if the ledger has no task for them."""
    ledgers = {comparison.study.plan.suite: comparison}
    if entries(ledgers):
        section = claims.document(ledgers, None)[0]
        alone = "Of this ledger alone; glideslope claims judges several together, and results/README.md has the rules."
        yield _folded(section.title, alone, section.blocks[0])


def _reading(comparison: Comparison) -> Iterator[Block]:
    yield "A value is a mean over seeds ± half of its 95 % interval, with as many digits as tell verdicts apart."
    yield (
        "“Best epoch's” is the test value at the epoch with the best control value, never a maximum over test. “Final” "
        "has BatchNorm's running statistics; “recalibrated”, those of training batches. “Worst LR costs” is the "
        "distance between the means at the best and the worst peak LR. Differences are paired by seed; above 0 is "
        "better."
    )
    yield Facts(diagnostics.NOTES)


# ------------------------------------------------------------------------------------------------ each task


def _task(comparison: Comparison, task: str, figures: Mapping[str, Figure]) -> Section:
    blocks: list[Block] = [tables.results(comparison, task), *_sentences(comparison, task)]
    blocks += reference.worth(comparison, task)
    if f"task {task}" in figures:
        blocks.append(figures[f"task {task}"])
    if f"peaks {task}" in figures:
        blocks.append(figures[f"peaks {task}"])
    blocks += peaks.flips(comparison, task)
    # The table of verdicts by the number of tries belongs here.
    if comparison.full(task):
        blocks += [tables.readings(comparison, task), *diagnostics.sheets(comparison, task)]
    blocks.append(Facts(tuple(provenance.grid(comparison, task))))
    return Section(task, tuple(blocks), folded=True, brief=_brief(comparison, task))


def _brief(comparison: Comparison, task: str) -> str:
    """The first of a task at its largest budget, beside its name."""
    first, budget = leaders(comparison.full(task)), percent(comparison.study.budgets(task)[-1])
    if not first:
        return "nothing recorded at the largest budget"
    names = "a tie" if len(first) > 1 else first[0]
    facts = comparison.study.tasks[task]
    return f"{names} first at {budget}: {facts.metric} {tables.outcome(comparison.full(task)[first[0]].score)}"


def _sentences(comparison: Comparison, task: str) -> Iterator[str]:
    """Facts that the table of results does not show."""
    budgets = comparison.study.budgets(task)
    for budget in reversed(budgets):
        first = leaders(comparison.at(task, budget))
        if len(first) > 1:
            yield f"{percent(budget)}: no best, for {listed(first)} tie."
    yield from _identical(comparison, task)
    yield from _spread_of_test_set(comparison, task)
    peak_lrs = comparison.study.peak_lrs(task)
    if peak_lrs < 3:
        yield f"With {peak_lrs} peak LRs every choice is at an edge of the grid, so edges are not marked."
    if not comparison.full(task):
        yield f"Nothing is recorded at {percent(budgets[-1])} yet."


def _identical(comparison: Comparison, task: str) -> Iterator[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for budget in comparison.study.budgets(task):
        same = {s: v.identical for s, v in comparison.at(task, budget).items() if v.identical}
        for group in sorted({tuple(sorted((s, *others))) for s, others in same.items()}):
            groups.setdefault(group, []).append(percent(budget))
    for group, budgets in groups.items():
        yield f"At {listed(budgets)} {listed(list(group))} are one identical run: their LRs never differed."


def _spread_of_test_set(comparison: Comparison, task: str) -> Iterator[str]:
    n, best = comparison.examples(task), comparison.best(task)
    final: Interval | None = comparison.full(task)[best].score.final if best else None
    if n and final is not None:
        half = binomial_half(final.mean, n)
        yield (
            f"Another test set of {n:,} examples would move the best value by ± {half:.2g} (binomial, 95 %), "
            "and differences by less."
        )

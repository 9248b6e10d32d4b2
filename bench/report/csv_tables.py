"""The comparison as CSV, in full precision; missing values are empty. `results/README.md` explains the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from bench.analysis.budget_worth import worths
from bench.analysis.comparison import Comparison, Verdict
from bench.analysis.protocol.primary import Hypothesis
from bench.analysis.protocol.reference import VersusReference, standings, visible
from bench.analysis.stats.equivalent_budget import Worth
from bench.analysis.stats.intervals import binomial_half

COLUMNS = """
    task strategy budget epochs total n mean low high half best_mean best_epoch recalibrated control chosen_peak_lrs
    rank identical_to behind behind_half verdict diverged tries edge metric direction
    over_reference over_reference_half worth worth_low worth_high detectable binomial_half
    margin over_reference_recalibrated over_reference_recalibrated_half against_reference seeds_to_decide
"""

TEST_COLUMNS = """
    strategy group tasks blocks effect p p_adjusted verdict in_margins in_margins_low in_margins_high
    blocks_better blocks_better_low blocks_better_high tasks_better tasks_worse tasks_equal
"""


def table_csv(comparison: Comparison) -> str:
    """One line for each task, budget and strategy."""
    return csv_text(COLUMNS, table_lines(comparison))


def table_lines(comparison: Comparison) -> list[dict[str, object]]:
    """The lines of `table_csv` as values by column; None where there is no value."""
    lines, columns = [], dict.fromkeys(COLUMNS.split())
    by_task = {task: worths(comparison, task) for task in comparison.study.tasks}
    for (task, budget), group in comparison.verdicts.items():
        beside = standings(comparison, task, budget)
        detectable = visible(comparison, task, budget)
        for strategy, verdict in group.items():
            line: dict[str, object] = {"task": task, "strategy": strategy, "detectable": detectable}
            line |= _results(verdict) | _about(comparison, task, verdict)
            if strategy in beside:
                line |= _beside(beside[strategy])
            lines.append(columns | line | _worth(by_task[task].get((strategy, budget))))
    return lines


def _results(verdict: Verdict) -> dict[str, object]:
    score, first = verdict.score, verdict.score.tries[0]
    line: dict[str, object] = {
        "budget": first.budget,
        "epochs": first.epochs,
        "total": first.total,
        "n": len(score.selected),
    }
    if final := score.final:
        line |= {"mean": final.mean, "low": final.low, "high": final.high, "half": final.half}
    for field in ("best", "best_epoch", "recalibrated", "control"):
        if over_seeds := score.over_seeds(field):
            line["best_mean" if field == "best" else field] = over_seeds.mean
    if behind := verdict.behind:
        line |= {"behind": behind.mean, "behind_half": behind.half}
    return line | {
        "chosen_peak_lrs": _joined([t.peak_lr for t in score.selected]),
        "rank": verdict.rank,
        "identical_to": _joined(verdict.identical),
        "verdict": verdict.word,
        "diverged": score.diverged,
        "tries": len(score.tries),
        "edge": _joined(score.edges),
    }


def _about(comparison: Comparison, task: str, verdict: Verdict) -> dict[str, object]:
    final, examples = verdict.score.final, comparison.examples(task)
    return {
        "metric": comparison.study.tasks[task].metric,
        "direction": comparison.direction(task),
        "binomial_half": binomial_half(final.mean, examples) if final and examples else None,
        "margin": comparison.margin(task),
    }


def _beside(standing: VersusReference) -> dict[str, object]:
    line: dict[str, object] = {"against_reference": standing.word, "seeds_to_decide": standing.seeds}
    if over := standing.lead:
        line |= {"over_reference": over.mean, "over_reference_half": over.half}
    if over := standing.recalibrated:
        line |= {"over_reference_recalibrated": over.mean, "over_reference_recalibrated_half": over.half}
    return line


def _worth(worth: Worth | None) -> dict[str, object]:
    return {"worth": worth.share, "worth_low": worth.low, "worth_high": worth.high} if worth else {}


def tests_csv(hypotheses: Iterable[Hypothesis]) -> str:
    """One line for each hypothesis of the primary test."""
    lines = []
    for h in hypotheses:
        effect, share = h.effect, h.improvement
        fields = [h.strategy, h.group, h.flip.tasks, h.flip.blocks, h.flip.effect, h.p, h.adjusted, h.word]
        fields += [effect.mean, effect.low, effect.high] if effect else [None, None, None]
        fields += [share.share, share.low, share.high, *h.signs]
        lines.append(dict(zip(TEST_COLUMNS.split(), fields, strict=True)))
    return csv_text(TEST_COLUMNS, lines)


def csv_text(columns: str, lines: Iterable[Mapping[str, object]]) -> str:
    """Lines as CSV, with these columns."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns.split(), lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    return text.getvalue()


def _joined(parts: Sequence[object]) -> str:
    return "; ".join(map(str, parts))

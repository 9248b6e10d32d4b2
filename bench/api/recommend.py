"""`bench.recommend`: `glideslope recommend` as a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.options import parsed
from bench.api.results import WIDTH, printed
from bench.cli.advice import recommend as command

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

    from bench.analysis.recommend.recommendation import Recommendation

SURE = ("take", "keep", "equal")
"""Outcomes that recommend a strategy."""


@dataclass(frozen=True, repr=False)
class Suggestion:
    """A recommendation. `str` of it is the paragraph that the command line prints.

    Attributes:
        recommendation: All that it rests on.
        notes: Lines about ledgers that were left out.
    """

    recommendation: Recommendation
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """The kind of advice: take a strategy, keep the reference, any will do (equal), or why nothing is."""
        r = self.recommendation
        if r.over_family:
            pooled = r.family.verdict if r.family else None
            return pooled.outcome if pooled else "not enough data"
        if not r.verdicts:
            return "not enough data"
        return "not enough data" if r.verdicts[0].doubts else r.verdicts[0].outcome

    @property
    def strategy(self) -> str | None:
        """The strategy to take, by the name that `schedules.parse` and `Scheduler` read; None if none is recommended.

        A task that was run with several optimizers or averagings has them in the name, after `with`.
        """
        r = self.recommendation
        if self.outcome not in SURE:
            return None
        if not r.over_family:
            return r.verdicts[0].best
        pooled = r.family.verdict if r.family else None
        if pooled is None:
            return None
        return r.family.comparison.study.reference if pooled.outcome == "keep" and r.family else pooled.best.strategy

    @property
    def peak_lr(self) -> float | None:
        """The peak LR chosen most often for it; None over a family, whose tasks each have their own."""
        if self.strategy is None or self.recommendation.over_family:
            return None
        return self.recommendation.verdicts[0].score(self.strategy).pick

    @property
    def answer(self) -> str:
        """The answer in a paragraph."""
        from bench.report.sections.recommendation import paragraph

        return " ".join(paragraph(self.recommendation))

    @property
    def commands(self) -> tuple[str, ...]:
        """Commands that would get missing data, the cheapest first."""
        from bench.report.sections.missing_run import command

        return tuple(map(command, self.recommendation.remedies()))

    def __repr__(self) -> str:
        return f"<{self.answer}>"

    def __str__(self) -> str:
        return printed(self._show, WIDTH)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield the answer, and the command that would make it surer."""
        from rich.text import Text

        yield Text.from_ansi(printed(self._show, options.max_width, colours=True))

    def _show(self, console: Console) -> None:
        from bench.report.sections.recommendation import show

        show(self.recommendation, console)

    def _repr_html_(self) -> str:
        commands = "".join(f"<pre>{escape(command)}</pre>" for command in self.commands[:1])
        return f"<p>{escape(self.answer)}</p>{commands}"


def recommend(
    *,
    epochs: float,
    task: str | None = None,
    family: str | None = None,
    ledger: str | Path | Iterable[str | Path] | None = None,
) -> Suggestion:
    """Which decay to take for a task, or for a family of tasks, and a budget, from the ledgers at hand.

    Args:
        epochs: The budget, in epochs.
        task: A task, such as `digits` or `digits(model='cnn')`.
        family: All tasks of a family, such as `image`, instead of one task.
        ledger: Directories of runs; by default those under `runs/`, and the published results of a checkout.

    Raises:
        InputError: neither or both of task and family, unknown ones, a budget that is not above 0, no such ledger.
    """
    options = {"epochs": epochs, "task": task, "family": family, "ledger": ledger}
    recommendation, notes = command.recommendation(parsed(command.arguments, options))
    return Suggestion(recommendation, tuple(notes))

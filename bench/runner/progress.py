"""The progress display: what runs now, cells done, time left."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.contract import Cohort


class ProgressDisplay:
    """The progress display. Cohorts count by their predicted cost, corrected by what has been seen.

    The time left is what all of it takes at the pace so far, and no less than what the slowest cohort at work still
    needs at its own.
    """

    def __init__(self, console: Console, cost: dict[str, float], cells: int, total: int):
        self.console, self.cost = console, cost
        self.begun = time.monotonic()
        self.share: dict[str, float] = {}  # of each cohort, done here
        self.first: dict[str, tuple[float, float]] = {}  # when a cohort was first heard of, and its share then
        self.cells = dict.fromkeys(cost, 0)
        self.bar = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
        )
        self.before = total - cells
        self.all: TaskID = self.bar.add_task("all", total=total, completed=self.before, left="")
        self.lines: dict[str, TaskID] = {}

    def start(self, cohort: Cohort) -> None:
        text = f"  {cohort.task} seed {cohort.seed}"
        self.lines[cohort.id] = self.bar.add_task(text, total=len(cohort.cells), left="")

    def news(self, cohort: Cohort, cell_steps: int, cells: int) -> None:
        self.share[cohort.id] = cell_steps / cohort.cell_steps
        self.first.setdefault(cohort.id, (time.monotonic(), self.share[cohort.id]))
        self.cells[cohort.id] = cells
        self.bar.update(self.lines[cohort.id], completed=cells)
        self.bar.update(self.all, completed=self.before + sum(self.cells.values()), left=self._left())

    def end(self, cohort: Cohort, how: str) -> None:
        self.bar.remove_task(self.lines.pop(cohort.id))
        if how == "elsewhere":  # what others do takes no time here, and is summed up at the end
            del self.cost[cohort.id]
            self.share.pop(cohort.id, None)
            return
        if how == "done":
            self.news_of_end(cohort)
        if not self.console.is_terminal or how != "done":
            done = self.before + sum(self.cells.values())
            total = self.bar.tasks[0].total
            left = self._left()
            self.console.print(
                f"{cohort.task} seed {cohort.seed}: {how}; {done} of {total:g} cells{left and ', ' + left}",
                highlight=False,
            )

    def news_of_end(self, cohort: Cohort) -> None:
        self.share[cohort.id], self.cells[cohort.id] = 1.0, len(cohort.cells)
        self.bar.update(self.all, completed=self.before + sum(self.cells.values()), left=self._left())

    def _left(self) -> str:
        done = sum(self.cost[i] * share for i, share in self.share.items())
        if not done:
            return ""
        at_pace = (time.monotonic() - self.begun) * max(0.0, sum(self.cost.values()) / done - 1)
        seconds = max(at_pace, *map(self._needs, self.lines), 0.0)
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"

    def _needs(self, cohort: str) -> float:
        """Seconds that a cohort at work still needs at its own pace; 0 until that is known."""
        begun, before = self.first.get(cohort, (0.0, 1.0))
        share = self.share.get(cohort, 0.0)
        return (time.monotonic() - begun) * (1 - share) / (share - before) if share > before else 0.0

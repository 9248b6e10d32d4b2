"""Progress display: cohorts in training, cells done, time left."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.contract import Cohort


class ProgressDisplay:
    """Bar of all cells, and a line for each cohort in training.

    The time left is extrapolated from the pace so far, where cohorts count by their predicted cost. It is no less than
    the slowest cohort in training still needs at its own pace.
    """

    def __init__(self, console: Console, cost: dict[str, float], cells: int, total: int):
        self.console, self.cost = console, cost
        self.start_time = time.monotonic()
        self.shares: dict[str, float] = {}  # of each cohort, the part that is done
        self.first_reports: dict[str, tuple[float, float]] = {}  # of each cohort: (time, share)
        self.cells = dict.fromkeys(cost, 0)
        self.bar = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remaining]}"),
            console=console,
            transient=True,
        )
        self.before = total - cells
        self.all: TaskID = self.bar.add_task("all", total=total, completed=self.before, remaining="")
        self.lines: dict[str, TaskID] = {}

    def start(self, cohort: Cohort) -> None:
        text = f"  {cohort.task} seed {cohort.seed}"
        self.lines[cohort.id] = self.bar.add_task(text, total=len(cohort.cells), remaining="")

    def update(self, cohort: Cohort, cell_steps: int, cells: int) -> None:
        self.shares[cohort.id] = cell_steps / cohort.cell_steps
        self.first_reports.setdefault(cohort.id, (time.monotonic(), self.shares[cohort.id]))
        self.cells[cohort.id] = cells
        self.bar.update(self.lines[cohort.id], completed=cells)
        self.bar.update(self.all, completed=self.before + sum(self.cells.values()), remaining=self._time_left())

    def end(self, cohort: Cohort, ending: str) -> None:
        self.bar.remove_task(self.lines.pop(cohort.id))
        if ending == "elsewhere":  # it takes no time here, and is reported at the end of the run
            del self.cost[cohort.id]
            self.shares.pop(cohort.id, None)
            return
        if ending == "done":
            self.complete(cohort)
        if not self.console.is_terminal or ending != "done":
            finished_cells = self.before + sum(self.cells.values())
            total = self.bar.tasks[0].total
            remaining = self._time_left()
            counts = f"{finished_cells} of {total:g} cells{remaining and ', ' + remaining}"
            self.console.print(f"{cohort.task} seed {cohort.seed}: {ending}; {counts}", highlight=False)

    def complete(self, cohort: Cohort) -> None:
        self.shares[cohort.id], self.cells[cohort.id] = 1.0, len(cohort.cells)
        self.bar.update(self.all, completed=self.before + sum(self.cells.values()), remaining=self._time_left())

    def _time_left(self) -> str:
        spent = sum(self.cost[i] * share for i, share in self.shares.items())
        if not spent:
            return ""
        at_pace = (time.monotonic() - self.start_time) * max(0.0, sum(self.cost.values()) / spent - 1)
        seconds = max(at_pace, *map(self._seconds_needed, self.lines), 0.0)
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"

    def _seconds_needed(self, cohort: str) -> float:
        """Seconds that a cohort in training still needs at its own pace; 0 until that is known."""
        first_time, first_share = self.first_reports.get(cohort, (0.0, 1.0))
        share = self.shares.get(cohort, 0.0)
        if share <= first_share:
            return 0.0
        return (time.monotonic() - first_time) * (1 - share) / (share - first_share)

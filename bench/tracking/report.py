"""A W&B Report of a ledger: the tables of `glideslope report`, next to panels of the mirrored runs."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from bench.analysis.comparison import Comparison
from bench.analysis.protocol.answer import Answer
from bench.report import document, markup
from bench.tracking import scores
from bench.tracking.artifact import Place, Version

LONGEST = 128
"""Most characters in a report's title that W&B accepts."""

DRAFT, FINAL = "runs/draft", "runs"
"""The two types of a report, as W&B's API calls them."""


def title(comparison: Comparison) -> str:
    """Title by which the report of a plan is found again; it holds the plan's whole id, even if the name is long."""
    plan = f" ({comparison.study.plan.plan})"
    return f"Glideslope: {comparison.study.plan.suite}"[: LONGEST - len(plan)] + plan


def publish(comparison: Comparison, place: Place, ledger: Version, *, final: bool = False) -> str:
    """Write the report of a plan, or replace the one that the server has; return its URL.

    A report begins as a draft; `final` publishes it, and a published report stays published.
    """
    page = Page(comparison, place)
    published, draft = (_find(place, title(comparison), kind) for kind in (FINAL, DRAFT))
    report = page.wr.Report(
        project=place.project,
        entity=place.entity,
        title=title(comparison),
        description=f"Which learning-rate decay ends best in suite {comparison.study.plan.suite}, and how sure are we?",
        blocks=list(page.blocks(ledger)),
        width="fluid",
    )
    report.id = published or draft or ""
    report.save(draft=not (final or published))
    return str(report.url)


def _find(place: Place, name: str, kind: str) -> str | None:
    """Id of the first report of this title and type, None if there is none."""
    import wandb

    views = wandb.Api().reports(f"{place.entity}/{place.project}")
    views.variables["viewType"] = kind  # the client requests final reports only, by default
    return next((str(view.id) for view in views if view.display_name == name), None)


class Page:
    """Blocks of a report: the sections of `glideslope report`, and panels that show the same from W&B's runs."""

    def __init__(self, comparison: Comparison, place: Place):
        self.comparison, self.place = comparison, place

    @cached_property
    def wr(self) -> Any:
        """The library that encodes reports. Its import takes a second, and mypy cannot see its names."""
        return importlib.import_module("wandb_workspaces.reports.v2")

    def blocks(self, ledger: Version) -> Iterator[Any]:
        yield self.wr.TableOfContents()
        for section in document.document(Answer(self.comparison), {}):
            yield self.wr.H1(section.title)
            yield self.wr.MarkdownBlock("\n\n".join(map(markup.passage, section.blocks)))
            if section.title in self.comparison.study.tasks:
                yield from self._task(section.title)
            elif section.title == "Across tasks":
                yield from self._ranks()
            elif section.title == "Provenance":
                link = self.wr.Link(ledger.name, ledger.url)
                yield self.wr.P(["Every number here is derived from the ledger: ", link])

    def _ranks(self) -> Iterator[Any]:
        panel = self._lines("mean rank over tasks (1 is best)", "budget", "rank", "share of the full budget")
        yield from self._grid("Ranks", {"jobType": scores.JOB}, panel)

    def _task(self, task: str) -> Iterator[Any]:
        facts = self.comparison.study.tasks[task]
        metric, score_runs = f"final test {facts.metric}", {"jobType": scores.JOB, "task": task}
        lines = self._lines(metric, "epoch", "final", "epoch budget")
        yield from self._grid(f"{task}: {metric} against epoch budget", score_runs, lines)
        lines = self._lines(metric, "peak_lr", "final_at_peak_lr", "peak LR", log_x=True)
        yield from self._grid(f"{task}: sensitivity to the peak LR, at the largest budget", score_runs, lines)
        cells = {"jobType": task, "budget": self.comparison.study.budgets(task)[-1]}
        yield from self._grid(f"{task}: every cell at the largest budget", cells, self._dots(metric), grouped=False)
        curve = {"seed": facts.seeds[0], "peak_lr": self._usual_peak_lr(task)}
        lines = self._lines("LR", "epoch", "lr", "epoch")
        heading = f"{task}: LR curves at peak LR {curve['peak_lr']:g}, seed {curve['seed']}"
        yield from self._grid(heading, cells | curve, lines)

    def _usual_peak_lr(self, task: str) -> float:
        """The peak LR at which most strategies were tried; if there are several, the middle one."""
        tried = {(t.strategy, t.peak_lr) for t in self.comparison.study.tries if t.task == task}
        counts = Counter(lr for _, lr in tried) or Counter(self.comparison.study.tasks[task].peak_lrs)
        usual = sorted(lr for lr, count in counts.items() if count == max(counts.values()))
        return float(usual[len(usual) // 2])

    # -------------------------------------------------------------------------------- grids and panels

    def _grid(self, heading: str, conditions: dict[str, Any], panel: Any, *, grouped: bool = True) -> Iterator[Any]:
        """A heading, and a panel over the runs of this plan that satisfy the conditions.

        The key `jobType` is an attribute of a run; all other keys are in its config.
        """
        terms = {"plan": self.comparison.study.plan.plan} | conditions
        keys = {key: "Metric('jobType')" if key == "jobType" else f"Config('{key}.value')" for key in terms}
        runset = self.wr.Runset(
            entity=self.place.entity,
            project=self.place.project,
            name=heading,
            filters=" and ".join(f"{keys[key]} == {literal(value)}" for key, value in terms.items()),
            groupby=["config.strategy"] if grouped else [],
        )
        yield self.wr.H2(heading)
        yield self.wr.PanelGrid(runsets=[runset], panels=[panel])

    def _lines(self, heading: str, x: str, y: str, title_x: str, *, log_x: bool = False) -> Any:
        """A line for each strategy: the mean over the runs of its group, in a band of one standard error."""
        return self.wr.LinePlot(
            title=heading,
            x=x,
            y=[y],
            title_x=title_x,
            log_x=log_x,
            groupby=self.wr.Config("strategy"),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            max_runs_to_show=len(self.comparison.study.strategies),
            layout=self._wide(),
        )

    def _dots(self, heading: str) -> Any:
        return self.wr.ScatterPlot(
            title=heading,
            x=self.wr.Config("peak_lr"),
            y=self.wr.SummaryMetric("final"),
            log_x=True,
            layout=self._wide(),
        )

    def _wide(self) -> Any:
        return self.wr.Layout(w=24, h=10)


def literal(value: Any) -> str:
    r"""A value in a filter. The client rewrites comparison signs everywhere, even in strings, so these are escaped.

    >>> print(literal("digits(model='cnn')"))
    "digits(model\x3d'cnn')"
    """
    text = repr(value)
    for sign in "=<>":
        text = text.replace(sign, f"\\x{ord(sign):02x}")
    return text

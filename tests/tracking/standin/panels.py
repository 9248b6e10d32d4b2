"""Contents of a saved report's panels, computed from its spec and the stand-in's runs."""

from typing import NamedTuple

COMPARE = {
    "=": lambda got, want: got == want,
    "!=": lambda got, want: got != want,
    "<=": lambda got, want: got is not None and got <= want,
    ">=": lambda got, want: got is not None and got >= want,
    "IN": lambda got, want: got in want,
    "NIN": lambda got, want: got not in want,
}
ATTRIBUTES = {"jobType": "job_type", "group": "group", "state": "state", "name": "name", "displayName": "display"}


class Panel(NamedTuple):
    """One panel. Points of lines: group -> x -> values to average. Points of dots: run -> (x, y)."""

    heading: str  # above the panel
    kind: str
    config: dict
    runs: list
    points: dict


def text(block):
    """The plain text of a block."""
    parts = [block.get("text", ""), block.get("content", "")]
    return "".join([*(p for p in parts if isinstance(p, str)), *map(text, block.get("children", []))])


def read_panels(view, bank):
    """Every panel of a report, in reading order."""
    heading, panels = "", []
    for block in view.blocks:
        if block["type"] == "heading":
            heading = text(block)
        elif block["type"] == "panel-grid":
            metadata = block["metadata"]
            (runset,) = metadata["runSets"]
            runs = selected(runset, bank)
            for panel in metadata["panelBankSectionConfig"]["panels"]:
                config = panel["config"]
                draw = {"Run History Line Plot": lines, "Scatter Plot": dots}[panel["viewType"]]
                panels.append(Panel(heading, panel["viewType"], config, runs, draw(config, runset, runs)))
    return panels


def selected(runset, bank):
    """Runs of a run set: those of its project that its filters select."""
    project, filters = runset["project"], runset["filters"]
    assert filters["filterFormat"] == "filterV2"
    assert runset["enabled"]
    assert not runset["selections"]["tree"]
    assert not runset["search"]["query"]
    assert all(item.get("connector", "AND") == "AND" and not item["disabled"] for item in filters["filters"])
    return [
        run
        for run in bank.at(project["entityName"], project["name"])
        if all(COMPARE[f["op"]](value(run, f["key"]), f["value"]) for f in filters["filters"])
    ]


def value(run, key):
    if key["section"] == "config":
        return run.settings.get(key["name"].removesuffix(".value"))
    if key["section"] == "summary":
        return run.summary.get(key["name"])
    assert key["section"] == "run", key
    return getattr(run, ATTRIBUTES[key["name"]])


def lines(config, runset, runs):
    """Lines by group; the run set and the panel must group alike. A row counts if it has both x and y."""
    (grouping,), (metric,) = runset["grouping"], config["metrics"]
    assert (config["aggregate"], config["groupAgg"], config["groupBy"]) == (True, "mean", grouping["name"])
    groups = {}
    for run in runs:
        line = groups.setdefault(value(run, grouping), {})
        for row in run.history:
            if config["xAxis"] in row and metric in row:
                line.setdefault(row[config["xAxis"]], []).append(row[metric])
    return groups


def dots(config, runset, runs):
    assert runset["grouping"] == []
    x, y = ({"section": s, "name": n} for s, _, n in (config[a].partition(":") for a in ("xAxis", "yAxis")))
    return {run.name: (value(run, x), value(run, y)) for run in runs if value(run, y) is not None}

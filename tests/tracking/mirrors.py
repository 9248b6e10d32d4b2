"""Comparison of a server with a ledger, run by run and row by row; the ledger is read without the mirror's code."""

import math
import re

from bench.ledger import ledger, trace
from tests.tracking.standin.server import StandIn

SETTINGS = (
    *("task", "family", "schedule", "optimizer", "peak_lr", "weight_decay", "budget", "epochs", "total", "seed"),
    *("data", "cohort", "engine", "cell"),
)


def assert_mirrors(server: StandIn, directory, project):
    """Assert that the project has one finished run for each cell of the ledger's finished cohorts, with equal rows.

    Runs of other kinds (scores, the ledger's artifact) are ignored.
    """
    rows = ledger.read(directory)
    kinds = {kind: [r.payload for r in rows if r.kind == kind] for kind in ("plan", "cohort", "cell", "eval")}
    (plan,), finished = kinds["plan"], {cohort["cohort"] for cohort in kinds["cohort"]}
    expected = {cell["cell"]: cell for cell in kinds["cell"] if cell["cohort"] in finished}
    runs_by_cell = {}
    for run in server.runs(project).values():
        if "cell" in run.settings:
            runs_by_cell.setdefault(run.settings["cell"], []).append(run)
    assert {cell: len(runs) for cell, runs in runs_by_cell.items()} == dict.fromkeys(expected, 1)
    for name, cell in expected.items():
        (run,) = runs_by_cell[name]
        cohort = [e for e in kinds["eval"] if e["cohort"] == cell["cohort"]]
        assert_is(run, cell, plan, history(directory, cell, cohort, plan["tasks"][cell["task"]]["epoch_steps"]))


def assert_is(run, cell, plan, rows):
    """Assert that a run equals a cell."""
    config = {key: cell[key] for key in SETTINGS} | {"suite": plan["suite"], "plan": plan["plan"]}
    config |= {key: plan["tasks"][cell["task"]][key] for key in ("metric", "direction")}
    config["averaging"] = cell.get("averaging", "none")
    assert {key: run.settings[key] for key in config} == config
    assert (run.state, run.group, run.job_type) == ("finished", plan["suite"], cell["task"])
    assert run.name.partition("-g")[0] == cell["cell"]
    assert any("budget" in label for label in run.tags)
    results = {"status": cell["status"]}
    if cell["status"] == "done":
        results |= {"final": cell["final"][config["metric"]], "best": cell["best"]["test"]}
        results |= {f"final/{metric}": value for metric, value in cell["final"].items()}
    else:
        results |= {key: cell[key] for key in ("first_bad_step", "failed_step", "error") if key in cell}
    assert {key: run.results[key] for key in results} == results
    assert run.rows == rows


def history(directory, cell, evals, epoch_steps):
    """A cell's rows by step: its segment's, and its ancestors' up to each fork. Only finite values are included."""
    forks = {e["segment"]: (e["parent"], e["start"]) for e in [*evals, cell] if e.get("parent") is not None}
    average = track(cell)
    columns = trace.read(directory / "traces" / f"{cell['cohort']}.npz")
    rows, segment, end = {}, cell["segment"], cell["total"]
    while segment is not None:
        parent, start = forks.get(segment, (None, 0))
        for s, step, *values in zip(*(columns[name].tolist() for name in trace.COLUMNS), strict=True):
            if s == segment and start <= step < end:
                rows.setdefault(step, {}).update(zip(("lr", "loss", "grad_norm"), values, strict=True))
        for e in evals:
            own = e["segment"] == segment and e.get("average", "none") == average
            if own and start < e["step"] <= end:
                metrics = ("train_loss", "control", "test", "control_loss", "test_loss")
                rows.setdefault(e["step"], {}).update({key: e[key] for key in metrics})
        segment, end = parent, start
    whole = [{"step": step, "epoch": step / epoch_steps} | rows[step] for step in sorted(rows)]
    return [{k: v for k, v in row.items() if v is not None and math.isfinite(v)} for row in whole]


def track(cell):
    """Name of the average whose evaluations are the cell's: SWA's has the update it begins after, others their text."""
    text = cell.get("averaging", "none")
    share = re.fullmatch(r"swa\(share=(.+)\)", text)
    return f"swa from {round(cell['total'] * (1 - float(share[1])))}" if share else text

"""An array under injected faults: one `--only-missing` afterwards completes the ledger that one process writes."""

import json
import random

import pytest

from bench.ledger import ledger
from tests.runs import count_lines, launch, payloads, traces
from tests.slurm import faults
from tests.slurm.test_array import glideslope, jobs, logs

pytestmark = pytest.mark.cluster

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "cosine", "plateau(patience=1)", "wsd")
    few = {"schedules": some, "peak_lrs": (0.1,), "seeds": 12}
    linreg, quadratic = (Grid(task=t, budgets=b, **few) for t, b in (("linreg", (2.0, 4.0)), ("quadratic", (1.0, 2.0))))
    long = Grid(task="linreg", schedules=("linear",), budgets=(LONG,), peak_lrs=(0.1,), seeds=1)
    return Suite("fire", (linreg, quadratic, long))
""".replace("LONG", "500.0")
"""24 cohorts of a few seconds, except for one that takes longer than a minute while others run."""

FAULTS = (faults.requeue, faults.warning, faults.cancel, faults.step, faults.process, faults.preemption) * 2
ONCE = (faults.daemon, faults.node)


def test_an_array_under_fire_equals_one_process(cluster, tmp_path, capsys):
    suite, whole, out = tmp_path / "fire.py", tmp_path / "one", tmp_path / "fire"
    suite.write_text(SUITE)
    launch(suite, "--out", whole, "--workers", 2, OMP_NUM_THREADS="1")
    common = ("submit", suite, "--out", out, "--partition", "low", "--snapshot-seconds", "0.2")
    glideslope(cluster, *common, "--array", 24, "--max-parallel", 4)
    at = faults.Range(cluster, out)
    longest = [len(task) for task in json.loads((out / "slurm/001/cohorts.json").read_text())["tasks"]]
    assert longest == [1] * 24
    faults.await_(lambda: cluster.queue().get(f"{at.array}_0") == "RUNNING", 60)
    cluster.call("scontrol", "update", f"jobid={at.array}_0", "TimeLimit=1")  # it holds the longest cohort
    order = [*FAULTS, *ONCE]
    random.Random(20261125).shuffle(order)
    for fault in order:
        at.fire(fault, spared={0})
    cluster.finish(900)
    limit = (out / "slurm/001/array-0.log").read_text().count("stopped by a warning: back into the queue")
    with capsys.disabled():
        print(f"\nhits on cohorts in training: {dict(at.hits)}, and {limit} by the time limit")
    assert limit >= 1
    missing = 24 - len([row for row in ledger.read(out) if row.kind == "cohort"])
    assert missing >= 2  # cancelled cohorts are not requeued
    text = glideslope(cluster, *common, "--only-missing", "--array", 4)
    assert f"{missing} of 24 cohorts" in text
    cluster.finish(600)
    states = {job["JobState"] for job in cluster.ended() if job.get("ArrayJobId") == jobs(out, 2)[0]}
    assert states == {"COMPLETED"}, logs(out)
    assert payloads(out) == payloads(whole)
    assert traces(out) == traces(whole)
    assert count_lines(out) == count_lines(whole)
    assert not list((out / "snapshots").glob("*"))
    assert "nothing is missing" in glideslope(cluster, *common, "--only-missing")

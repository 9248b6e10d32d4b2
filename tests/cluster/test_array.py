"""Suites through a real SLURM: what arrays leave is what one process leaves, bit for bit."""

import json
import subprocess
import sys

import pytest

from tests.cluster import faults
from tests.runs import ROOT, count_lines, launch, payloads, traces

pytestmark = pytest.mark.cluster


def glideslope(cluster, *words, **environment):
    """What `glideslope WORDS` prints, beside the cluster."""
    command = [sys.executable, "-m", "bench.cli", *map(str, words)]
    settings = cluster.environment | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"} | environment
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs(out, number=1):
    """(array job, report job) of a submission."""
    return tuple(json.loads((out / "slurm" / f"{number:03d}" / "jobs.json").read_text()).values())


def logs(out):
    return "\n".join(f.read_text() for f in sorted((out / "slurm").glob("*/*.log")))


def test_24_array_tasks_on_two_nodes_equal_one_process(cluster, reference):
    suite, whole = reference
    out = suite.parent / "array"
    text = glideslope(cluster, "submit", suite, "--out", out, "--array", 24, "--max-parallel", 4)
    array, report = jobs(out)
    assert f"Array job {array}, report job {report}" in text
    assert "24 of 24 cohorts in 24 array tasks, the longest" in text
    cluster.finish(600)
    ended = cluster.ended()
    mine = [it for it in ended if it.get("ArrayJobId") == array]
    assert len(mine) == 24
    assert {it["JobState"] for it in mine} == {"COMPLETED"}, logs(out)
    assert {it["NodeList"] for it in mine} == {"n1", "n2"}
    assert at_once(mine) <= 4
    assert payloads(out) == payloads(whole)
    assert traces(out) == traces(whole)
    assert count_lines(out) == count_lines(whole)
    assert (out / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()
    assert "24 of 24 cohorts done, 192 of 192 cells" in (out / "slurm/001/report.log").read_text()


def at_once(ended):
    """How many of the jobs ran at one time at most, by the seconds of SLURM's clock."""
    starts = [it["StartTime"] for it in ended]
    return max(sum(it["StartTime"] <= start < it["EndTime"] for it in ended) for start in starts)


def test_two_arrays_at_once_in_one_directory_share_the_work(cluster, reference):
    suite, whole = reference
    out = suite.parent / "both"
    for _ in range(2):  # held until both are there: a submission plans for longer than an array may take
        glideslope(cluster, "submit", suite, "--out", out, "--array", 4, "--max-parallel", 2, "--", "--hold")
    for job in (*jobs(out, 1), *jobs(out, 2)):
        cluster.call("scontrol", "release", job)
    cluster.finish(600)
    told = [[f.read_text() for f in (out / "slurm" / name).glob("array-*.log")] for name in ("001", "002")]
    done = [sum(text.count(": done;") for text in texts) for texts in told]
    assert sum(done) == 24, logs(out)  # no cohort was trained twice
    assert min(done) > 0  # and each array trained some
    assert payloads(out) == payloads(whole)
    assert traces(out) == traces(whole)
    assert count_lines(out) == count_lines(whole)


def test_status_says_what_the_queue_holds(cluster, reference):
    suite, _ = reference
    out = suite.parent / "held"
    glideslope(cluster, "submit", suite, "--out", out, "--array", 3, "--", "--hold")
    text = glideslope(cluster, "status", out)
    assert "0 of 24 cohorts done, 0 of 192 cells" in text
    array, report = jobs(out)
    assert f"SLURM: array job {array}, report job {report}: 4 pending" in text
    cluster.call("scancel", array, report)
    assert "SLURM" not in glideslope(cluster, "status", out)


def test_the_scripts_for_use_by_hand_make_the_whole(cluster, reference, tmp_path):
    suite, _ = reference
    out = tmp_path / "by hand"
    few = ("--seeds", "2")
    launch(suite, "--out", tmp_path / "one", "--workers", 1, *few)
    words = ("--parsable", f"--output={tmp_path}/%a.log", f"--chdir={ROOT}")
    array = cluster.call("sbatch", *words, "--array=0-2%2", "SLURM/array.sbatch", str(suite), "--out", str(out), *few)
    after = f"--dependency=afterany:{array.strip()}"
    cluster.call("sbatch", *words, after, "SLURM/report.sbatch", str(out))
    cluster.finish(300)
    assert payloads(out) == payloads(tmp_path / "one")
    assert (out / "table.csv").read_bytes() == (tmp_path / "one" / "table.csv").read_bytes()


def test_a_cohort_on_two_nodes_equals_two_processes_on_one_also_when_warned(cluster, reference, tmp_path):
    suite, _ = reference
    out = tmp_path / "two nodes"
    few = ("--tasks", "linreg", "--seeds", "1", "--budgets", "4", "--data-parallel", "--snapshot-seconds", "0.2")
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    launch(suite, "--out", tmp_path / "one", *few, launcher=torchrun, OMP_NUM_THREADS="1")
    loopback = {"GLOO_SOCKET_IFNAME": "lo"}
    glideslope(cluster, "submit", suite, "--out", out, *few, "--nodes", 2, "--array", 1, **loopback)
    faults.Range(cluster, out).fire(faults.warning)
    cluster.finish(300)
    ended = [it for it in cluster.ended() if it.get("ArrayJobId") == jobs(out)[0]]
    assert [it["JobState"] for it in ended] == ["PENDING", "COMPLETED"], logs(out)  # requeued once
    assert {it["NodeList"] for it in ended} == {"n[1-2]"}
    assert payloads(out) == payloads(tmp_path / "one"), logs(out)
    assert traces(out) == traces(tmp_path / "one")


def test_every_script_is_clean_to_shellcheck():
    scripts = [*(ROOT / "SLURM").glob("*.sbatch"), *(ROOT / "tests/cluster/golden").glob("*.sbatch"), ROOT / ".ci/run"]
    assert len(scripts) >= 5
    done = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

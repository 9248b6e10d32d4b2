"""Suites on a real SLURM: results of arrays equal those of a single process, bit for bit."""

import json
import subprocess
import sys

import pytest

from tests.runs import ROOT, count_lines, launch, payloads, traces
from tests.slurm import faults

pytestmark = pytest.mark.cluster


def glideslope(cluster, *words, **environment):
    """Run `glideslope WORDS` with access to the cluster, and return its output."""
    command = [sys.executable, "-m", "bench.cli", *map(str, words)]
    settings = cluster.environment | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"} | environment
    result = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


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
    own = [job for job in ended if job.get("ArrayJobId") == array]
    assert len(own) == 24
    assert {job["JobState"] for job in own} == {"COMPLETED"}, logs(out)
    assert {job["NodeList"] for job in own} == {"n1", "n2"}
    assert at_once(own) <= 4
    assert payloads(out) == payloads(whole)
    assert traces(out) == traces(whole)
    assert count_lines(out) == count_lines(whole)
    assert (out / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()
    assert "24 of 24 cohorts done, 192 of 192 cells" in (out / "slurm/001/report.log").read_text()


def at_once(ended):
    """Largest number of jobs that ran at one time, by SLURM's clock, which counts seconds."""
    starts = [job["StartTime"] for job in ended]
    return max(sum(job["StartTime"] <= start < job["EndTime"] for job in ended) for start in starts)


def test_two_arrays_at_once_in_one_directory_share_the_work(cluster, reference):
    suite, whole = reference
    out = suite.parent / "both"
    for _ in range(2):  # held until both are submitted: planning may take longer than an array
        glideslope(cluster, "submit", suite, "--out", out, "--array", 4, "--max-parallel", 2, "--", "--hold")
    for job in (*jobs(out, 1), *jobs(out, 2)):
        cluster.call("scontrol", "release", job)
    cluster.finish(600)
    texts = [[f.read_text() for f in (out / "slurm" / name).glob("array-*.log")] for name in ("001", "002")]
    counts = [sum(text.count(": done;") for text in array_texts) for array_texts in texts]
    assert sum(counts) == 24, logs(out)  # no cohort was trained twice
    assert min(counts) > 0  # and each array trained some
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
    ended = [job for job in cluster.ended() if job.get("ArrayJobId") == jobs(out)[0]]
    assert [job["JobState"] for job in ended] == ["PENDING", "COMPLETED"], logs(out)  # requeued once
    assert {job["NodeList"] for job in ended} == {"n[1-2]"}
    assert payloads(out) == payloads(tmp_path / "one"), logs(out)
    assert traces(out) == traces(tmp_path / "one")


def test_every_script_is_clean_to_shellcheck():
    scripts = [
        *(ROOT / "SLURM").glob("*.sbatch"),
        *(ROOT / "tests/slurm/golden").glob("*.sbatch"),
        ROOT / ".ci/run",
        ROOT / "tests/gpu.sh",
    ]
    assert len(scripts) >= 6
    result = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout

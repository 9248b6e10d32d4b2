"""`kill -9` at random moments of a suite, resumed each time: the payloads are those of an uninterrupted run."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from bench.ledger import ledger, paths
from tests.runs import ROOT, payloads, traces

pytestmark = pytest.mark.faults

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "step", "cosine", "plateau(patience=1)", "wsd", "onecycle")
    return Suite("kill", (
        Grid(task="mnist5k", schedules=some, budgets=(0.25, 0.5), peak_lrs=(0.03, 0.1), seeds=2),
        Grid(task="digits(model='cnn')", schedules=some, budgets=(0.25,), peak_lrs=(0.1,), seeds=2),
    ))
"""
KILLS, IN_COHORT = 25, 20


def begin(suite, out, *arguments):
    command = [sys.executable, "bench/run.py", str(suite), "--out", str(out), *map(str, arguments)]
    settings = os.environ | {"ACCELERATE_USE_CPU": "true"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=ROOT, env=settings, start_new_session=True, **quiet)


def snapshots(out):
    return {p: p.stat().st_mtime_ns for p in (out / "snapshots").glob("*.pt")}


def size(out):
    return sum(part.stat().st_size for part in paths.parts(out))


def await_change(look, out, process):
    """Whether what `look` sees of `out` changes before the process ends."""
    before = look(out)
    while process.poll() is None:
        if look(out) != before:
            return True
        time.sleep(0.0005)
    return False


def kill(process):
    """End a process and those that it started, unless it has ended, as no process is left to find then."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def steps(out):
    """Step of each cohort's snapshot, as a resume would find it."""
    return {p.stem: torch.load(p, weights_only=True)["step"] for p in (out / "snapshots").glob("*.pt")}


def rows_beyond(out, at):
    """Whether the ledger holds rows of a cohort beyond its snapshot: the kill came between the two."""
    rows = [r.payload for r in ledger.read(out) if r.kind == "eval"]
    return any(r["step"] > at.get(r["cohort"], 1 << 40) for r in rows)


def run_whole(folder, suite):
    """The folder, with the suite's file in it and what it leaves uninterrupted."""
    (folder / "it.py").write_text(suite)
    assert begin(folder / "it.py", folder / "whole", "--workers", 2).wait(600) == 0
    return folder


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return run_whole(tmp_path_factory.mktemp("kill"), SUITE)


def test_killed_at_25_moments_and_resumed(uninterrupted):
    out, chance = uninterrupted / "killed", random.Random(20261124)
    kills = in_cohort = between = 0
    while kills < KILLS or in_cohort < IN_COHORT or not between:
        process = begin(uninterrupted / "it.py", out, "--workers", 1 + kills % 2, "--snapshot-seconds", 0.03)
        if not await_change(snapshots, out, process):
            break
        if kills % 4 == 3:  # rows have just been flushed: the snapshot that counts them is not there yet
            await_change(size, out, process)
        else:
            time.sleep(chance.uniform(0, 0.15))
        kill(process)
        kills += 1
        at = steps(out)
        in_cohort += any(step > 0 for step in at.values())
        between += rows_beyond(out, at)
    print(f"{kills} kills, {in_cohort} inside a cohort, {between} between rows and snapshot")
    assert kills >= KILLS
    assert in_cohort >= IN_COHORT
    assert between >= 1
    assert begin(uninterrupted / "it.py", out, "--workers", 2).wait(600) == 0
    assert payloads(out) == payloads(uninterrupted / "whole")
    assert traces(out) == traces(uninterrupted / "whole")
    assert not list((out / "snapshots").glob("*"))
    assert not list((out / "traces").glob(".*"))

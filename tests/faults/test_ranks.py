"""Processes that share each batch, killed and resumed: the payloads are those of an uninterrupted run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.test_kill import await_change, snapshots, steps
from tests.runs import ROOT, payloads, traces

pytestmark = pytest.mark.faults

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "cosine", "plateau(patience=1)", "wsd")
    return Suite("ranks", (
        Grid(task="digits(model='cnn')", schedules=some, budgets=(0.2,), peak_lrs=(0.02,), seeds=1),
        Grid(task="digits", schedules=some, budgets=(0.2,), peak_lrs=(0.1,), seeds=1),
    ))
"""
"""With and without BatchNorm, open and closed loop."""

KILLS = 2


def begin(folder, out):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    options = ("--data-parallel", "--accumulate", "2", "--engine", "modules", "--snapshot-seconds", "0.05")
    command = [*torchrun, "bench/run.py", str(folder / "ranks.py"), "--out", str(out), *options]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    settings = os.environ | {"ACCELERATE_USE_CPU": "true"}
    return subprocess.Popen(command, cwd=ROOT, env=settings, start_new_session=True, **quiet)


def children(process):
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "ranks.py").write_text(SUITE)
    assert begin(folder, folder / "whole").wait(600) == 0
    return folder


def test_a_rank_is_killed_and_then_all_are_told_to_stop(uninterrupted):
    out, inside = uninterrupted / "killed", 0
    for kill in range(KILLS + 1):
        process = begin(uninterrupted, out)
        assert await_change(snapshots, out, process), "ended before it was killed"
        time.sleep(0.1 * kill)
        if kill < KILLS:
            os.kill(children(process)[kill % 2], signal.SIGKILL)
        else:
            process.send_signal(signal.SIGTERM)
        assert process.wait(120) != 0
        inside += any(step > 0 for step in steps(out).values())
    assert inside == KILLS + 1
    assert begin(uninterrupted, out).wait(600) == 0
    assert payloads(out) == payloads(uninterrupted / "whole")
    assert traces(out) == traces(uninterrupted / "whole")
    assert not list((out / "snapshots").glob("*"))

"""Processes that share each batch, killed and resumed: the payloads are those of an uninterrupted run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.test_kill import await_change, snapshots, steps
from tests.runs import ROOT, launch, payloads, traces

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

DROPOUT = """
from bench.plan import Grid, Suite
from tasks.text import bert


def suite():
    bert.SETTINGS |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    some = ("constant", "cosine", "plateau(patience=1)")
    return Suite("ranks", (Grid(task="grammar", schedules=some, budgets=(0.2,), peak_lrs=(0.002,), seeds=1),))
"""
"""An encoder of transformers, with the dropout that BERT was published with."""

TORN = """
import os

from bench.plan import Grid, Suite


def suite():
    seeds = 1 + int(os.environ["RANK"])
    return Suite("torn", (Grid(task="linreg", schedules=("constant",), budgets=(0.1,), seeds=seeds),))
"""

CASES = {"norms": (SUITE, ()), "dropout": (DROPOUT, ("--precision", "bf16"))}
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
KILLS = 2


def begin(folder, out, *more):
    options = ("--data-parallel", "--accumulate", "2", "--engine", "modules", "--snapshot-seconds", "0.05", *more)
    command = [*TORCHRUN, "bench/run.py", str(folder / "ranks.py"), "--out", str(out), *options]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    settings = os.environ | {"ACCELERATE_USE_CPU": "true"}
    return subprocess.Popen(command, cwd=ROOT, env=settings, start_new_session=True, **quiet)


def children(process):
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


@pytest.mark.parametrize("case", CASES)
def test_a_rank_is_killed_and_then_all_are_told_to_stop(tmp_path, case):
    suite, options = CASES[case]
    (tmp_path / "ranks.py").write_text(suite)
    assert begin(tmp_path, tmp_path / "whole", *options).wait(600) == 0
    out, inside = tmp_path / "killed", 0
    for kill in range(KILLS + 1):
        process = begin(tmp_path, out, *options)
        assert await_change(snapshots, out, process), "ended before it was killed"
        time.sleep(0.1 * kill)
        if kill < KILLS:
            os.kill(children(process)[kill % 2], signal.SIGKILL)
        else:
            process.send_signal(signal.SIGTERM)
        assert process.wait(120) != 0
        inside += any(step > 0 for step in steps(out).values())
    assert inside == KILLS + 1
    assert begin(tmp_path, out, *options).wait(600) == 0
    assert payloads(out) == payloads(tmp_path / "whole")
    assert traces(out) == traces(tmp_path / "whole")
    assert not list((out / "snapshots").glob("*"))


@pytest.mark.parametrize("shared", [(), ("--data-parallel",)])
def test_ranks_that_have_made_different_plans_end_in_one_line(tmp_path, shared):
    (tmp_path / "torn.py").write_text(TORN)
    done = launch(tmp_path / "torn.py", "--out", tmp_path / "out", *shared, launcher=TORCHRUN, check=False)
    assert done.returncode != 0
    (said,) = [line for line in done.stderr.splitlines() if "glideslope: " in line]  # the first process speaks for all
    assert said.startswith("glideslope: processes have made different plans (")
    assert not (tmp_path / "out").exists()


LEAVING = """
import atexit, sys, threading, time
from pathlib import Path

import torch

from bench import preempt

torch.distributed.init_process_group("gloo", init_method=f"file://{sys.argv[1]}/store", rank=0, world_size=1)
threading.Thread(target=lambda: (time.sleep(0.3), Path(sys.argv[1], "late").touch())).start()
atexit.register(lambda: Path(sys.argv[1], "at exit").touch())
print("said", end="")
preempt.leave(75)
"""


def test_a_rank_leaves_with_its_code_and_loses_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-c", LEAVING, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (75, "said")
    assert (tmp_path / "late").exists()
    assert (tmp_path / "at exit").exists()

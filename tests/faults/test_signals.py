"""Signals to a run: it ends with a snapshot and the stated code, and the same command goes on bit for bit."""

import signal

import pytest

from bench.record.preempt import PREEMPTED
from tests.faults.test_kill import await_change, begin, run_whole, snapshots, steps
from tests.runs import count_lines, payloads

pytestmark = pytest.mark.faults

BRIEF = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "cosine", "plateau(patience=1)", "wsd")
    of = {"schedules": some, "budgets": (0.25,), "peak_lrs": (0.1,), "seeds": 2}
    return Suite("brief", (Grid(task="digits(model='cnn')", **of),))
"""


@pytest.fixture(scope="module")
def brief(tmp_path_factory):
    return run_whole(tmp_path_factory.mktemp("brief"), BRIEF)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_with_a_snapshot_and_the_stated_code(brief, tmp_path, number, workers):
    out = tmp_path / "out"
    process = begin(brief / "it.py", out, "--workers", workers, "--snapshot-seconds", 0.2)
    assert await_change(snapshots, out, process)
    process.send_signal(number)
    assert process.wait(60) == PREEMPTED
    assert any(step > 0 for step in steps(out).values())
    assert begin(brief / "it.py", out, "--workers", 2).wait(600) == 0
    assert payloads(out) == payloads(brief / "whole")
    assert count_lines(out) == count_lines(brief / "whole")

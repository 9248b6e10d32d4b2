"""Rounds of a run that is killed in one of them, and of two processes: the payloads are those of a run left alone."""

import sys

import pytest

from bench.ledger import paths
from tests.faults.test_kill import begin, kill
from tests.runs import count_lines, launch, payloads

pytestmark = pytest.mark.faults

SUITE = """
from bench.plan import Grid, Suite


def suite():
    grid = Grid(task="digits", schedules=("constant", "linear"), budgets=(0.1,), peak_lrs=(0.2, 0.4), seeds=2)
    return Suite("rounds", (grid,), tune=2)
"""
OPTIONS = ("--until", "decided", "--at-most", 4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounds")
    (folder / "rounds.py").write_text(SUITE)
    launch(folder / "rounds.py", *OPTIONS, "--workers", 1, "--out", folder / "whole")
    assert rounds(folder / "whole") == 4
    return folder


def rounds(out):
    """Number of rounds that a directory has come to."""
    return sum(part.read_text().count('"kind":"plan"') for part in paths.parts(out))


@pytest.mark.parametrize("number", [2, 3, 4])
def test_killed_in_a_round_and_resumed(whole, tmp_path, number):
    process = begin(whole / "rounds.py", tmp_path, *OPTIONS, "--workers", 1)
    while rounds(tmp_path) < number:
        assert process.poll() is None, "ended before it was killed"
    kill(process)
    assert len(payloads(tmp_path)) < len(payloads(whole / "whole"))
    launch(whole / "rounds.py", *OPTIONS, "--workers", 1, "--out", tmp_path)
    assert payloads(tmp_path) == payloads(whole / "whole")
    assert count_lines(tmp_path) == len(payloads(tmp_path))


def test_two_processes_take_the_same_decisions(whole, tmp_path):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    launch(whole / "rounds.py", *OPTIONS, "--workers", 1, "--out", tmp_path, launcher=torchrun, OMP_NUM_THREADS="1")
    assert payloads(tmp_path) == payloads(whole / "whole")
    assert count_lines(tmp_path) == len(payloads(tmp_path))

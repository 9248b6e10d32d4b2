"""Runs of the family: any number of workers, a kill, and cells that share training leave the same rows."""

import pytest

from tests.faults.test_kill import await_change, begin, kill, snapshots
from tests.runs import launch, payloads, traces

pytestmark = pytest.mark.faults

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = tuple(f"warmup({name}, epochs=0.1)" for name in ("constant", "linear", "wsd"))
    return Suite("small", tuple(
        Grid(task=task, schedules=some, budgets=(0.25, 1.0), peak_lrs=(0.004, 0.008), seeds=2)
        for task in ("markov(tokens=32768)", "source_code(width=16, depth=1, tokens=32768)")
    ), reference=some[0])
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.py").write_text(SUITE)
    launch(folder / "small.py", "--out", folder / "out", "--workers", 2)
    return folder


def test_one_worker_that_is_killed_and_resumed_leaves_the_same_rows(whole, tmp_path):
    process = begin(whole / "small.py", tmp_path, "--workers", 1, "--snapshot-seconds", 0.05)
    assert await_change(snapshots, tmp_path, process), "ended before it was killed"
    kill(process)
    launch(whole / "small.py", "--out", tmp_path, "--workers", 1)
    assert payloads(tmp_path) == payloads(whole / "out")
    assert traces(tmp_path) == traces(whole / "out")


def test_a_cell_alone_equals_the_cell_that_shared_its_training(whole, tmp_path):
    """By the engine `modules`, whose cells do not depend on their company."""
    engine = ("--engine", "modules", "--tasks", "source_code(width=16, depth=1, tokens=32768)", "--seeds", 1)
    launch(whole / "small.py", *engine, "--out", tmp_path / "all")
    few = (
        "--schedules",
        "warmup(constant, epochs=0.1), warmup(wsd, epochs=0.1)",
        "--budgets",
        0.25,
        "--peak-lrs",
        0.008,
    )
    launch(whole / "small.py", *engine, *few, "--out", tmp_path / "few")
    everything, alone = (cells_of(tmp_path / name) for name in ("all", "few"))
    assert len(alone) == 2
    for key, cell in alone.items():
        for name in ("final", "best", "status", "total"):
            assert everything[key][name] == cell[name]


def cells_of(directory):
    return {key: payload for (kind, key), payload in payloads(directory).items() if kind == "cell"}

"""Traces: what the loop asks per member, and the same columns whether or not checkpoints came between."""

import copy

import numpy as np
import pytest

from bench.ledger.trace import Trace, read

nan = float("nan")


def look(*losses, norms=None):
    return np.asarray(losses, np.float32), np.asarray(norms or [1.0] * len(losses), np.float32)


def test_looks_and_moves_leave_out_the_tails_of_diverged_members():
    trace = Trace()
    trace.seat(0, [0, 0], [0, 1], [0.1, 0.2])
    trace.seat(1, [0, 1], [0, 1], [0.1, 0.2])
    trace.seat(2, [0, 1], [0, 1], [0.1, 0.2])
    trace.fold([look(1.0), look(1.0, nan), look(1.0, nan)])
    assert trace.bad_M.tolist() == [-1, 1]
    assert trace.looks == 1 + 2 + 1
    assert trace.moves == 2 + 1 + 1


def test_a_fork_of_a_diverged_member_keeps_its_first_bad_step():
    trace = Trace()
    trace.seat(0, [0], [0], [0.1])
    trace.seat(1, [0, 0], [0, 1], [0.1, 0.2])
    trace.fold([look(nan), look(nan)])
    assert trace.bad_M.tolist() == [0, 0]


def test_mean_losses_and_gradient_norms_follow_the_lineage():
    trace = Trace()
    trace.seat(0, [0, 0], [0, 1], [0.1, 0.2])
    trace.seat(1, [0, 1], [0, 1], [0.1, 0.2])
    trace.fold([look(2.0, norms=[0.5]), look(4.0, 6.0, norms=[1.5, 2.5])])
    assert trace.means() == [(3.0, 1.0), (4.0, 1.5)]
    trace.restart()
    trace.keep([1])
    trace.seat(2, [0], [1], [0.2])
    trace.fold([look(7.0, norms=[3.0])])
    assert trace.means() == [(7.0, 3.0)]


@pytest.mark.parametrize("cuts", [(), (1,), (0, 1, 2)])
def test_columns_do_not_depend_on_checkpoints(tmp_path, cuts):
    trace = Trace()
    for step in range(3):
        trace.seat(step, [0, 0] if step == 0 else [0, 1], [0, 1], [0.1, 0.2])
        trace.fold([look(1.0) if step == 0 else look(step, -step)])
        if step in cuts:
            trace.spill(tmp_path / "chunks", step + 1)
    trace.finish(tmp_path / "chunks", tmp_path / "trace.npz")
    columns = read(tmp_path / "trace.npz")
    assert columns["segment"].tolist() == [0, 0, 0, 1, 1, 1]
    assert columns["step"].tolist() == [0, 1, 2, 0, 1, 2]
    assert columns["loss"].tolist() == [1, 1, 2, 1, -1, -2]
    assert columns["lr"].tolist() == [0.1] * 3 + [0.2] * 3


def spilt(trace, folder, *steps):
    for step in steps:
        trace.seat(step, [0], [0], [0.1])
        trace.fold([look(float(step))])
        trace.spill(folder, step + 1)


def test_a_trace_is_joined_of_the_chunks_that_its_checkpoint_names(tmp_path):
    """Whatever others wrote: one that was killed after its last checkpoint, and one that trains the cohort as well."""
    trace, other, resumed = Trace(), Trace(), Trace()
    spilt(trace, tmp_path / "chunks", 0, 1)
    state = copy.deepcopy(trace.state())
    spilt(trace, tmp_path / "chunks", 2)
    spilt(other, tmp_path / "chunks", 0, 1)
    resumed.load(state)
    spilt(resumed, tmp_path / "chunks", 2, 3)
    for it, steps in ((resumed, [0, 1, 2, 3]), (trace, [0, 1, 2]), (other, [0, 1])):
        it.finish(tmp_path / "chunks", tmp_path / "trace.npz")
        assert read(tmp_path / "trace.npz")["step"].tolist() == steps

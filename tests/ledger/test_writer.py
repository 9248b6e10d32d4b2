"""Checkpoints written while training continues: complete, in order, one at a time, and with errors reported."""

import threading

import pytest
import torch

from bench.ledger import checkpoint


def test_training_goes_on_while_a_checkpoint_is_written_and_the_next_waits_for_it(tmp_path, monkeypatch):
    gate, begun, written = threading.Event(), [], []

    def slow(path, state):
        begun.append(state["step"])
        assert gate.wait(30)
        written.append(state["step"])

    monkeypatch.setattr(checkpoint, "save", slow)
    writer = checkpoint.CheckpointWriter()
    writer.save(tmp_path / "a.pt", lambda: {"step": 1})
    assert not written  # and yet we are here
    second = threading.Thread(target=lambda: (writer.save(tmp_path / "a.pt", lambda: {"step": 2}), writer.wait()))
    second.start()
    second.join(0.2)
    assert begun == [1]
    gate.set()
    second.join(30)
    assert written == [1, 2]


def test_the_last_checkpoint_is_there_after_waiting(tmp_path):
    writer = checkpoint.CheckpointWriter()
    for step in range(3):
        state = {"step": step, "weights": torch.full((1000,), float(step))}
        writer.save(tmp_path / "a.pt", lambda state=state: state)
    writer.wait()
    state = checkpoint.load(tmp_path / "a.pt")
    assert state["step"] == 2
    assert state["weights"].unique().tolist() == [2.0]
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("heard", ["save", "wait"])
def test_what_stopped_a_checkpoint_is_raised_once_by_the_next_call(tmp_path, monkeypatch, heard):
    def full(path, state):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    writer = checkpoint.CheckpointWriter()
    writer.save(tmp_path / "a.pt", dict)
    with pytest.raises(OSError, match="No space left"):
        writer.wait() if heard == "wait" else writer.save(tmp_path / "a.pt", dict)
    writer.wait()


def test_a_writer_is_ready_when_none_is_written_and_training_has_gone_on_for_a_while(tmp_path, monkeypatch):
    now, gate = [100.0], threading.Event()
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoint, "save", lambda path, state: gate.wait(30))

    def copied():
        now[0] += 3.0
        return {}

    writer = checkpoint.CheckpointWriter()
    assert writer.ready
    writer.save(tmp_path / "a.pt", copied)
    now[0] += 3.0 * checkpoint.REST + 1
    assert not writer.ready, "one is being written"
    gate.set()
    writer.wait()
    assert writer.ready
    writer.save(tmp_path / "a.pt", copied)
    writer.wait()
    now[0] += 3.0 * checkpoint.REST - 1
    assert not writer.ready, "training stood still for three seconds, and has not gone on for a minute"
    now[0] += 2.0
    assert writer.ready

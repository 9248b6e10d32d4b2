"""A checkpoint is written completely, or the previous one stays; signals set a flag."""

import os
import signal

import pytest
import torch

from bench.contract import InputError
from bench.ledger import atomic, checkpoint
from bench.preempt import Flag


def test_state_comes_back_bit_for_bit(tmp_path):
    state = {"step": 3, "weights": [torch.tensor([0.1, float("nan")])], "best": [None, 0.1 + 0.2], "name": "ü"}
    checkpoint.save(tmp_path / "a.pt", state)
    back = checkpoint.load(tmp_path / "a.pt")
    assert back["weights"][0].view(torch.int32).tolist() == state["weights"][0].view(torch.int32).tolist()
    assert {k: v for k, v in back.items() if k != "weights"} == {k: v for k, v in state.items() if k != "weights"}


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.load(tmp_path / "a.pt") is None


def test_a_failed_write_leaves_the_previous_checkpoint_and_no_litter(tmp_path):
    path = tmp_path / "a.pt"
    checkpoint.save(path, {"step": 1})

    def fail(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        atomic.write(path, fail)
    assert checkpoint.load(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_what_killed_writes_left_is_swept(tmp_path):
    for name in (".a.pt.123", ".a.pt.9", ".b.pt.123", "a.pt"):
        (tmp_path / name).write_bytes(b"half")
    atomic.sweep(tmp_path / "a.pt")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".b.pt.123", "a.pt"]


def test_a_damaged_checkpoint_is_one_clear_line(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"a.pt is damaged .* delete it") as caught:
        checkpoint.load(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Mischief:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"step": Mischief()}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_raise_the_flag(number):
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    try:
        flag = Flag().install()
        assert not flag
        os.kill(os.getpid(), number)
        assert flag
        assert flag.signal == number
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)

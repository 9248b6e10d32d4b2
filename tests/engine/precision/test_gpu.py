"""What only a GPU shows: no update waits for the device; half precision, compilation and captured looks train there."""

import pytest
import torch

from bench import engine
from bench.contract import Move
from bench.engine.loader import Loader
from bench.engine.rowwise import LANES, capture
from bench.numerics import Arithmetic
from tests.engine.toys import Net, drive, same, toy

pytestmark = pytest.mark.gpu

STEPS = 40
WAYS = {"fp32": {}, "bf16": {"precision": "bf16"}, "fp16": {"precision": "fp16"}, "cut": {"accumulate": 2}}


def crew(name="modules", **arithmetic):
    loader = Loader(toy(Net, clip=0.5), 0, "cuda")
    return engine.create(name, loader, "adamw", 0.1, None, Arithmetic(**arithmetic)), loader


def train(trained, loader, start, end, members=1):
    for k in range(start, end):
        trained.look(loader.batch(k), k)
        trained.move([Move(0.01 * (1 + i)) for i in range(members)])


@pytest.mark.parametrize(
    ("name", "way"), [*(("modules", way) for way in WAYS), ("rowwise", "fp32"), ("rowwise", "bf16")]
)
def test_no_update_waits_for_the_device(name, way):
    trained, loader = crew(name, **WAYS[way])
    trained.take([0, 0])
    train(trained, loader, 0, 8, 2)  # an epoch's order, the optimizers' first states, and capturing do wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches = [loader.batch(k) for k in range(8, 12)]
        for k, batch in enumerate(batches, 8):
            trained.look(batch, k)
            trained.move([Move(0.01), Move(0.02)])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("way", [*WAYS, "compiled"])
def test_it_learns_and_a_saved_state_goes_on_bit_for_bit(way):
    arithmetic = WAYS.get(way, {"backend": "inductor"})
    whole, loader = crew(**arithmetic)
    resumed, _ = crew(**arithmetic)
    train(whole, loader, 0, 20)
    resumed.load_state_dict(whole.state_dict())
    train(whole, loader, 20, STEPS)
    train(resumed, loader, 20, STEPS)
    assert same(whole.state_dict(), resumed.state_dict())
    losses = [loss_M[0] for loss_M, _ in whole.history()]
    assert sum(losses[-8:]) < sum(losses[:8])


@pytest.mark.parametrize("way", ["fp32", "bf16"])
def test_captured_looks_and_moves_have_the_bits_of_others(monkeypatch, way):
    fast = drive(*crew("rowwise", **WAYS[way]), 60, 0.02, (None, 0.0, 0.8))
    assert len(fast._lanes) == LANES["cuda"]
    assert all(lane._proved for lane in fast._lanes)
    assert fast._updates._programs
    assert all(fast._updates._programs.values())
    monkeypatch.delitem(capture.CAPTURE, "cuda")
    slow = drive(*crew("rowwise", **WAYS[way]), 60, 0.02, (None, 0.0, 0.8))
    assert same(fast.state_dict(), slow.state_dict())


@pytest.mark.parametrize("way", ["fp32", "bf16"])
def test_rows_saved_between_captures_go_on_bit_for_bit(way):
    whole, loader = crew("rowwise", **WAYS[way])
    drive(whole, loader, 19, 0.02)
    resumed, _ = crew("rowwise", **WAYS[way])
    resumed.load_state_dict(whole.state_dict())
    for trained in (whole, resumed):
        drive(trained, loader, 60, 0.02, start=19)
    assert same(whole.state_dict(), resumed.state_dict())

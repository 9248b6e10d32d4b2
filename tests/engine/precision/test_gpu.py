"""What only a GPU shows: no update waits for the device; half precision, compilation and captured looks train there."""

import pytest
import torch

from bench import engine
from bench.contract import Move
from bench.engine.loader import Loader
from bench.engine.rowwise import LANES, capture
from bench.numerics import Arithmetic
from tests.engine.test_dispatch import PREPARES
from tests.engine.toys import Net, drive, same, toy

pytestmark = pytest.mark.gpu

STEPS = 40
WAYS = {
    "fp32": {},
    "tf32": {"precision": "tf32"},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "cut": {"accumulate": 2},
}


def crew(name="modules", optimizer="adamw", **arithmetic):
    loader = Loader(toy(Net, clip=0.5), 0, "cuda")
    return engine.create(name, loader, optimizer, 0.1, None, Arithmetic(**arithmetic)), loader


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
    train(trained, loader, 0, 8, 2)  # the optimizers' first states, and capturing, do wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches = [loader.batch(k) for k in range(8, 12)]
        for k, batch in enumerate(batches, 8):
            trained.look(batch, k)
            trained.move([Move(0.01), Move(0.02)])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("precision", "rounds"), [("fp32", False), ("tf32", True)])
def test_only_tf32_rounds_the_factors_of_products_and_convolutions(precision, rounds):
    draw = torch.Generator("cuda").manual_seed(0)
    a, b = (torch.randn(256, 256, device="cuda", generator=draw) for _ in range(2))
    images, filters = (torch.randn(8, 64, side, side, device="cuda", generator=draw) for side in (16, 3))
    crew(precision=precision)
    for run, args in ((torch.matmul, (a, b)), (torch.nn.functional.conv2d, (images, filters))):
        exact = run(*(x.double() for x in args))
        error = (run(*args) - exact).abs().max() / exact.abs().max()
        assert (error > 3e-5) == rounds


@pytest.mark.parametrize("name", PREPARES)
def test_no_preparation_waits_for_the_device_and_it_draws_what_it_draws_on_a_cpu(name):
    prepare, *whole = PREPARES[name]
    parts = [tuple(a.cuda() for a in part) for part in whole]
    prepare(*parts, torch.Generator().manual_seed(0))  # constants are copied once
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = prepare(*parts, torch.Generator().manual_seed(0))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for ours, theirs in zip(batch, prepare(*whole, torch.Generator().manual_seed(0)), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert torch.allclose(a.cpu(), b, atol=1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("way", [*WAYS, "compiled"])
def test_it_learns_and_a_saved_state_goes_on_bit_for_bit(way, optimizer):
    arithmetic = WAYS.get(way, {"backend": "inductor"})
    whole, loader = crew("modules", optimizer, **arithmetic)
    resumed, _ = crew("modules", optimizer, **arithmetic)
    assert bool(whole.members[0].optimizer.defaults["fused"]) == ((way, optimizer) != ("fp16", "sgd"))
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

"""Gradients in bf16 on a CPU of convolutions over small maps: those of float32, whatever freed memory holds."""

import pytest
import torch
from torch import nn

from bench.arithmetic import Arithmetic
from bench.engine.feed import Feed
from bench.engine.modules import initial
from bench.engine.narrow import WideConvolutions
from bench.engine.passes import Pass
from tests.engine.toys import toy

DEPTHWISE = nn.Conv2d, (64, 64, 3, 2, 1, 1, 64)
CASES = {
    "depthwise 1x1": (DEPTHWISE, (1, 1)),
    "depthwise 2x2 by 3": ((nn.Conv2d, (64, 64, 3, 3, 1, 1, 64)), (2, 2)),
    "dense 1x1": ((nn.Conv2d, (64, 64, 3, 2, 1)), (1, 1)),
    "wide kernel": ((nn.Conv2d, (256, 256, 5, 1, 2)), (1, 1)),
    "grouped, one side": ((nn.Conv2d, (64, 64, 4, (1, 2), (1, 2), 1, 4)), (9, 1)),
    "sound": ((nn.Conv1d, (32, 64, 2, 4, 1)), (3,)),
    "volume": ((nn.Conv3d, (64, 64, (3, 7, 5), (4, 4, 2), (0, 2, 2), 1, 4)), (5, 7, 1)),
    "transposed": ((nn.ConvTranspose2d, (32, 64, (1, 3), 2, (0, 1))), (4, 1)),
}


def poison():
    """Fill memory with NaN and free it."""
    held = [torch.full((4**n,), float("nan")) for n in range(2, 10) for _ in range(6)]
    del held


def gradients(model, way, feed):
    way.backward(model, feed.batch(0), 0)
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def apart(grad, want):
    return float((grad.double() - want.double()).norm() / want.double().norm().clamp_min(1e-12))


@pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["channels first", "channels last"]
)
@pytest.mark.parametrize("name", CASES)
def test_gradients_of_a_layer_are_those_of_float32(name, layout):
    (kind, arguments), sides = CASES[name]
    torch.manual_seed(0)
    layer, inputs = kind(*arguments), torch.randn(2, arguments[0], *sides)
    inputs = inputs.contiguous(memory_format=layout) if inputs.ndim == 4 else inputs
    wanted = torch.autograd.grad(layer(inputs).square().sum(), [*layer.parameters()])
    for _ in range(5):
        poison()
        with torch.autocast("cpu", torch.bfloat16), WideConvolutions():
            output = layer(inputs)
        assert output.dtype == torch.bfloat16
        poison()
        for grad, want in zip(
            torch.autograd.grad(output.float().square().sum(), [*layer.parameters()]), wanted, strict=True
        ):
            assert apart(grad, want) < 0.02


def test_a_convolution_over_a_map_of_its_size_is_left_alone():
    layer, inputs = nn.Conv2d(8, 8, 3, 2, 1), torch.randn(2, 8, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        plain = layer(inputs)
        with WideConvolutions():
            assert torch.equal(layer(inputs), plain)
    with WideConvolutions():
        assert layer(torch.randn(2, 8, 4, 4)).dtype == torch.float32


class Narrow(nn.Module):
    """A convolution of stride 2 over 1x1, such as SSDLite's last level has on small images."""

    def __init__(self, head=3):
        super().__init__()
        features = toy().load().train.inputs[0].shape[1]
        self.net = nn.Sequential(
            nn.Linear(features, 64), nn.Unflatten(1, (64, 1, 1)), nn.Conv2d(64, 64, 3, 2, 1), nn.Flatten()
        )
        self.head = nn.Linear(64, head)

    def forward(self, inputs):
        return self.head(self.net(inputs))


@pytest.mark.parametrize("backend", [None, "aot_eager"])
def test_a_member_has_the_gradients_of_float32(backend):
    torch._dynamo.reset()
    feed = Feed(toy(Narrow), 0)
    wide, narrow = initial(feed), initial(feed)
    wanted = gradients(wide, Pass(feed, Arithmetic()), feed)
    poison()
    ours = gradients(narrow, Pass(feed, Arithmetic(precision="bf16", backend=backend)), feed)
    assert {n: apart(ours[n], wanted[n]) for n in wanted if not apart(ours[n], wanted[n]) < 0.05} == {}

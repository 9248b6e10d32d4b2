"""Precision, micro-batches and compilation, each against a training loop written by hand with torch alone."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from bench import engine
from bench.contract import SKIPPED, InputError, Move
from bench.engine import grad_scaler as scaler
from bench.engine.loader import key
from bench.numerics import Arithmetic, settle, tf32_restored
from tests.engine.toys import Drops, Net, Plain, apart, create, drive, same, tensors, toy

STEPS, LR = 24, 0.03


def by_hand(task, loader, optimizer, dtype, grad_scaler):
    """Weights and buffers after training under autocast, and the updates that the scaler skipped."""
    torch.manual_seed(key(0, "init"))
    model, skipped = task.model(), []
    weights = [p for p in model.parameters() if p.requires_grad]
    stepper = optimizer(weights)
    for k in range(STEPS):
        inputs, target = loader.batch(k)
        torch.manual_seed(loader.dropout_key(k))
        stepper.zero_grad()
        with torch.autocast("cpu", dtype):
            output = model(*inputs)
        grad_scaler.scale(task.loss(output.float(), target)).backward()
        grad_scaler.unscale_(stepper)
        held = [p for p in weights if p.grad is not None]
        norm = get_total_norm([p.grad for p in held])
        if norm.isfinite():
            clip_grads_with_norm_(held, task.clip, norm)
        else:
            skipped.append(k)
        grad_scaler.step(stepper)
        grad_scaler.update()
    return dict(model.named_parameters()) | dict(model.named_buffers()), skipped


def loud(**changes):
    """The toy with a loss so large that its gradient in fp16 overflows at the first scales."""
    task = toy(clip=0.5)
    return dataclasses.replace(task, loss=lambda output, target: 40 * task.loss(output, target), **changes)


STEPPERS = {
    "sgd": lambda _: lambda p: torch.optim.SGD(p, LR, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda fused: lambda p: torch.optim.AdamW(p, LR, weight_decay=1e-3, fused=fused),
    "rmsprop": lambda _: lambda p: torch.optim.RMSprop(p, LR, weight_decay=1e-3),
}


def trained(task, optimizer, **arithmetic):
    built, loader = create("modules", task, optimizer, 1e-3, torch.float32, **arithmetic)
    for k in range(STEPS):
        built.look(loader.batch(k), k)
        built.move([Move(LR)])
    return built, loader


@pytest.mark.parametrize("optimizer", STEPPERS)
def test_bf16_equals_autocast_by_hand_bit_for_bit(optimizer):
    ours, loader = trained(toy(clip=0.5), optimizer, precision="bf16")
    idle = torch.amp.GradScaler("cpu", enabled=False)
    theirs, _ = by_hand(toy(clip=0.5), loader, STEPPERS[optimizer](False), torch.bfloat16, idle)
    usual, _ = trained(toy(clip=0.5), optimizer)
    assert same(theirs, tensors(ours)[0])
    assert 1e-4 < apart(tensors(ours), tensors(usual)) < 0.5
    assert all(t.dtype != torch.bfloat16 for t in tensors(ours)[0].values())


@pytest.mark.parametrize("optimizer", STEPPERS)
def test_fp16_equals_a_grad_scaler_by_hand_bit_for_bit_with_the_updates_it_skips(optimizer):
    ours, loader = trained(loud(), optimizer, precision="fp16")
    theirs, skipped = by_hand(loud(), loader, STEPPERS[optimizer](True), torch.float16, torch.amp.GradScaler("cpu"))
    assert skipped
    assert skipped == [k for k, (_, norm_M) in enumerate(ours.history()) if norm_M[0] == SKIPPED]
    assert same(theirs, tensors(ours)[0])


def test_the_scale_grows_and_shrinks_as_torchs_does(monkeypatch):
    monkeypatch.setattr(scaler, "INTERVAL", 3)
    theirs, ours = torch.amp.GradScaler("cpu", growth_interval=3), scaler.Scaler(torch.device("cpu"))
    weight = nn.Parameter(torch.ones(2))
    stepper = torch.optim.SGD([weight], 0.1)
    for bad in (0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0):
        weight.grad = torch.tensor([float("inf") if bad else 1.0, 1.0])
        theirs.scale(torch.ones(()))
        theirs.step(stepper)
        theirs.update()
        ours.unscale([torch.tensor([float("inf") if bad else 1.0, 1.0])], torch.ones(()))
        ours.step(stepper, lambda: None)
        assert ours.scale.item() == theirs.get_scale()


def test_a_fork_takes_the_scale_along_and_a_saved_state_goes_on_bit_for_bit():
    whole, loader = create("modules", loud(), "adamw", 1e-3, torch.float32, precision="fp16")
    resumed, _ = create("modules", loud(), "adamw", 1e-3, torch.float32, precision="fp16")
    for cut in (2, 11):
        drive(whole, loader, cut, LR, start=max(0, cut - 9))
        resumed.load_state_dict(whole.state_dict())
        assert [m.scaler.scale.item() for m in resumed.members] == [m.scaler.scale.item() for m in whole.members]
    drive(whole, loader, STEPS, LR, start=11)
    drive(resumed, loader, STEPS, LR, start=11)
    assert same(whole.state_dict(), resumed.state_dict())
    assert whole.members[0].scaler.scale.item() < scaler.INITIAL


def test_a_gradient_that_no_scale_saves_is_told_as_diverged():
    lost, loader = create("modules", toy(), "sgd", 0.0, torch.float32, precision="fp16")
    lost.members[0].scaler.scale.fill_(1.0)
    lost.look(loader.batch(0), 0)
    lost.move([Move(1e30)])
    lost.look(loader.batch(1), 1)
    assert not all(map(torch.isfinite, map(torch.tensor, lost.signals()[0][:2])))


@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_have_the_whole_batchs_gradient_clipped_after_it_is_whole(parts):
    whole, loader = create("modules", toy(Plain, clip=0.3), "sgd")
    cut, _ = create("modules", toy(Plain, clip=0.3), "sgd", accumulate=parts)
    for it in (whole, cut):
        drive(it, loader, STEPS, LR)
    assert apart(tensors(cut), tensors(whole)) <= 1e-12
    for ours, theirs in zip(cut.history(), whole.history(), strict=True):
        assert ours[0] == pytest.approx(theirs[0], rel=1e-12)
        assert ours[1] == pytest.approx(theirs[1], rel=1e-12)


def test_each_micro_batch_has_a_dropout_mask_of_its_own():
    cut, loader = create("modules", toy(Drops), "sgd", accumulate=2)
    cut.look(loader.batch(5), 5)
    model, losses = cut.members[0].model, []
    (inputs,), (labels,) = loader.batch(5)
    for part in range(2):
        torch.manual_seed(loader.dropout_key(5, part))
        rows = slice(4 * part, 4 * part + 4)
        losses.append(functional.cross_entropy(model(inputs[rows]), labels[rows]).item())
    assert cut.signals()[0][0] == pytest.approx(sum(losses) / 2, rel=1e-12)
    assert loader.dropout_key(5, 0) != loader.dropout_key(5, 1)


@pytest.mark.parametrize("model", [Net, Plain])
def test_compiled_members_share_one_graph_and_equal_plain_ones(model):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    plain, loader = create("modules", toy(model), "adamw", 0.1)
    ours, _ = create("modules", toy(model), "adamw", 0.1, backend="aot_eager")
    for it in (plain, ours):
        drive(it, loader, STEPS, LR)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert len(ours.members) == 3
    assert apart(tensors(ours), tensors(plain)) <= 1e-10
    assert ours.evaluate("test", [0]) == [pytest.approx(plain.evaluate("test", [0])[0], rel=1e-9)]


def test_what_the_compiler_cannot_do_is_refused_in_one_line():
    @torch._dynamo.register_backend
    def broken(graph, inputs):
        raise RuntimeError("no C++ compiler here\nand more of that")

    with pytest.raises(InputError, match=r"toy cannot be compiled: run without --compile \(.*no C\+\+ comp") as caught:
        create("modules", toy(), backend="broken")
    assert "\n" not in str(caught.value)


def test_a_backend_that_torch_does_not_have_is_refused():
    with pytest.raises(InputError, match=r"torch\.compile has no backend 'fast'; there are: .*inductor"):
        create("modules", toy(), backend="fast")


def test_auto_chooses_modules_for_what_cannot_be_stacked_and_a_wish_is_refused():
    for unusual in ({"precision": "bf16"}, {"accumulate": 2}, {"backend": "inductor"}):
        done = Arithmetic(**unusual)
        assert engine.choose(toy(), "sgd", 40, arithmetic=done) == "modules"
        with pytest.raises(InputError, match=f"the stacked engine has no {done.text}: use --engine modules"):
            engine.choose(toy(), "sgd", 40, wish="stacked", arithmetic=done)
    assert engine.choose(toy(), "sgd", 40, arithmetic=Arithmetic(processes=2)) == "stacked"


@pytest.mark.parametrize("optimizer", ["adamw(decay='matrices')", "sgd(decay='matrices')"])
def test_biases_and_norms_that_do_not_decay_equal_two_groups_by_hand(optimizer):
    built, loader = create("modules", toy(), optimizer, 0.1, torch.float32)
    torch.manual_seed(key(0, "init"))
    model = toy().model()
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    spared = [p for name, p in named if name.endswith("bias") or name.startswith("norm.")]
    others = [p for name, p in named if not (name.endswith("bias") or name.startswith("norm."))]
    groups = [{"params": others, "weight_decay": 0.1}, {"params": spared, "weight_decay": 0.0}]
    adam = optimizer.startswith("adamw")
    stepper = torch.optim.AdamW(groups, LR) if adam else torch.optim.SGD(groups, LR, momentum=0.9)
    for k in range(STEPS):
        inputs, target = loader.batch(k)
        torch.manual_seed(loader.dropout_key(k))
        stepper.zero_grad()
        toy().loss(model(*inputs), target).backward()
        stepper.step()
        built.look(loader.batch(k), k)
        built.move([Move(LR)])
    assert spared
    assert same(dict(model.state_dict()), dict(built.members[0].model.state_dict()))


def products():
    """How CUDA computes float32 products, as torch, libraries of older times and inductor read the settings."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    new = [part.fp32_precision for part in (cuda, cudnn.conv, cudnn.rnn)]
    return new, [cuda.allow_tf32, cudnn.allow_tf32, torch.get_float32_matmul_precision()]


@pytest.mark.filterwarnings("ignore:Please use the new API")
def test_cuda_computes_products_and_convolutions_in_tf32_for_tf32_alone():
    before = products()
    with tf32_restored():
        settle(Arithmetic("tf32"), torch.device("cpu"))
        assert products() == before
        settle(Arithmetic("tf32"), torch.device("cuda", 1))
        assert products() == (["tf32"] * 3, [True, True, "high"])
        for precision in ("fp32", "bf16"):
            settle(Arithmetic(precision), torch.device("cuda"))
            assert products() == (["ieee"] * 3, [False, False, "highest"])
    assert products() == before


@pytest.mark.parametrize("name", ["modules", "stacked"])
def test_an_engine_settles_its_precision(monkeypatch, name):
    settled = []
    monkeypatch.setattr(engine, "settle", lambda *what: settled.append(what))
    create(name, toy(), "sgd", 0.0, torch.float32, precision="tf32")
    assert settled == [(Arithmetic("tf32"), torch.device("cpu"))]

"""The adapter does what torch's own schedulers do, in what torch's own tests of them look at."""

import copy
import gc
import io
import json
import pickle
import warnings
import weakref

import pytest
import torch
from accelerate import scheduler as accelerated
from torch.optim import lr_scheduler as theirs

from bench.contract import InputError
from schedules.adapter import Scheduler
from schedules.schedule import factors

TOTAL, EPOCH_STEPS, PEAK = 20, 5, 0.1


def weight():
    return torch.nn.Parameter(torch.zeros(1))


def sgd(lr=PEAK, **settings):
    return torch.optim.SGD([weight()], lr=lr, **settings)


def made(optimizer, text="cosine"):
    return Scheduler(optimizer, text, total=TOTAL, epoch_steps=EPOCH_STEPS)


def twin(optimizer):
    return theirs.CosineAnnealingLR(optimizer, TOTAL)


def lrs(optimizer, scheduler, steps=TOTAL - 1):
    trace = []
    for _ in range(steps):
        trace.append([float(group["lr"]) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return trace


def close(trace):
    return [pytest.approx(row, rel=1e-9, abs=1e-12) for row in trace]


def test_momenta_of_groups_are_their_own():
    groups = [{"params": [weight()], "momentum": 0.3}, {"params": [weight()], "momentum": 0.9}]
    it = torch.optim.SGD(groups, lr=PEAK, momentum=0.5)
    lrs(it, made(it))
    assert [group["momentum"] for group in it.param_groups] == [0.3, 0.9]
    it = torch.optim.AdamW([{"params": [weight()], "betas": (0.5, 0.6)}], lr=PEAK)
    lrs(it, made(it))
    assert it.param_groups[0]["betas"] == (0.5, 0.6)


def test_a_momentum_that_was_cycled_is_given_back():
    it = torch.optim.SGD([{"params": [weight()], "momentum": 0.3}], lr=PEAK, momentum=0.5)
    scheduler = made(it, "stages([onecycle, constant], [0.5, 0.5])")
    assert it.param_groups[0]["momentum"] == 0.95
    lrs(it, scheduler, TOTAL // 2)
    assert it.param_groups[0]["momentum"] == 0.3
    it.param_groups[0]["momentum"] = 0.4  # by hand
    lrs(it, scheduler, 2)
    assert it.param_groups[0]["momentum"] == 0.4


@pytest.mark.parametrize("text", ["cosine", "plateau"])
def test_a_tensor_lr_is_filled_in_place(text):
    lr = torch.tensor(PEAK, dtype=torch.float64)
    it = torch.optim.Adam([weight()], lr=lr, foreach=False)
    scheduler = made(it, text)
    for _ in range(5):
        if text == "cosine":
            it.step()
        scheduler.step(**({} if text == "cosine" else {"loss": torch.tensor(1.0)}))
        assert it.param_groups[0]["lr"] is lr
    (last,) = scheduler.get_last_lr()
    assert isinstance(last, torch.Tensor)
    assert last is not lr
    assert float(last) == float(lr)
    assert it.param_groups[0]["initial_lr"] == pytest.approx(PEAK)
    json.dumps(scheduler.state_dict())


def test_lists_are_fresh():
    it = sgd()
    scheduler = made(it)
    before = scheduler.get_last_lr()
    lrs(it, scheduler, 3)
    assert before == [PEAK]
    scheduler.get_last_lr()[0] = 7.0
    scheduler.state_dict()["lrs"][0] = 7.0
    assert scheduler.get_last_lr() == [it.param_groups[0]["lr"]] != [7.0]


@pytest.mark.parametrize("text", ["linear", "plateau(patience=0)"])
def test_a_group_added_later_joins_where_the_first_stands(text):
    it = sgd()
    scheduler, told = made(it, text), {} if text == "linear" else {"loss": 1.0}
    for _ in range(12):
        it.step()
        scheduler.step(**told)
    it.add_param_group({"params": [weight()], "lr": 2 * PEAK})
    saved = json.loads(json.dumps(scheduler.state_dict()))
    assert it.param_groups[1]["lr"] == 2 * PEAK
    for _ in range(3):
        it.step()
        scheduler.step(**told)
        first, second = scheduler.get_last_lr()
        assert second == pytest.approx(2 * first) == it.param_groups[1]["lr"]
    assert len(saved["states"]) == 2
    with pytest.raises(InputError, match="the optimizer has 1 groups, and the state is that of 2"):
        made(sgd(), text).load_state_dict(saved)


@pytest.mark.parametrize(
    "text", ["cosine", "onecycle", "plateau", "torch('StepLR', step_size=3)", "chain([rex, step])"]
)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["copy", "pickle"])
def test_copies_go_on_alike(text, copied):
    it = sgd(momentum=0.5)
    scheduler = made(it, text)
    told = {"loss": 1.0} if scheduler.schedule.needs else {}
    for at in range(10):
        it.step()
        scheduler.step(**told)
        if at == 4:
            other = copied(scheduler)
    for _ in range(5):
        other.optimizer.step()
        other.step(**told)
    assert other.optimizer is not it
    assert other.state_dict() == scheduler.state_dict()
    assert other.optimizer.param_groups[0]["lr"] == it.param_groups[0]["lr"]


def joined(optimizer, make, milestone=6):
    parts = [theirs.LinearLR(optimizer, 0.1, 1.0, milestone), make(optimizer)]
    return theirs.SequentialLR(optimizer, parts, [milestone])


def reverse(optimizer, make, milestone=6):
    return theirs.SequentialLR(optimizer, [make(optimizer), theirs.ExponentialLR(optimizer, 0.9)], [milestone])


def nested(optimizer, make, milestone=6):
    return theirs.SequentialLR(optimizer, [joined(optimizer, make, 3), make(optimizer)], [milestone])


def multiplied(optimizer, make):
    parts = [make(optimizer), theirs.ConstantLR(optimizer, 0.1, 4), theirs.ExponentialLR(optimizer, 0.9)]
    return theirs.ChainedScheduler(parts, optimizer)


def multiplied_last(optimizer, make):
    parts = [theirs.ConstantLR(optimizer, 0.1, 4), theirs.ExponentialLR(optimizer, 0.9), make(optimizer)]
    return theirs.ChainedScheduler(parts, optimizer)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # which torch's own nested ones give, too
@pytest.mark.parametrize("container", [joined, reverse, nested, multiplied, multiplied_last])
def test_inside_containers_of_torch_it_does_what_torch_does(container):
    mine, other = sgd(), sgd()
    first, second = container(mine, made), container(other, twin)
    assert lrs(mine, first) == close(lrs(other, second))
    assert first.get_last_lr() == pytest.approx(second.get_last_lr())
    json.dumps(first.state_dict())


def test_a_container_is_resumed():
    it, again = sgd(), sgd()
    whole = joined(it, made)
    lrs(it, whole, 9)
    resumed = joined(again, made)
    resumed.load_state_dict(whole.state_dict())
    again.load_state_dict(it.state_dict())
    assert lrs(again, resumed, 8) == lrs(it, whole, 8)


def test_a_closed_loop_in_a_container_is_told_why_not():
    it = sgd()
    scheduler = theirs.SequentialLR(it, [made(it, "plateau"), made(it)], [6])
    with pytest.raises(InputError, match="plateau is closed loop: call step"):
        scheduler.step()


def test_a_cut_by_another_scheduler_stays():
    it = sgd()
    scheduler, plateau = made(it, "linear"), theirs.ReduceLROnPlateau(it, factor=0.1, patience=0)
    plateau.step(1.0)
    plateau.step(2.0)
    lrs(it, scheduler, 10)
    assert it.param_groups[0]["lr"] == pytest.approx(0.1 * PEAK * 0.5)


def test_a_second_scheduler_begins_at_the_lr_that_there_is():
    it = sgd()
    lrs(it, made(it), 5)
    it.param_groups[0]["lr"] = 0.02
    scheduler = made(it, "linear")
    assert it.param_groups[0]["lr"] == 0.02
    lrs(it, scheduler, 10)
    assert it.param_groups[0]["lr"] == pytest.approx(0.01)


def test_one_made_beside_a_warmup_from_zero_is_not_lost():
    it = sgd()
    made(it, "warmup(constant, epochs=1, first=0)")
    assert it.param_groups[0]["lr"] == 0
    assert lrs(it, made(it, "constant"), 3) == [[PEAK]] * 3


def test_last_epoch_continues():
    it, again = sgd(), sgd()
    trace = lrs(it, made(it))
    again.param_groups[0]["initial_lr"] = PEAK
    scheduler = Scheduler(again, "cosine", total=TOTAL, epoch_steps=EPOCH_STEPS, last_epoch=6)
    assert lrs(again, scheduler, 5) == trace[7:12]
    with pytest.raises(KeyError, match="initial_lr"):
        Scheduler(sgd(), "cosine", total=TOTAL, epoch_steps=EPOCH_STEPS, last_epoch=6)
    with pytest.raises(InputError, match="continues by load_state_dict only"):
        Scheduler(again, "plateau", total=TOTAL, epoch_steps=EPOCH_STEPS, last_epoch=6)


def test_an_epoch_that_is_given_is_gone_to():
    it = sgd()
    scheduler = made(it)
    it.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(7)
    assert it.param_groups[0]["lr"] == factors(scheduler.schedule, TOTAL, EPOCH_STEPS, PEAK)[7].factor * PEAK


def test_the_order_of_steps_is_warned_of_as_by_torch():
    it = sgd()
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step"):
        made(it).step()
    it = sgd()
    scheduler = made(it)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lrs(it, scheduler, 3)


def test_it_keeps_no_optimizer_alive():
    it = sgd()
    scheduler, there = made(it), weakref.ref(it)
    gc.disable()
    try:
        del it, scheduler
        assert there() is None
    finally:
        gc.enable()


def test_a_state_loads_without_running_code_and_into_another_instance():
    it, again = sgd(), sgd()
    scheduler, other = made(it), made(again)
    lrs(it, scheduler, 5)
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    apart = {"optimizer", "schedule"}
    one, two = ({k: v for k, v in vars(s).items() if k not in apart} for s in (scheduler, other))
    assert one == two
    assert again.param_groups[0]["lr"] == it.param_groups[0]["lr"]


def test_a_state_of_the_first_version_loads():
    it, again = sgd(), sgd()
    scheduler = made(it)
    lrs(it, scheduler, 5)
    state = {k: v for k, v in scheduler.state_dict().items() if k not in ("step_count", "factors", "scales")}
    other = made(again)
    other.load_state_dict(state)
    assert lrs(again, other, 8) == lrs(it, scheduler, 8)


@pytest.mark.parametrize("wrong", [{"lose": 1.0}, {"loss": 1.0, "epochs": 3}])
def test_a_signal_of_another_name_is_refused(wrong):
    with pytest.raises(InputError, match=r"closed loop: call|signals are loss, grad_norm"):
        made(sgd(), "plateau").step(**wrong)


# ------------------------------------------------------------------------------------- under Accelerate


class Opened:
    step_was_skipped = False


def prepared(scheduler, monkeypatch, world, **settings):
    """As `accelerator.prepare` does, in a world of so many processes."""
    monkeypatch.setattr(accelerated, "AcceleratorState", lambda: type("State", (), {"num_processes": world}))
    return accelerated.AcceleratedScheduler(scheduler, Opened(), **settings)


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("inside", [False, True])
def test_accelerate_gives_the_same_lrs_or_says_what_to_do(monkeypatch, world, inside):
    plain = sgd()
    expected = lrs(plain, reverse(plain, made) if inside else made(plain))
    for settings in ({}, {"split_batches": True}, {"step_with_optimizer": False}):
        it = sgd()
        scheduler = prepared(reverse(it, made) if inside else made(it), monkeypatch, world, **settings)
        if world == 1 or settings:
            assert lrs(it, scheduler, 5) == expected[:5]
        else:
            it.step()
            with pytest.raises(InputError, match=f"steps a prepared scheduler {world} times an update.*keep it out of"):
                scheduler.step()


def test_a_closed_loop_under_accelerate_is_told_once_or_never(monkeypatch):
    it = sgd()
    told = []
    scheduler = made(it, "plateau")
    advance = scheduler._advance
    monkeypatch.setattr(scheduler, "_advance", lambda signals: told.append(signals.loss) or advance(signals))
    prepared(scheduler, monkeypatch, 1).step(loss=1.0)
    with pytest.raises(InputError, match="2 times an update"):
        prepared(scheduler, monkeypatch, 2).step(loss=2.0)
    assert told == [1.0]

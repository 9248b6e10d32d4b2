"""Averages against `torch.optim.swa_utils` and a plain loop; forks, checkpoints and readings; recipes."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn, update_bn

from bench.contract import Cell, InputError, Move
from bench.engine.loader import Loader
from bench.ledger import checkpoint
from bench.strategies import averagings as averaging
from bench.strategies.averagings import AS_IS, PRESENT, Averagings, Span
from tests.engine.toys import apart, create, same, toy

EPOCH = 4  # updates of the toy
TEXTS = ("ema(decay=0.8)", "swa(share=0.5)", "lawa(k=2)")
both = pytest.mark.parametrize("name", ["modules", "stacked"])
every = pytest.mark.parametrize("text", TEXTS)


def cell(text, total):
    """A cell that is read by an averaging."""
    return Cell("toy", "constant", "sgd", 0.1, 0.0, 1.0, total, 0, "", text)


def train(trained, loader, cells, start, end, visit=lambda step: None):
    """All cells ride every member, at an LR of its own."""
    riding = Averagings(cells, EPOCH)
    for k in range(start, end):
        trained.look(loader.batch(k), k)
        members = len(trained.signals())
        trained.move([Move(0.1 / (1 + i)) for i in range(members)])
        for (slot, share), rows in riding.blends([range(len(cells))] * members, k + 1).items():
            trained.blend(slot, rows, share)
        visit(k + 1)
    return trained


def mixed(trained, row, recipe):
    """Weights that a recipe reads, by name, of either engine."""
    if hasattr(trained, "members"):
        return {n: p.detach() for n, p in trained.members[row].mixed(recipe).named_parameters() if p.requires_grad}
    parts = trained._parts(trained._averages.mixed(recipe, [row], trained._weight_WP))
    idle = {n: p.detach() for n, p in trained._model.named_parameters() if p.requires_grad}
    return idle | {n: t[0] for n, t in parts.items()}


def history(trained, loader, steps):
    """Copies of the model of a lone member after each update, trained without any averaging."""
    models = []
    train(trained, loader, [], 0, steps, lambda step: models.append(copy.deepcopy(trained.members[0].model)))
    return models


def by_torch(text, models, total):
    """The average that torch makes of the models after each update."""
    ends = [m for k, m in enumerate(models, 1) if k % EPOCH == 0 or k == total]
    fed = {
        "ema(decay=0.8)": models,
        "swa(share=0.5)": [m for k, m in enumerate(models, 1) if k > total / 2 and (k % EPOCH == 0 or k == total)],
        "lawa(k=2)": ends[-2:],
    }[text]
    average = AveragedModel(
        models[0], multi_avg_fn=get_ema_multi_avg_fn(0.8) if text.startswith("ema") else get_swa_multi_avg_fn()
    )
    for model in fed:
        average.update_parameters(model)
    average.module.load_state_dict(dict(models[-1].named_buffers()), strict=False)
    return average.module


@every
@pytest.mark.parametrize("total", [1, 3, 4, 9, 16, 20])
def test_an_average_is_what_torch_makes_of_the_weights_bit_for_bit(text, total):
    trained, loader = create("modules", toy(), "sgd", 0.01, torch.float32)
    expected = by_torch(text, history(create("modules", toy(), "sgd", 0.01, torch.float32)[0], loader, total), total)
    train(trained, loader, [cell(text, total)], 0, total)
    recipe = averaging.parse(text).recipe(total, Span(total, EPOCH))
    weights = {n: p.detach() for n, p in expected.named_parameters() if p.requires_grad}
    assert same(weights, mixed(trained, 0, recipe))
    update_bn([loader.batch(k)[0] for k in range(EPOCH)], expected.eval())  # leaves dropout off
    ours = trained._recalibrated(trained.members[0].mixed(recipe))
    for (name, a), b in zip(ours.norm.named_buffers(), expected.norm.buffers(), strict=True):
        assert torch.allclose(a, b, rtol=1e-5), name


@every
def test_rows_keep_the_same_averages_as_modules(text):
    crews = []
    for name in ("modules", "stacked", "rowwise"):
        trained, loader = create(name, toy(), "sgd", 0.01)
        cells = [cell(text, 18), cell("none", 18)]
        train(trained, loader, cells, 0, 5)
        trained.look(loader.batch(5), 5)
        trained.take([0, 0, 0])
        trained.move([Move(0.1), Move(0.2), Move(0.3)])
        train(trained, loader, cells, 6, 11)
        trained.take([2, 0])
        crews.append(train(trained, loader, cells, 11, 18))
    recipe = averaging.parse(text).recipe(18, Span(18, EPOCH))
    slow, *rows = ([mixed(crew, row, recipe) for row in (0, 1)] for crew in crews)
    assert all(apart(fast, slow) <= 1e-10 for fast in rows)
    for a, *others in zip(*(crew.averaged(("control", "test"), [1, 0, 1], recipe) for crew in crews), strict=True):
        for ours in others:
            assert ours == [pytest.approx(theirs, rel=1e-9) for theirs in a]


@both
@every
def test_a_fork_is_a_run_alone(name, text):
    cells = [cell(text, 20)]
    forked, loader = create(name, toy(), "sgd")
    forked.take([0, 0])
    train(forked, loader, cells, 0, 9)
    forked.take([1, 1, 0])
    train(forked, loader, cells, 9, 20)
    alone, _ = create(name, toy(), "sgd")
    alone.take([0, 0])
    for k in range(20):
        alone.look(loader.batch(k), k)
        alone.move([Move(0.05 if k < 9 else 0.1), Move(0.1 if k < 9 else 0.1 / 3)])
        for (slot, share), rows in Averagings(cells, EPOCH).blends([[0], [0]], k + 1).items():
            alone.blend(slot, rows, share)
    recipe = averaging.parse(text).recipe(20, Span(20, EPOCH))
    for ours, theirs in ((0, 0), (2, 1)):
        assert apart([mixed(forked, ours, recipe)], [mixed(alone, theirs, recipe)]) <= 1e-12
        if name == "modules":
            assert same(mixed(forked, ours, recipe), mixed(alone, theirs, recipe))


@both
@pytest.mark.parametrize("cut", [1, 5, 13])
def test_a_checkpoint_goes_on_bit_for_bit(name, cut, tmp_path):
    cells = [cell(text, 20) for text in TEXTS]
    whole, loader = create(name, toy(), "adamw", 0.1, torch.float32)
    whole.take([0, 0])
    train(whole, loader, cells, 0, cut)
    checkpoint.save(tmp_path / "state.pt", whole.state_dict())
    resumed, _ = create(name, toy(), "adamw", 0.1, torch.float32)
    resumed.load_state_dict(checkpoint.load(tmp_path / "state.pt"))
    for trained in (whole, resumed):
        train(trained, loader, cells, cut, 20)
    assert same(whole.state_dict(), resumed.state_dict())
    assert len(whole.state_dict()["averages" if name == "stacked" else "members"]) > 1


@both
def test_reading_averages_at_random_steps_changes_no_bit(name):
    draw, cells = np.random.default_rng(4), [cell(text, 20) for text in TEXTS]
    riding = Averagings(cells, EPOCH)

    def read(step):
        if draw.random() < 0.4:
            before = watched.state_dict()
            for (_, recipe), rows in riding.readings({1: [0, 1, 2], 0: [2]}, step).items():
                assert len(watched.averaged(("control", "test"), rows, recipe)[0]) == len(rows)
            assert same(before, watched.state_dict())

    watched, loader = create(name, toy(), "adamw", 0.1, torch.float32)
    alone, _ = create(name, toy(), "adamw", 0.1, torch.float32)
    for trained, visit in ((watched, read), (alone, lambda step: None)):
        trained.take([0, 0])
        train(trained, loader, cells, 0, 20, visit)
    assert same(watched.state_dict(), alone.state_dict())


@both
def test_averages_change_no_bit_of_training(name):
    bare, loader = create(name, toy(), "sgd", dtype=torch.float32)
    averaged, _ = create(name, toy(), "sgd", dtype=torch.float32)
    train(bare, loader, [], 0, 12)
    train(averaged, loader, [cell(text, 12) for text in TEXTS], 0, 12)
    assert same(bare.evaluate("test", [0]), averaged.evaluate("test", [0]))
    assert same(mixed(bare, 0, AS_IS), mixed(averaged, 0, AS_IS))


@both
def test_members_whose_riders_have_left_lose_their_average(name):
    trained, loader = create(name, toy(), "sgd")
    trained.take([0, 0])
    train(trained, loader, [], 0, 3)
    trained.blend("it", [0, 1], 1.0)
    trained.blend("it", [1], 0.5)
    kept = [(PRESENT, 1.0), ("it", 0.5)]
    trained.averaged(["test"], [1], kept)
    with pytest.raises((KeyError, ValueError)):
        trained.averaged(["test"], [0], kept)


spans = st.builds(Span, st.integers(1, 60), st.integers(1, 12))
averagings = st.sampled_from(
    [averaging.parse(t) for t in (*TEXTS, "none", "swa(share=1)", "lawa(k=1)", "ema(decay=0)")]
)


@given(averagings, spans)
def test_what_is_read_is_a_mean_of_weights_that_there_were(rule, span):
    """Weights are stood for by their update; a recipe mixes them with shares that add up to one."""
    slots = {}
    for step in range(1, span.total + 1):
        present = {step: 1.0}
        if blend := rule.blend(step, span):
            slot, share = blend
            slots[slot] = lerp(slots.get(slot, {}), present, share)
        read = {}
        for slot, share in rule.recipe(step, span):
            read = lerp(read, present if slot == PRESENT else slots[slot], share)
        assert sum(read.values()) == pytest.approx(1)
        assert min(read.values()) >= 0
    if rule.name == "lawa":
        ends = [k for k in range(1, span.total + 1) if k % span.epoch_steps == 0 or k == span.total]
        assert read == pytest.approx(dict.fromkeys(ends[-rule.k :], 1 / len(ends[-rule.k :])))
    if rule.name == "swa":
        late = range(rule.start(span) + 1, span.total + 1)
        ends = [k for k in late if k % span.epoch_steps == 0 or k == span.total] or [span.total]
        assert read == pytest.approx(dict.fromkeys(ends, 1 / len(ends)))


def lerp(a, b, share):
    mixed = {k: (1 - share) * a.get(k, 0.0) + share * b.get(k, 0.0) for k in {*a, *b}}
    return {k: v for k, v in mixed.items() if v}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ema(decay=1)", "ema: decay is a number from 0 to below 1, not 1"),
        ("ema(decay='x')", "decay is a number"),
        ("swa(share=0)", "swa: share is a number above 0, at most 1, not 0"),
        ("lawa(k=2.5)", "lawa: k is a whole number from 1 to 1,000,000, not 2.5"),
        ("lawa(k=True)", "whole number"),
        ("polyak", "unknown averaging 'polyak'; there are: ema, lawa, none, swa"),
    ],
)
def test_an_averaging_that_means_nothing_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        averaging.parse(text)


def test_the_toy_has_this_many_updates_an_epoch():
    assert Loader(toy(), 0).epoch_steps == EPOCH


def test_no_averaging_costs_no_work():
    assert Averagings([cell("none", 8)] * 3, EPOCH).blends([[0, 1], [2]], 4) == {}
    assert Averagings([cell("none", 8)] * 3, EPOCH).readings({0: [0, 1]}, 4) == {}

"""The family `language`: known sources, source code as bytes, losses of rows, and simple models."""

import bz2
import gzip
import lzma
import math
from importlib import metadata

import numpy as np
import pytest
import torch
from torch.nn import functional

import tasks
from bench import engine, suites
from bench.contract import InputError, Move
from bench.engine.loader import Loader, key
from schedules import parse
from schedules.schedule import factors
from tasks.language import markov, ngrams, rows, source_code
from tasks.language.gpt import GPT
from tasks.language.row_losses import RowLosses
from tests.engine.toys import apart, create, drive, same, tensors
from tests.runs import ROOT

TINY = ("markov(tokens=4096)", "source_code(width=16, depth=1, tokens=4096)")


@pytest.fixture(autouse=True)
def on_one_thread(one_thread):
    """See `tests/conftest.py`."""


def by_hand(task, lrs, seed=0):
    """A loop as anyone writes it: the initial weights of a seed, AdamW that decays matrices, clipped gradients."""
    loader = Loader(task, seed)
    torch.manual_seed(key(seed, "init"))
    model = task.model()
    matrices, others = ([p for p in model.parameters() if (p.ndim > 1) == is_one] for is_one in (True, False))
    groups = {"params": matrices, "weight_decay": task.weight_decay}, {"params": others, "weight_decay": 0.0}
    steps = torch.optim.AdamW([*groups], betas=(0.9, 0.95))
    for k, lr in enumerate(lrs):
        for group in steps.param_groups:
            group["lr"] = lr
        (ids,), _ = loader.batch(k)
        logits = model.body(ids[:, :-1].long())
        truth = ids[:, -logits.shape[1] :].long()
        loss = -logits.log_softmax(-1).gather(-1, truth[:, :, None]).sum((1, 2)) / truth.shape[1]
        steps.zero_grad()
        loss.mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps.step()
    return model


def test_the_models_of_the_suite_are_as_small_as_the_readme_says():
    counts = [sum(p.numel() for p in tasks.parse(name).model().parameters()) for name in suites.LANGUAGE]
    assert sorted(counts)[0] > 1000
    assert sorted(counts)[-1] <= 22_000
    assert "have 22,000 weights at most" in (ROOT / "README.md").read_text()


# ------------------------------------------------------------------------------------------------ engines


@pytest.mark.parametrize("name", TINY)
def test_a_loop_by_hand_has_the_same_weights_bit_for_bit(name):
    task, lrs = tasks.parse(name), [0.01 * (1 - k / 8) for k in range(8)]
    trained, loader = create("modules", task, weight_decay=task.weight_decay, dtype=torch.float32)
    for k, lr in enumerate(lrs):
        trained.look(loader.batch(k), k)
        trained.move([Move(lr)])
    assert same(dict(by_hand(task, lrs).state_dict()), dict(trained.members[0].model.state_dict()))


@pytest.mark.parametrize("name", TINY)
def test_auto_stacks_them_and_members_train_as_in_modules(name):
    task = tasks.parse(name)
    assert engine.choose(task, task.optimizer, engine.FEWEST) == "stacked"
    crews = []
    for kind in ("modules", "stacked"):
        trained, loader = create(kind, task, weight_decay=task.weight_decay)
        crews.append(drive(trained, loader, 22, 0.004))
    assert apart(tensors(crews[1]), tensors(crews[0])) <= 1e-10
    for slow, fast in zip(*(crew.evaluate("control", range(3)) for crew in crews), strict=True):
        assert fast == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("kind", ["modules", "stacked"])
def test_training_goes_on_from_a_state_bit_for_bit(kind):
    task = tasks.parse(TINY[1])
    through, loader = create(kind, task, weight_decay=0.1, dtype=torch.float32)
    drive(through, loader, 20, 0.004)
    first, loader = create(kind, task, weight_decay=0.1, dtype=torch.float32)
    drive(first, loader, 11, 0.004)
    second, loader = create(kind, task, weight_decay=0.1, dtype=torch.float32)
    second.load_state_dict(first.state_dict())
    drive(second, loader, 20, 0.004, start=11)
    assert same(through.state_dict(), second.state_dict())


# ------------------------------------------------------------------------------------------------- losses


def test_a_row_has_the_sum_of_its_cross_entropies_and_of_its_squared_log_partitions():
    torch.manual_seed(0)
    body, ids = GPT(11, 7, 16, 1), torch.randint(0, 11, (5, 8))
    nats, squares = RowLosses(body, 2, squares=True)(ids).unbind(1)
    logits = body(ids[:, :-1])
    for row in range(5):
        assert nats[row].item() == pytest.approx(functional.cross_entropy(logits[row], ids[row, 1:]).item() * 7, 1e-5)
        assert squares[row].item() == pytest.approx(logits[row].exp().sum(-1).log().square().sum().item(), rel=1e-5)
    sums, target = torch.stack((nats, squares), 1), (torch.full((5,), 7),)
    plain = rows.loss(sums, target)
    assert (rows.loss(sums, target, 1e-2) - plain).item() == pytest.approx(1e-2 * squares.sum().item() / 35, rel=1e-4)
    assert rows.score_bytes(sums, target)["bits_per_byte"] == pytest.approx(plain.item() / math.log(2), rel=1e-6)


def test_a_split_is_never_held_as_logits():
    shapes = []

    class Body(torch.nn.Module):
        def forward(self, ids):
            shapes.append(tuple(ids.shape))
            return functional.one_hot(ids, 5).float()

    ids = torch.randint(0, 5, (10, 4))
    whole, parts = RowLosses(Body(), 10)(ids), RowLosses(Body(), 4)(ids)
    assert shapes == [(10, 3), (4, 3), (4, 3), (2, 3)]
    assert torch.equal(whole, parts)


def test_the_gpt_sees_no_later_id_and_ties_its_output_to_its_embedding():
    torch.manual_seed(0)
    model, ids = GPT(9, 6, 32, 2), torch.randint(0, 9, (3, 6))
    changed = ids.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 9
    one, other = model(ids), model(changed)
    assert torch.equal(one[:, :4], other[:, :4])
    assert not torch.allclose(one[:, 4:], other[:, 4:])
    own = sum(p.numel() for p in GPT(9, 6, 32, 2, tied=False).parameters())
    assert own - sum(p.numel() for p in model.parameters()) == 9 * 32


# ------------------------------------------------------------------------------------------------- markov


def test_the_entropy_rate_of_two_states_is_the_one_of_the_textbook():
    (p00, p01), (p10, p11) = markov.weights(2, 1, 3) / markov.weights(2, 1, 3).sum(1, keepdims=True)
    entropies = [-p * math.log2(p) - q * math.log2(q) for p, q in ((p00, p01), (p10, p11))]
    rate = (p10 * entropies[0] + p01 * entropies[1]) / (p01 + p10)
    assert markov.entropy_rate(2, 1, 3) == pytest.approx(rate, rel=1e-12)


def test_the_bits_of_the_symbols_are_those_of_their_own_chain_and_of_no_other():
    """Two estimates from the sample: of the chain's bits, and of the symbols by counts of contexts of two."""
    data = tasks.parse("markov").load()
    bits = np.concatenate([split.target[1] for split in data]) / markov.PREDICTED
    error = bits.std() / math.sqrt(len(bits))
    own, others = markov.entropy_rate(8, 2, 0), [markov.entropy_rate(8, 2, chain) for chain in (1, 2)]
    assert abs(bits.mean() - own) < 4 * error
    assert all(abs(bits.mean() - other) > 20 * error for other in others)
    counted = ngrams.bits(data.train.inputs[0][:, 1:], data.test.inputs[0][:, 1:], 3, 8)
    assert counted > data.test.target[1].mean() / markov.PREDICTED  # no counts beat the source


@pytest.mark.parametrize(
    ("call", "reached"),
    [("markov(tokens=65536)", 0.1), pytest.param("markov", 0.012, marks=pytest.mark.faults)],
)
def test_a_full_budget_comes_near_the_floor_and_another_source_is_no_floor(call, reached):
    """It begins at 1.1 bits above the floor; `faults`, for it takes seconds."""
    task = tasks.parse(call)
    loader = Loader(task, 0)
    lrs = [s.factor for s in factors(parse("warmup(linear, epochs=0.03)"), loader.epoch_steps, loader.epoch_steps, 1.0)]
    model = by_hand(task, [0.016 * factor for factor in lrs]).eval()
    chunks, target = loader.split("test")
    with torch.no_grad():
        scores = task.score(torch.cat([model(*inputs) for inputs in chunks]), target)
    assert 0 < scores["excess_bits"] < reached
    bits = target[1].numpy() / markov.PREDICTED
    error = bits.std() / math.sqrt(len(bits))
    above = {chain: scores["bits"] - markov.entropy_rate(8, 2, chain) for chain in (0, 1, 2)}
    assert abs(above[0] - scores["excess_bits"]) < 4 * error
    assert all(abs(above[chain] - scores["excess_bits"]) > 10 * error for chain in (1, 2))


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("markov(symbols=1)", "markov: symbols is 1; it should be a whole number from 2 to 64"),
        ("markov(symbols=33, order=2)", "markov: 33 symbols and order 2 have more than 1,024 contexts"),
        ("markov(tokens=1.5)", "markov: tokens is 1.5; it should be a whole number from 128 to 100,000,000"),
        ("source_code(width=24)", "source_code: width is 24; it should be a multiple of 16 from 16 to 4,096"),
        ("source_code(batch=100)", "source_code: batch is 100; it should be a multiple of 32 from 32 to 1,048,576"),
        ("source_code(tokens=99000000)", "source_code: tokens is 99,000,000; it should be 13,"),
    ],
)
def test_settings_out_of_range_are_one_line(call, line):
    with pytest.raises(InputError, match="^" + line.replace("(", r"\(")) as refusal:
        tasks.parse(call).load()
    assert "\n" not in str(refusal.value)


# -------------------------------------------------------------------------------------------- source code


def test_source_and_digest_name_the_version_of_sympy(monkeypatch):
    version, task = metadata.version("sympy"), tasks.parse(TINY[1])
    assert f"sympy {version} " in task.source
    data = task.load()
    assert {split.stamp for split in data} == {f"sympy {version}"}
    monkeypatch.setattr(source_code.metadata, "version", lambda name: "0.0")
    other = data._replace(train=rows.data(*(split.inputs[0] for split in data), "sympy 0.0").train)
    assert other.digest() != data.digest()
    assert "sympy 0.0 " in tasks.parse(TINY[1]).source


def test_every_split_is_of_files_of_its_own_whatever_their_order():
    names = [f"{i}.py" for i in range(100)]
    parts = rows.by_hash(names)
    assert [len(part) for part in parts] == [80, 10, 10]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert rows.by_hash(names[::-1]) == parts
    assert [len(part) for part in rows.by_hash(names[:3])] == [1, 1, 1]


def test_rows_predict_every_byte_once_but_the_first_and_the_tail():
    cut = rows.cut(np.arange(10), 3)
    assert cut.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert rows.cut(np.arange(3), 3).shape == (0, 4)
    assert rows.without(cut, cut[1:2]).tolist() == [[0, 1, 2, 3], [6, 7, 8, 9]]


# ------------------------------------------------------------------------------------------------- n-grams


def discounted(train, context, symbol, ids):
    """p(symbol | context) by the formula, one gram at a time."""
    grams = [tuple(row[i : i + len(context) + 1]) for row in train for i in range(len(row) - len(context))]
    if len(context) == 0:
        grams = [(symbol,) for row in train for symbol in row[1:]]
    shorter = discounted(train, context[1:], symbol, ids) if context else 1 / ids
    after = [gram[-1] for gram in grams if gram[:-1] == tuple(context)]
    if not after:
        return shorter
    discount = ngrams.DISCOUNT * len(set(after)) * shorter
    return (max(after.count(symbol) - ngrams.DISCOUNT, 0) + discount) / len(after)


def test_bits_of_ngrams_are_those_of_the_formula():
    draw = np.random.default_rng(0)
    train, test = draw.integers(0, 3, (4, 9)), draw.integers(0, 4, (3, 6))
    for order in (1, 2, 3):
        slow = [
            -math.log2(discounted(train.tolist(), row[max(0, i - order + 1) : i], row[i], 4))
            for row in test.tolist()
            for i in range(1, 6)
        ]
        assert ngrams.bits(train, test, order, 4) == pytest.approx(sum(slow) / len(slow), rel=1e-12)


def test_no_model_of_single_ids_beats_their_own_frequencies():
    ids = np.array([[0, 1, 1, 1, 2]])
    assert ngrams.single_bits(ids, ids) == pytest.approx(-(3 * math.log2(4 / 6) + math.log2(2 / 6)) / 4)


def test_the_simple_models_are_as_good_as_the_task_says():
    data, task = tasks.parse("source_code").load(), tasks.parse("source_code")
    train, test = data.train.inputs[0], data.test.inputs[0]
    assert f"single bytes: {ngrams.bits(train, test, 1, 256):.2f}" in task.chance
    assert f"pairs: {task.baseline(data).value:.2f}" in task.chance
    assert f"5-grams: {ngrams.bits(train, test, 5, 256):.2f}" in task.chance
    text = test[:, 1:].tobytes()
    for packer in (bz2, lzma, gzip):
        assert f"{packer.__name__}: {8 * len(packer.compress(text)) / len(text):.2f}" in task.chance

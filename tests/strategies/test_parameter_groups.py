"""Multipliers of the LR and Muon: bit for bit loops by hand in torch alone; sharing is that of plain cells."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

import schedules
from bench.contract import InputError, Move
from bench.engine.loader import Loader, key
from bench.ledger import ledger
from bench.plan import Grid, Suite
from bench.plan.plan import build, optimum
from bench.strategies import optimizers
from bench.strategies.parameter_groups import hidden_matrices, layers
from bench.train.io import TrainingIO
from bench.train.loop import Training
from schedules.schedule import factors
from tests.engine.toys import Net, Plain, accuracy, create, same, toy
from tests.runs import attempt

STEPS = 8


class Block(nn.Module):
    """What is inside an element of a list is one layer, its list included."""

    def __init__(self):
        super().__init__()
        self.norm, self.inside = nn.LayerNorm(8), nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))

    def forward(self, x):
        return x + self.inside(self.norm(x))


class Tower(nn.Module):
    """A class token and a table of positions, a list of blocks, a norm, a head."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1, 8))
        self.tokens, self.stem = nn.Embedding(6, 8), nn.Linear(6, 8)
        self.body = nn.ModuleList(Block() for _ in range(2))
        self.norm, self.head = nn.LayerNorm(8), nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        x = self.stem(x) + self.place + self.tokens.weight.mean(0)
        for block in self.body:
            x = block(x)
        return self.head(self.norm(x))


DEPTHS = {"place": 4, "tokens": 4, "stem": 3, "body.0": 2, "body.1": 1, "norm": 1, "head": 0}
"""Layers between a part of the tower and its head, counted by hand."""


def depth(name):
    return next(d for part, d in DEPTHS.items() if name.startswith(part))


def test_layers_are_counted_from_the_head():
    model = Tower()
    names = {w: name for name, w in model.named_parameters()}
    every = layers(model)
    for i, layer in enumerate(every):
        assert {depth(names[w]) for w in layer} == {len(every) - 1 - i}
    assert sum(map(len, every)) == len(names)
    assert {names[w] for w in hidden_matrices(model)} == {
        "stem.weight", "body.0.inside.0.weight", "body.0.inside.2.weight",
        "body.1.inside.0.weight", "body.1.inside.2.weight",
    }  # fmt: skip


def test_layers_of_models_without_lists():
    assert [len(layer) for layer in layers(Plain())] == [2]
    assert [len(layer) for layer in layers(nn.Sequential(Net()))] == [3, 1, 2, 2]
    tied = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False), nn.Linear(4, 2))
    tied[2].weight = tied[0].weight
    assert [len(layer) for layer in layers(tied)] == [1, 2]
    tied[3].requires_grad_(False)
    assert [len(layer) for layer in layers(tied)] == [1]


class Pair:
    """Muon on some weights, and AdamW on the others."""

    def __init__(self, model):
        own = dict(model.named_parameters())
        hidden = [w for n, w in own.items() if w.ndim == 2 and n.startswith(("stem", "body"))]
        rest = [w for n, w in own.items() if not (w.ndim == 2 and n.startswith(("stem", "body")))]
        self.muon = torch.optim.Muon(hidden, weight_decay=0.01)
        self.adamw = torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=0.01)

    def step(self, lr):
        for part, own in ((self.muon, lr), (self.adamw, lr * 0.015)):
            part.param_groups[0]["lr"] = own
            part.step()


class Scaled:
    """An optimizer of torch with an LR for each weight."""

    def __init__(self, model, family, factor, **settings):
        named = model.named_parameters()
        self.stock = family([{"params": [w], "factor": factor(n)} for n, w in named], **settings)

    def step(self, lr):
        for group in self.stock.param_groups:
            group["lr"] = lr * group["factor"]
        self.stock.step()


BY_HAND = {
    "muon": Pair,
    "adamw(layer_decay=0.75)": lambda m: Scaled(m, torch.optim.AdamW, lambda n: 0.75 ** depth(n), weight_decay=0.01),
    "sgd(layer_decay=0.5, head_lr=10)": lambda m: Scaled(
        m,
        torch.optim.SGD,
        lambda n: 10.0 if depth(n) == 0 else 0.5 ** depth(n),
        weight_decay=0.01,
        momentum=0.9,
    ),
    "adam(head_lr=0.1)": lambda m: Scaled(
        m, torch.optim.Adam, lambda n: 0.1 if depth(n) == 0 else 1.0, weight_decay=0.01
    ),
}


def by_hand(text, rates):
    loader = Loader(toy(Tower), 0)
    torch.manual_seed(key(0, "init"))
    model = Tower()
    optimizer = BY_HAND[text](model)
    for k, lr in enumerate(rates):
        (x,), (y,) = loader.batch(k)
        model.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step(lr)
    return model.state_dict()


@pytest.mark.parametrize("text", BY_HAND)
def test_a_member_is_a_loop_by_hand_bit_for_bit(text):
    rates = [0.02 / (1 + k / 4) for k in range(STEPS)]
    trained, loader = create("modules", toy(Tower), text, 0.01, torch.float32)
    for k, lr in enumerate(rates):
        trained.look(loader.batch(k), k)
        if k == 3:
            trained.take([0, 0])
        if k == 5:
            state = trained.state_dict()
            trained, _ = create("modules", toy(Tower), text, 0.01, torch.float32)
            trained.load_state_dict(state)
            trained.look(loader.batch(k), k)
        trained.move([Move(lr), Move(lr / 2)][: len(trained.members)])
    for i, halved in enumerate((1, 2)):
        expected = by_hand(text, [lr / (halved if k >= 3 else 1) for k, lr in enumerate(rates)])
        assert same(dict(expected), dict(trained.members[i].model.state_dict()))


@pytest.mark.parametrize(
    ("text", "engine"),
    [("muon", "modules"), ("adamw(layer_decay=0.75)", "modules"), ("adamw(layer_decay=0.75)", "stacked")],
)
def test_cells_with_equal_moves_share_a_member(text, engine, tmp_path):
    names = ("constant", "wsd(cooldown=0.25)", "step(every=2)", "linear")
    grid = Grid(task="toy", schedules=names, budgets=(0.5, 1.0), seeds=1, optimizer=optimizers.parse(text).text)
    task = replace(toy(Tower), score=lambda o, t: accuracy(o, t) | {"loss": 0.0})
    (cohort,) = build(Suite("s", (grid,)), {"toy": task}, lambda *_: engine).cohorts
    known = {name: schedules.parse(name) for name in names}
    crew, loader = create(engine, task, text, dtype=torch.float32)
    widths, look = [], crew.look
    crew.look = lambda batch, step: (look(batch, step), widths.append(len(crew.signals())))
    book = ledger.Ledger(tmp_path, attempt())
    Training(cohort, task, known, crew, loader, TrainingIO(tmp_path, book)).run()
    book.close()
    cells = cohort.cells
    traces = [factors(known[c.schedule], c.total, loader.epoch_steps, c.peak_lr) for c in cells]
    least = optimum(traces, [c.peak_lr for c in cells])
    assert sum(widths) == least < sum(c.total for c in cells)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("adamw(layer_decay=1.5)", "layer_decay is a number above 0, at most 1, not 1.5"),
        ("sgd(head_lr=0)", "head_lr is a number above 0, and finite, not 0"),
        ("prodigy(layer_decay=0.5)", "prodigy has one LR for all weights: no layer_decay, no head_lr"),
        ("muon(adjust='none')", "adjust is 'original' or 'match_rms_adamw', not 'none'"),
        ("muon(ratio='x')", "ratio is a number from 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        optimizers.parse(text)


def test_muon_refuses_a_model_without_a_hidden_matrix():
    with pytest.raises(ValueError, match=r"no hidden layer has a matrix .*: take adamw"):
        optimizers.parse("muon").build(Plain(), 0.0)


def test_an_old_text_stays_as_it_was():
    for text in ("sgd(momentum=0.9)", "adamw(decay='matrices')", "rmsprop(momentum=0.0)", "prodigy"):
        assert optimizers.parse(text).text == text
    assert optimizers.parse("sgd(layer_decay=1, head_lr=1.0)").text == "sgd(momentum=0.9)"

"""Optimizers of one's own and of libraries: trained, forked and resumed bit for bit, or refused in one line."""

import importlib.util
from importlib.metadata import version

import pytest
import torch
from torch.nn import functional

from bench.contract import InputError, Move
from bench.engine import memory
from bench.engine.dry_run import optimizer as trial
from bench.engine.dry_run import table
from bench.engine.loader import Loader, key
from bench.ledger import checkpoint
from bench.runner.config import RunConfig, prepare
from bench.strategies import optimizers, own_optimizers
from schedules import reference
from tests.engine.toys import Plain, create, same, tensors, toy
from tests.runs import ROOT

MINE = """
import torch


class Lion(torch.optim.Optimizer):
    '''Sign of an interpolated momentum (arXiv:2302.06675).'''

    def __init__(self, params, lr, beta=0.9, beta2=0.99, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=(beta, beta2), weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            beta, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["mean"] = torch.zeros_like(p)
                    self.state["updates"] = 0
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(torch.sign(torch.lerp(p.grad, state["mean"], beta)), alpha=-group["lr"])
                state["mean"].lerp_(p.grad, 1 - beta2)
        self.state["updates"] += 1
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_opt.py").write_text(MINE)
    return tmp_path


def lion(rates, decay=0.01):
    """The toy, trained by hand."""
    loader = Loader(toy(Plain), 0)
    torch.manual_seed(key(0, "init"))
    model = Plain()
    means = [torch.zeros_like(p) for p in model.parameters()]
    for k, lr in enumerate(rates):
        (x,), (y,) = loader.batch(k)
        model.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            for p, mean in zip(model.parameters(), means, strict=True):
                p.mul_(1 - lr * decay)
                p.add_(torch.sign(torch.lerp(p.grad, mean, 0.8)), alpha=-lr)
                mean.lerp_(p.grad, 1 - 0.99)
    return dict(model.state_dict())


def test_a_class_of_ones_own_trains_forks_and_resumes_as_a_loop_by_hand(folder):
    text = optimizers.parse("my_opt.py:Lion(beta=0.8)").text
    rates = [0.02 / (1 + k) for k in range(9)]
    trained, loader = create("modules", toy(Plain), text, 0.01, torch.float32)
    for k, lr in enumerate(rates):
        trained.look(loader.batch(k), k)
        if k == 3:
            trained.take([0, 0])
        trained.move([Move(lr), Move(lr / 2)][: len(trained.members)])
        if k == 6:
            checkpoint.save(folder / "state.pt", trained.state_dict())
            trained, _ = create("modules", toy(Plain), text, 0.01, torch.float32)
            trained.load_state_dict(checkpoint.load(folder / "state.pt"))
    for i, halved in enumerate((1, 2)):
        expected = lion([lr / (halved if k >= 3 else 1) for k, lr in enumerate(rates)])
        assert same(expected, tensors(trained)[i])


def test_its_text_has_the_digest_of_its_code_and_parses_back(folder):
    text = optimizers.parse("my_opt.py:Lion(beta=0.9, decay='matrices', layer_decay=0.5, beta2=0.98)").text
    name, _, settings = text.partition("(")
    assert settings == "beta2=0.98, decay='matrices', layer_decay=0.5)"
    assert name.startswith("my_opt.py:Lion@")
    assert optimizers.parse(text).text == text
    (folder / "my_opt.py").write_text(MINE.replace("Sign of", "The sign of") + "# a comment\n")
    assert optimizers.parse(text).text == text
    (folder / "my_opt.py").write_text(MINE.replace("torch.sign", "torch.tanh"))
    with pytest.raises(InputError, match=r"my_opt\.py has changed, its digest is \w+ now"):
        optimizers.parse(text)
    assert optimizers.parse("my_opt.py:Lion").name != name


def test_a_plan_tries_it_out_and_names_it(folder):
    config = {"suite": "core", "tasks": "digits", "schedules": "cosine", "seeds": 1, "budgets": (0.1,)}
    with pytest.raises(InputError, match=r"my_opt\.py:Lion@\w+ on digits: its peak LRs are for sgd.*give --peak-lrs"):
        prepare(RunConfig(**config, optimizers="my_opt.py:Lion"))
    plan = prepare(RunConfig(**config, optimizers="my_opt.py:Lion, sgd", peak_lrs=(0.001,))).plan
    assert {c.optimizer for c in plan.cells} == {optimizers.parse(t).text for t in ("my_opt.py:Lion", "sgd")}
    assert {c.engine for c in plan.cohorts if "Lion" in c.cells[0].optimizer} == {"modules"}
    bare = MINE.replace("betas=(beta, beta2)", "mix=(beta, beta2)").replace('"betas"', '"mix"')
    (folder / "bare.py").write_text(bare)
    momentum = config | {"schedules": "onecycle", "peak_lrs": (0.001,)}
    with pytest.raises(InputError, match=r"onecycle sets the momentum, which bare\.py:Lion@\w+ does not have"):
        prepare(RunConfig(**momentum, optimizers="bare.py:Lion"))
    assert prepare(RunConfig(**momentum, optimizers="my_opt.py:Lion")).plan.cells


def test_a_package_offers_optimizers(folder, monkeypatch):
    (folder / "lions.py").write_text(MINE)
    metadata = folder / "lions-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lions\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{own_optimizers.GROUP}]\nlion = lions:Lion\n")
    monkeypatch.syspath_prepend(folder)
    reference.installed.cache_clear()
    try:
        assert optimizers.parse("lion(beta=0.8)").text.startswith("lions:Lion@")
    finally:
        reference.installed.cache_clear()


WRONG = """
import numpy, random, torch
from torch.optim import LBFGS, SGD, Optimizer, SparseAdam


class Sharp(SGD):
    def step(self, closure):
        closure()
        super().step()
        closure()


class Sharper(SGD):
    def step(self, closure=None):
        if closure is None:
            raise RuntimeError("pass a closure that computes the gradient again")
        super().step(closure)


class Reader(SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            group["weight_decay"] = 0.0 if closure is None else 0.01 * float(closure())
        super().step()


class Driver(SGD):
    def step(self, closure=None):
        super().step()
        for group in self.param_groups:
            group["lr"] *= 0.9


class Counter(SGD):
    steps = 0

    def step(self, closure=None):
        self.steps += 1
        super().step()


class Hoarder(SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.means = {}

    @torch.no_grad()
    def step(self, closure=None):
        for p in (p for g in self.param_groups for p in g["params"] if p.grad is not None):
            p.grad = self.means[p] = self.means.get(p, 0) * 0.9 + p.grad
        super().step()


class Crowd(SGD):
    steps = []

    @torch.no_grad()
    def step(self, closure=None):
        self.steps.append(1)
        for p in (p for g in self.param_groups for p in g["params"] if p.grad is not None):
            p.grad = p.grad / len(self.steps)
        super().step()


class Noisy(SGD):
    @torch.no_grad()
    def step(self, closure=None):
        for p in (p for g in self.param_groups for p in g["params"] if p.grad is not None):
            p.grad = p.grad + torch.randn_like(p)
        super().step()


class Numb(SGD):
    def step(self, closure=None):
        if numpy.random.rand() < 2:
            super().step()


class Dicey(SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.dice = random.Random(0)

    @torch.no_grad()
    def step(self, closure=None):
        for p in (p for g in self.param_groups for p in g["params"] if p.grad is not None):
            p.grad = p.grad * self.dice.random()
        super().step()


class Moody(SGD):
    def eval(self): ...
    def train(self): ...


class Stubborn(SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.first = lr

    def step(self, closure=None):
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] = self.first
        super().step()
        for group, rate in zip(self.param_groups, rates):
            group["lr"] = rate


class Heedless(SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            group["weight_decay"] = 0.0
        super().step()


class Lumped(SGD):
    def step(self, closure=None):
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] = rates[0]
        super().step()
        for group, rate in zip(self.param_groups, rates):
            group["lr"] = rate


class Packrat(SGD):
    def step(self, closure=None):
        for p in (p for g in self.param_groups for p in g["params"] if p.grad is not None):
            self.state[p]["closure"] = slice(3)
        super().step()


class Hungry(SGD):
    @torch.no_grad()
    def step(self, closure=None):
        for p in (p for g in self.param_groups for p in g["params"]):
            p.grad = p.grad / 2
        super().step()


class Zealous(SGD):
    @torch.no_grad()
    def step(self, closure=None):
        for p in (p for g in self.param_groups for p in g["params"] if p.grad is not None):
            p.grad = p.grad / self.param_groups[0]["lr"]
        super().step()


class Idle(SGD):
    def step(self, closure=None):
        pass


class Needy(SGD):
    def __init__(self, params, lr, rho):
        super().__init__(params, lr)


def forgetful(params, lr):
    SGD(params, lr)


def rateless(params):
    return SGD(params, 0.1)


number = 3
"""


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("LBFGS", "step() needs closure: here the gradients are there before an update, once"),
        ("SparseAdam", "SparseAdam does not support dense gradients"),
        ("Sharp", "step() needs closure"),
        ("Sharper", "at an update without a closure: RuntimeError: pass a closure"),
        ("Reader", "it reads the loss"),
        ("Driver", "it changes its own LR, which is a schedule's to set"),
        ("Counter", "it keeps state in its attribute steps"),
        ("Hoarder", "saved and restored after update 1, it does not go on bit for bit"),
        ("Crowd", "gave other weights beside another member"),
        ("Noisy", "it draws from the global random numbers of torch"),
        ("Numb", "it draws from the global random numbers of numpy"),
        ("Dicey", "it keeps state in its attribute dice"),
        ("Moody", "its weights are read in another mode, by eval(); there are schedulefree_sgd"),
        ("Stubborn", "it keeps the LR with which it was built"),
        ("Heedless", "it takes no weight decay from its groups: train it at weight decay 0"),
        ("Lumped(layer_decay=0.5)", "its groups have no LRs of their own: no layer_decay, no head_lr"),
        ("Packrat", "its state holds more than tensors, numbers, texts, lists and dicts"),
        ("Hungry", "where a weight has no gradient: TypeError"),
        ("Zealous", "an LR of 0, which schedules reach, makes weights that are not finite"),
        ("Idle", "its updates change no weight"),
        ("Needy", "missing a required argument: 'rho'; it is called as wrong.py:Needy(params, lr, rho)"),
        ("forgetful", "it should make a torch.optim.Optimizer, not NoneType"),
        ("rateless", "it should be a class of torch.optim.Optimizer, which takes weights, and lr"),
        ("number", "number"),
        ("SGD(0.9)", "its settings should be named"),
        ("SGD(momentun=0.9)", "unexpected keyword argument 'momentun'"),
        ("SGD(momentum=2, nesterov='x', dampening=1)", "Nesterov momentum requires"),
        ("SGD(lr=0.1)", "the LR comes from the schedule and the peak LR; its call has no lr"),
        ("SGD(weight_decay=0.1)", "the weight decay is the cell's; its call has no weight_decay"),
        ("SGD(momentum=sgd)", "should be a number, a text or a list, not a call"),
        ("Nobody", "wrong.py has no Nobody"),
    ],
)
def test_a_wrong_optimizer_is_one_line_before_training(tmp_path, monkeypatch, call, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.py").write_text(WRONG)
    with pytest.raises(InputError) as caught:
        trial.check(optimizers.parse(f"wrong.py:{call}").text, decays=True)
    assert words in str(caught.value)
    assert str(caught.value).startswith("optimizer wrong.py:")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nowhere.py:Lion", "optimizer nowhere.py:Lion: file nowhere.py is not there"),
        ("timm('lyon')", "timm has no optimizer 'lyon' (did you mean lion?); it has: adabelief"),
        ("timm('lion', lr=0.1)", "its call has no lr"),
        ("lyon", "unknown optimizer 'lyon'"),
    ],
)
def test_an_unknown_optimizer_is_one_line(text, words):
    with pytest.raises(InputError) as caught:
        optimizers.parse(text)
    assert words in str(caught.value)


def test_an_unknown_name_says_how_to_bring_ones_own():
    with pytest.raises(InputError, match=r"one of your own: my_file\.py:Class"):
        optimizers.parse("lyon")


def test_a_missing_library_is_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs the package pytorch_optimizer: pip install pytorch_optimizer"):
        optimizers.parse("pytorch_optimizer('SOAP')")


def test_a_plan_refuses_what_a_trial_or_a_model_refuses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.py").write_text(WRONG)
    config = {"suite": "core", "schedules": "cosine", "seeds": 1, "peak_lrs": (0.1,)}
    with pytest.raises(InputError, match=r"^optimizer wrong\.py:Driver@\w+ cannot be used here: it changes its own LR"):
        prepare(RunConfig(**config, tasks="digits", optimizers="wrong.py:Driver"))
    with pytest.raises(InputError, match=r"^optimizer muon.*, tried on the model of digits.*: ValueError: no hidden"):
        prepare(RunConfig(**config, tasks="digits(model='cnn')", optimizers="muon"))
    assert not (tmp_path / "runs").exists()


def test_state_is_measured_on_the_model_of_the_task(folder):
    text = optimizers.parse("my_opt.py:Lion").text
    assert memory.slots_on(toy(Plain), text) == 1
    (folder / "square.py").write_text(
        MINE.replace('state["mean"] = torch.zeros_like(p)', 'state["mean"] = torch.zeros_like(p)\n' + " " * 20
                     + 'state["square"] = torch.zeros(p.shape[0], p.shape[0])')
    )  # fmt: skip
    weights = 6 * 3 + 3
    assert memory.slots_on(toy(Plain), optimizers.parse("square.py:Lion").text) == pytest.approx(1 + 2 * 9 / weights)


class Explodes(torch.optim.SGD):
    def step(self, closure=None):
        for p in (p for group in self.param_groups for p in group["params"]):
            torch.linalg.eigh(p.grad.T @ p.grad if p.ndim == 2 else p.grad.outer(p.grad))
        super().step(closure)


def test_an_optimizer_that_fails_on_nan_fails_for_the_diverged_member_alone():
    trained, loader = create("modules", toy(Plain), "sgd")
    sound, _ = create("modules", toy(Plain), "sgd")
    trained.take([0, 0])
    for member in (*trained.members, *sound.members):
        member.optimizer = Explodes(member.model.parameters(), 0.1, momentum=0.9)
    with torch.no_grad():
        trained.members[1].weights[0].fill_(torch.nan)
    for k in range(3):
        for crew in (trained, sound):
            crew.look(loader.batch(k), k)
            crew.move([Move(0.1)] * len(crew.members))
    assert same(tensors(trained)[0], tensors(sound)[0])
    trained.members[0].loss, trained.members[0].optimizer = torch.ones(()), None
    with pytest.raises(AttributeError):
        trained.members[0].update()


def resumes(text, path):
    """Seven updates on a toy, saved and loaded after two, are the same as straight on. RAdam begins at the sixth."""
    whole, loader = create("modules", toy(), text, 0.01, torch.float32)
    start = [w.detach().clone() for w in whole.members[0].weights]
    crews = [whole]
    for k in range(7):
        if k == 2:
            checkpoint.save(path, whole.state_dict())
            resumed, _ = create("modules", toy(), text, 0.01, torch.float32)
            resumed.load_state_dict(checkpoint.load(path))
            crews.append(resumed)
        for crew in crews:
            crew.look(loader.batch(k), k)
            crew.move([Move(0.01)])
    assert same(whole.state_dict(), resumed.state_dict())
    assert not same(start, [w.detach() for w in whole.members[0].weights])


@pytest.mark.parametrize("text", ["timm('lion')", "timm('adan', decay='matrices')"])
def test_optimizers_of_timm_train_and_resume(text, tmp_path):
    trial.check(optimizers.parse(text).text, decays=True)
    resumes(text, tmp_path / "state.pt")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kron", "it keeps state in its attribute rng"),
        ("adahessian", "at an update without a closure: RuntimeError"),
        ("lookahead_adam", "it does not go on bit for bit"),
        ("adamc", "it keeps the LR with which it was built"),
    ],
)
@pytest.mark.filterwarnings("ignore:It is highly recommended to have .opt_einsum.")
def test_optimizers_of_timm_that_would_not_resume_are_refused(name, words):
    with pytest.raises(InputError, match=words):
        trial.check(optimizers.parse(f"timm({name!r})").text, decays=True)


@pytest.mark.faults
@pytest.mark.parametrize("library", table.LISTS)
def test_every_optimizer_of_a_library_that_is_not_refused_trains_and_resumes(library, tmp_path):
    pytest.importorskip(library)
    page = (ROOT / "bench" / "strategies" / "OPTIMIZERS.md").read_text()
    if f"## {library} {version(library)}\n" in page:  # another version may have others
        assert "\n".join(table.section(library)).strip() in page
    for name in table.names(library):
        if table.verdict(library, name) == "trains":
            resumes(f"{library}({name!r})", tmp_path / "state.pt")


@pytest.mark.parametrize("text", ["pytorch_optimizer('SOAP')", "pytorch_optimizer('adopt', layer_decay=0.5)"])
def test_optimizers_of_pytorch_optimizer_train_and_resume(text, tmp_path):
    pytest.importorskip("pytorch_optimizer")
    trial.check(optimizers.parse(text).text, decays=True)
    resumes(text, tmp_path / "state.pt")

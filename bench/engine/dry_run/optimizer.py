"""Trial of an optimizer from outside: does it train, fork and resume exactly, and does it do as its groups say?

It updates a few small weights from gradients that are functions of the update, again and again in slightly different
circumstances. Nothing is compared but bits.
"""

from __future__ import annotations

import inspect
import io
import pickle
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.contract import InputError, Move
from bench.engine.clone import CPU, clone_model
from bench.engine.member import TrainedMember
from bench.strategies import optimizers
from bench.strategies.parameter_groups import SCALE
from schedules.user_code import blamed

RATES = (0.01, 0.02, 0.005, 0.01, 0.01, 0.02, 0.01, 0.005, 0.01, 0.02, 0.01, 0.01)
"""LRs of a trial's updates: more than the six after which a Lookahead looks back."""

CUTS = (1, 7)
"""Updates after which a state is saved and restored."""

DECAY, MORE = 0.01, 1e3
"""Weight decay of a trial, and one that shows even where an optimizer without LR begins with tiny steps."""


class Shapes(nn.Module):
    """Weights of one, two and four axes, and a layer that gets no gradient; their values are fixed.

    Neighbours do not fit together, as the factors of a low-rank adapter do: a first layer has no bias.
    """

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.body = nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.Linear(6, 4))
            self.idle, self.head = nn.Linear(5, 7), nn.Linear(3, 2)
        with torch.no_grad():
            for i, weight in enumerate(self.parameters()):
                weight.copy_(_wave(weight, 1.0 + i))


def _wave(weight: Tensor, pitch: float) -> Tensor:
    return torch.sin(pitch * torch.arange(1.0, weight.numel() + 1)).view_as(weight)


@cache
def check(text: str, decays: bool) -> None:
    """Refuse an optimizer that would not train here as its name says.

    Args:
        text: The optimizer.
        decays: Whether cells have a weight decay.

    Raises:
        InputError: one line that says why.
    """
    with torch.compiler.set_stance("force_eager"):  # what it compiles is compiled in training, if it passes here
        _Trial(text, DECAY if decays else 0.0).check()


class _Trial:
    """The updates of one optimizer."""

    def __init__(self, text: str, weight_decay: float):
        self.text, self.parsed, self.weight_decay = text, optimizers.parse(text), weight_decay

    def check(self) -> None:
        self.check_kind()
        with blamed(f"optimizer {self.text}, where a weight has no gradient"):
            base = self.run(watched=True)
        if base.weights[-1] == base.weights[0]:
            raise self.refusal("its updates change no weight")
        if not base.finite:
            raise self.refusal(f"weights are not finite after {len(RATES)} small updates")
        with blamed(f"optimizer {self.text}, tried out"):
            self.check_surroundings(base)
            self.check_resumes(base)
            self.check_groups(base)

    def check_kind(self) -> None:
        """The class itself, and one update."""
        member = self.start()
        optimizer = member.optimizer
        if hasattr(optimizer, "eval") and hasattr(optimizer, "train"):
            raise self.refusal(
                "its weights are read in another mode, by eval(); there are schedulefree_sgd and schedulefree_adamw"
            )
        parameters = list(inspect.signature(optimizer.step).parameters.values())
        if any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            raise self.refusal(
                f"step() needs {', '.join(p.name for p in parameters)}: here the gradients are there before an update, "
                "once, and nothing computes them again"
            )
        with blamed(f"optimizer {self.text}, at an update without a closure"):
            self.feed(member, 0, idle=True)
            optimizers.adjust(optimizer, Move(RATES[0]))
            optimizer.step()

    def check_surroundings(self, base: _Run) -> None:
        """Nothing but gradients, LRs and its own state may matter."""
        if self.run(neighbour=True).weights != base.weights:
            raise self.refusal("the same updates gave other weights beside another member: it keeps state elsewhere")
        if self.run(initial_lr=0.5).weights != base.weights:
            raise self.refusal("it keeps the LR with which it was built, and not that of its groups")
        if any(self.run(loss=loss).weights != base.weights for loss in (100.0, None)):
            raise self.refusal("it reads the loss, or calls the closure for more")
        if self.run([2 * lr for lr in RATES]).weights == base.weights:
            raise self.refusal("the LR makes no difference")
        if not self.run([0.0, *RATES, 0.0]).finite:
            raise self.refusal("an LR of 0, which schedules reach, makes weights that are not finite")

    def check_resumes(self, base: _Run) -> None:
        """A state that was saved, or copied for a fork, goes on bit for bit."""
        for cut in CUTS:
            member = self.run(RATES[:cut]).member
            for copied in (True, False):
                fresh = self.start(clone_model(member.model) if copied else None)
                fresh.load(member.state() if copied else self.reload(member))
                run = _Run(fresh)
                for k in range(cut, len(RATES)):
                    self.update(fresh, k)
                    run.note()
                if run.weights != base.weights[cut:]:
                    raise self.refusal(
                        f"saved and restored after update {cut}, it does not go on bit for bit: it keeps state outside "
                        "of `state` and `param_groups`"
                    )

    def reload(self, member: TrainedMember) -> Any:
        """The member's state, as a snapshot gives it back."""
        torch.save(member.state(CPU), file := io.BytesIO())
        file.seek(0)
        try:
            return torch.load(file, weights_only=True)
        except pickle.UnpicklingError:
            raise self.refusal("its state holds more than tensors, numbers, texts, lists and dicts") from None

    def check_groups(self, base: _Run) -> None:
        """Each group's own weight decay and multiplier of the LR count."""
        count = len(base.member.optimizer.param_groups)
        separate: list[list[int]] = [[i] for i in range(count)]
        if self.weight_decay:
            for groups in separate if self.parsed.kwargs["decay"] == "matrices" else [[*range(count)]]:
                if self.unheeded("weight_decay", MORE, groups):
                    raise self.refusal("it takes no weight decay from its groups: train it at weight decay 0")
        for groups in separate if self.parsed.scaled else ():
            if self.unheeded(SCALE, 2.0, groups):
                raise self.refusal("its groups have no LRs of their own: no layer_decay, no head_lr")

    def unheeded(self, key: str, value: float, groups: Sequence[int]) -> bool:
        """True if a setting of these groups makes no difference to one of them."""
        plain, changed = self.run(), self.run(settings={i: {key: value} for i in groups})
        weights = (pair for run in (plain, changed) for pair in run.member.model.named_parameters())
        idle = {id(w) for name, w in weights if name.startswith("idle")}
        for i in groups:
            pairs = zip(*(run.member.optimizer.param_groups[i]["params"] for run in (plain, changed)), strict=True)
            trained = [(a, b) for a, b in pairs if id(a) not in idle]
            if trained and all(torch.equal(a, b) for a, b in trained):
                return True
        return False

    # ------------------------------------------------------------------------------------------- updates

    def run(
        self,
        rates: Sequence[float] = RATES,
        *,
        initial_lr: float = 1.0,
        loss: float | None = 1.0,
        neighbour: bool = False,
        watched: bool = False,
        settings: dict[int, dict[str, float]] | None = None,
    ) -> _Run:
        """A member after updates at these LRs; `loss` is what its closure gives, None for no closure."""
        run = _Run(self.start(lr=initial_lr))
        other = self.start() if neighbour else None
        for i, more in (settings or {}).items():
            run.member.optimizer.param_groups[i].update(more)
        for k, lr in enumerate(rates):
            if other is not None:
                self.update(other, k + 5, 0.1)
            before = _surroundings(run.member.optimizer) if watched else {}
            self.update(run.member, k, lr, loss)
            self.compare(before, _surroundings(run.member.optimizer) if watched else {})
            run.note()
        return run

    def start(self, model: nn.Module | None = None, lr: float = 1.0) -> TrainedMember:
        model = Shapes() if model is None else model
        return TrainedMember(model, self.parsed.build(model, self.weight_decay, lr))

    def feed(self, member: TrainedMember, k: int, idle: bool = False) -> None:
        """Gradients of update k."""
        for i, (name, weight) in enumerate(member.model.named_parameters()):
            if idle or not name.startswith("idle"):
                weight.grad = _wave(weight, 1 + 0.37 * k + i) / 4

    def update(self, member: TrainedMember, k: int, lr: float | None = None, loss: float | None = 1.0) -> None:
        lr = RATES[k] if lr is None else lr
        optimizer = member.optimizer
        self.feed(member, k)
        optimizers.adjust(optimizer, Move(lr))
        rates = [group["lr"] for group in optimizer.param_groups]
        if loss is None:
            optimizer.step()
        else:
            member.loss = torch.tensor(loss)
            member.update()
        if [group["lr"] for group in optimizer.param_groups] != rates:
            raise self.refusal("it changes its own LR, which is a schedule's to set")

    def compare(self, before: dict[str, str], after: dict[str, str]) -> None:
        for name in (name for name, value in after.items() if value != before.get(name)):
            if name in RANDOM:
                raise self.refusal(f"it draws from the {name}: what it draws would depend on its neighbours")
            raise self.refusal(f"it keeps state in its attribute {name}, and not in `state` or `param_groups`")

    def refusal(self, reason: str) -> InputError:
        return InputError(f"optimizer {self.text} cannot be used here: {reason}")


class _Run:
    """A member, and its weights as bytes before and after each update."""

    def __init__(self, member: TrainedMember):
        self.member = member
        self.weights: list[bytes] = []
        self.note()

    def note(self) -> None:
        """Add the weights as they are now."""
        self.weights.append(b"".join(w.detach().contiguous().numpy().tobytes() for w in self.member.weights))

    @property
    def finite(self) -> bool:
        return all(bool(w.isfinite().all()) for w in self.member.weights)


RANDOM = ("global random numbers of torch", "global random numbers of numpy", "global random numbers of Python")


def _surroundings(optimizer: torch.optim.Optimizer) -> dict[str, str]:
    """Contents of the generators of random numbers, and of attributes of an optimizer that are no part of its state.

    Attributes count if they are numbers, texts, tensors or generators: others may be caches.
    """
    _, key, *rest = np.random.get_state()  # noqa: NPY002  # others may draw from it
    states = repr(torch.get_rng_state().tolist()), repr((np.asarray(key).tolist(), rest)), repr(random.getstate())
    own = {k: _content(v) for k, v in vars(optimizer).items()}
    return {k: v for k, v in own.items() if v} | dict(zip(RANDOM, states, strict=True))


def _content(value: Any) -> str:
    """Content of an attribute; empty if it does not count."""
    if isinstance(value, Tensor):
        return repr(value.tolist())
    if isinstance(value, int | float | str):
        return repr(value)
    if isinstance(value, torch.Generator):
        return repr(value.get_state().tolist())
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    return repr(value.getstate()) if isinstance(value, random.Random) else ""

"""Reading schedules as they are: the factor that each update would be taken with. Nothing is trained."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module, metadata, util
from typing import Any, NamedTuple

import schedules
from bench.conformance import equivalents, equivalents_extra
from bench.conformance.agreement import SAME, Finding, judge
from bench.conformance.equivalents import E, Equivalent
from bench.contract import Setting
from schedules.schedule import factors


class Library(NamedTuple):
    """Somebody else's schedules, and how they are read."""

    name: str  # of the module, and of the package
    modules: tuple[str, ...]  # whose names a claim's call may use
    equivalents: tuple[Equivalent, ...]
    read: Callable[[Any, Any, Equivalent], list[float]]
    same: float = SAME  # factors no further apart are equal

    @property
    def installed(self) -> bool:
        return util.find_spec(self.name) is not None

    def trace(self, claim: Equivalent) -> list[float]:
        """Their factors, update by update."""
        with _quiet():
            names: dict[str, Any] = {}
            for module in self.modules:
                names |= vars(import_module(module))
            o = optimizer()
            # The text is this project's own; evaluating it makes the call that is shown the call that ran.
            made = eval(claim.theirs, names | {"o": o, "T": claim.total, "E": E})
            return self.read(made, o, claim)


def version(library: str) -> str:
    """The version that is installed."""
    return metadata.version(library).partition("+")[0]


def ours(claim: Equivalent) -> list[float]:
    """Our factors, update by update."""
    return [setting.factor for setting in settings(claim.schedule, claim.total)]


def settings(text: str, total: int) -> list[Setting]:
    """What the open-loop schedule `text` decides for each of `total` updates."""
    return factors(schedules.parse(text), total, E, 1.0)


def optimizer(lr: float = 1.0) -> Any:
    """An optimizer of one parameter, which has no gradient: its steps move nothing."""
    import torch

    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)


@contextmanager
def _quiet() -> Iterator[None]:
    """What other libraries warn of on their own account is not ours to repeat."""
    os.environ.setdefault("KERAS_BACKEND", "numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def stepped(made: Any, o: Any, claim: Equivalent, field: str = "lr") -> list[float]:
    """A torch scheduler, stepped after the update: what stands in the optimizer when update t is taken."""
    values = []
    for t in range(claim.total):
        values.append(float(o.param_groups[0][field]))
        o.step()
        if (t + 1) % claim.every == 0:
            made.step()
    return values


def _told(made: Any, o: Any, claim: Equivalent) -> list[float]:
    """A timm scheduler, which is told the number of the update to come."""
    values = []
    for t in range(claim.total):
        made.step_update(t)
        values.append(float(o.param_groups[0]["lr"]))
    return values


def _mapped(made: Any, _: Any, claim: Equivalent) -> list[float]:
    """A function of the update, in double precision."""
    import jax

    with jax.enable_x64(True):
        return [float(value) for value in jax.vmap(made)(jax.numpy.arange(claim.total))]


def _called(made: Any, _: Any, claim: Equivalent) -> list[float]:
    """A function of the update."""
    return [float(made(t)) for t in range(claim.total)]


LIBRARIES = (
    Library("torch", ("torch.optim.lr_scheduler", "torch.optim.swa_utils"), equivalents.TORCH, stepped),
    Library("timm", ("timm.scheduler",), equivalents.TIMM, _told),
    Library("transformers", ("transformers.optimization",), equivalents.TRANSFORMERS, stepped),
    Library("pytorch_optimizer", ("pytorch_optimizer.lr_scheduler",), equivalents_extra.PYTORCH_OPTIMIZER, stepped),
    Library("pytorch_scheduler", ("pytorch_scheduler",), equivalents_extra.PYTORCH_SCHEDULER, stepped),
    Library("optax", ("optax.schedules",), equivalents_extra.OPTAX, _mapped),
    Library(
        "keras", ("keras.optimizers.schedules",), equivalents_extra.KERAS, _called, same=1e-6
    ),  # in single precision
)


class LibraryComparison(NamedTuple):
    """A claim, read with the version that is installed."""

    library: Library
    claim: Equivalent
    ours: list[float]
    theirs: list[float]

    @property
    def finding(self) -> Finding:
        """How their factors differ from ours."""
        return judge(self.ours, self.theirs, self.library.same)

    @property
    def explained(self) -> bool:
        """Whether the verdict is the one that the claim expects, with a reason unless it is 'equal'."""
        return self.finding.kind == self.claim.known and (self.claim.known == "equal") == (not self.claim.why)


def compare(library: Library, claim: Equivalent) -> LibraryComparison:
    """Read one claim."""
    return LibraryComparison(library, claim, ours(claim), library.trace(claim))


def compared() -> list[LibraryComparison]:
    """Every claim of every library that is installed."""
    return [compare(library, claim) for library in LIBRARIES if library.installed for claim in library.equivalents]

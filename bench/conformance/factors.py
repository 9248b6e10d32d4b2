"""Factors of our schedules and of libraries' for each update. Nothing is trained."""

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
    """A library's schedules, and a function that reads their factors."""

    name: str  # of the module, and of the package
    modules: tuple[str, ...]  # modules whose names a call may use
    equivalents: tuple[Equivalent, ...]
    read: Callable[[Any, Any, Equivalent], list[float]]
    same: float = SAME  # largest difference of equal factors

    @property
    def installed(self) -> bool:
        return util.find_spec(self.name) is not None

    def trace(self, equivalent: Equivalent) -> list[float]:
        """The library's factors, update by update."""
        with _quiet():
            names: dict[str, Any] = {}
            for module in self.modules:
                names |= vars(import_module(module))
            o = optimizer()
            # The text is this project's own. Evaluating it ensures that the call in the report is the one that ran.
            scheduler = eval(equivalent.call, names | {"o": o, "T": equivalent.total, "E": E})
            return self.read(scheduler, o, equivalent)


def version(library: str) -> str:
    """The installed version of a library."""
    return metadata.version(library).partition("+")[0]


def own_factors(equivalent: Equivalent) -> list[float]:
    """Factors of our schedule, update by update."""
    return [setting.factor for setting in settings(equivalent.schedule, equivalent.total)]


def settings(text: str, total: int) -> list[Setting]:
    """Settings of the open-loop schedule `text` for each of `total` updates."""
    return factors(schedules.parse(text), total, E, 1.0)


def optimizer(lr: float = 1.0) -> Any:
    """An optimizer of one parameter without a gradient, so that its steps move nothing."""
    import torch

    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the warnings of other libraries."""
    os.environ.setdefault("KERAS_BACKEND", "numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def stepped(scheduler: Any, o: Any, equivalent: Equivalent, field: str = "lr") -> list[float]:
    """Values of a torch scheduler, which steps after the update: the optimizer's field at update t."""
    values = []
    for t in range(equivalent.total):
        values.append(float(o.param_groups[0][field]))
        o.step()
        if (t + 1) % equivalent.every == 0:
            scheduler.step()
    return values


def _numbered(scheduler: Any, o: Any, equivalent: Equivalent) -> list[float]:
    """Factors of a timm scheduler, which gets the number of the next update."""
    values = []
    for t in range(equivalent.total):
        scheduler.step_update(t)
        values.append(float(o.param_groups[0]["lr"]))
    return values


def _mapped(function: Any, _: Any, equivalent: Equivalent) -> list[float]:
    """Factors of a JAX function of the update, in double precision."""
    import jax

    with jax.enable_x64(True):
        return [float(value) for value in jax.vmap(function)(jax.numpy.arange(equivalent.total))]


def _evaluated(function: Any, _: Any, equivalent: Equivalent) -> list[float]:
    """Factors of a function of the update."""
    return [float(function(t)) for t in range(equivalent.total)]


LIBRARIES = (
    Library("torch", ("torch.optim.lr_scheduler", "torch.optim.swa_utils"), equivalents.TORCH, stepped),
    Library("timm", ("timm.scheduler",), equivalents.TIMM, _numbered),
    Library("transformers", ("transformers.optimization",), equivalents.TRANSFORMERS, stepped),
    Library("pytorch_optimizer", ("pytorch_optimizer.lr_scheduler",), equivalents_extra.PYTORCH_OPTIMIZER, stepped),
    Library("pytorch_scheduler", ("pytorch_scheduler",), equivalents_extra.PYTORCH_SCHEDULER, stepped),
    Library("optax", ("optax.schedules",), equivalents_extra.OPTAX, _mapped),
    # Keras computes in single precision.
    Library("keras", ("keras.optimizers.schedules",), equivalents_extra.KERAS, _evaluated, same=1e-6),
)


class LibraryComparison(NamedTuple):
    """Our factors and those of a library's installed version."""

    library: Library
    equivalent: Equivalent
    own: list[float]
    other: list[float]

    @property
    def finding(self) -> Finding:
        """Difference of the library's factors from ours."""
        return judge(self.own, self.other, self.library.same)

    @property
    def explained(self) -> bool:
        """True if the verdict is the expected one, with a reason unless it is 'equal'."""
        expected, why = self.equivalent.expected, self.equivalent.why
        return self.finding.kind == expected and (expected == "equal") == (not why)


def compare(library: Library, equivalent: Equivalent) -> LibraryComparison:
    """Compare one call of a library with our schedule."""
    return LibraryComparison(library, equivalent, own_factors(equivalent), library.trace(equivalent))


def compared() -> list[LibraryComparison]:
    """Comparisons of every call of every installed library."""
    libraries = [library for library in LIBRARIES if library.installed]
    return [compare(library, equivalent) for library in libraries for equivalent in library.equivalents]

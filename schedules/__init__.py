"""The catalogue of decay strategies. A new one is one file and one line here."""

from __future__ import annotations

from typing import Any

from schedules import external, spec
from schedules.borrowed import timm, torch, transformers
from schedules.chebyshev import chebyshev
from schedules.compose import chain, stages
from schedules.constant import constant
from schedules.contract import Schedule
from schedules.cosine import cosine
from schedules.cyclic import cyclic, onecycle, restarts
from schedules.exponential import exponential
from schedules.greedy import greedy
from schedules.hyperbolic import hyperbolic
from schedules.hypergradient import hypergradient
from schedules.inverse import inverse_sqrt, inverse_time, noam, power
from schedules.piecewise import piecewise
from schedules.plateau import plateau
from schedules.polyak import polyak
from schedules.polynomial import linear, polynomial
from schedules.reference import installed
from schedules.refined import refined
from schedules.rex import rex, uba
from schedules.scale import floor, noise, scale
from schedules.step import multistep, step
from schedules.tanh import tanh
from schedules.warmup import warmup
from schedules.wsd import cooldown, wsd

# Factories: called with settings they build a schedule; `paper`, `formula` and `horizon` say what they build.
CATALOGUE: dict[str, Any] = {
    "constant": constant,
    "exponential": exponential,
    "step": step,
    "multistep": multistep,
    "piecewise": piecewise,
    "polynomial": polynomial,
    "linear": linear,
    "cosine": cosine,
    "inverse_sqrt": inverse_sqrt,
    "inverse_time": inverse_time,
    "noam": noam,
    "power": power,
    "rex": rex,
    "uba": uba,
    "tanh": tanh,
    "hyperbolic": hyperbolic,
    "chebyshev": chebyshev,
    "wsd": wsd,
    "onecycle": onecycle,
    "cyclic": cyclic,
    "restarts": restarts,
    "plateau": plateau,
    "greedy": greedy,
    "polyak": polyak,
    "hypergradient": hypergradient,
    "refined": refined,
    "warmup": warmup,
    "cooldown": cooldown,
    "stages": stages,
    "chain": chain,
    "scale": scale,
    "floor": floor,
    "noise": noise,
    "torch": torch,
    "timm": timm,
    "transformers": transformers,
}


def parse(text: str) -> Schedule[Any]:
    """The schedule that `text` spells, built-in or external (`schedules.external`).

    >>> parse("wsd( cooldown = 0.20, shape = 'sqrt')").text
    "wsd(shape='sqrt')"
    """
    return _build(spec.parse(text))


def parse_list(text: str) -> list[Schedule[Any]]:
    """The schedules of a comma-separated list: `cosine, rex, wsd(cooldown=0.3), my_file.py:mine`."""
    return [_build(call) for call in spec.parse_list(text)]


def _build(call: spec.Call) -> Schedule[Any]:
    catalogue = CATALOGUE
    if external_names := spec.names(call) - CATALOGUE.keys():
        references = installed(external.GROUP) | {name: name for name in external_names if ":" in name}
        factories = {name: external.factory(references[name]) for name in external_names & references.keys()}
        catalogue = references | CATALOGUE | factories  # an unknown name is answered with all of these
    schedule: Schedule[Any] = spec.build(call, catalogue, "schedule")
    return schedule

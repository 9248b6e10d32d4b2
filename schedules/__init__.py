"""The catalogue of decay strategies. A new one is one file and one line here."""

from __future__ import annotations

from typing import Any

from bench import call
from bench.contract import Schedule
from schedules.compose import stages, warmup
from schedules.constant import constant
from schedules.cosine import cosine
from schedules.cyclic import onecycle
from schedules.exponential import exponential
from schedules.inverse import inverse_sqrt
from schedules.plateau import plateau
from schedules.polynomial import linear, polynomial
from schedules.rex import rex
from schedules.step import step
from schedules.wsd import wsd

# Factories: called with settings they build a schedule; `paper`, `formula` and `horizon` say what they build.
CATALOGUE: dict[str, Any] = {
    "constant": constant,
    "exponential": exponential,
    "step": step,
    "polynomial": polynomial,
    "linear": linear,
    "cosine": cosine,
    "inverse_sqrt": inverse_sqrt,
    "rex": rex,
    "wsd": wsd,
    "onecycle": onecycle,
    "plateau": plateau,
    "warmup": warmup,
    "stages": stages,
}


def parse(text: str) -> Schedule[Any]:
    """The schedule that `text` spells.

    >>> parse("wsd( cooldown = 0.20, shape = 'sqrt')").text
    "wsd(shape='sqrt')"
    """
    it: Schedule[Any] = call.build(call.parse(text), CATALOGUE, "schedule")
    return it


def parse_list(text: str) -> list[Schedule[Any]]:
    """The schedules of a comma-separated list: `cosine, rex, wsd(cooldown=0.3)`."""
    return [call.build(each, CATALOGUE, "schedule") for each in call.parse_list(text)]

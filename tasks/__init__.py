"""The tasks, on one screen. A new task is a function that returns a `bench.contract.Task`, and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from typing import Any

from bench.code_digest import digest
from bench.contract import InputError, Task
from schedules import spec
from schedules.reference import installed
from tasks import own_task
from tasks.checks import check
from tasks.detection.coco import bccd, coco
from tasks.detection.scenes import scenes
from tasks.image.cifar import cifar10, cifar10_jpeg_q75, cifar100
from tasks.image.digits import digits, mnist5k
from tasks.image.imagenet import imagenet
from tasks.image.mnist import fashion_mnist, mnist
from tasks.language.lm import lm
from tasks.language.markov import markov
from tasks.language.source_code import source_code
from tasks.own.audiofolder import audiofolder
from tasks.own.hub import hub
from tasks.own.imagefolder import imagefolder
from tasks.own.table import table
from tasks.own.texts import texts
from tasks.speech.digits_ctc import digits_ctc
from tasks.speech.keywords import fsdd, speech_commands, speech_commands_v002_testset12
from tasks.speech.vowels import vowels
from tasks.synthetic.power_law import powerlaw
from tasks.synthetic.problems import linreg, quadratic
from tasks.text.glue import glue
from tasks.text.grammar import grammar

CATALOGUE: dict[str, Callable[..., Task]] = {
    "digits": digits,
    "mnist5k": mnist5k,
    "vowels": vowels,
    "grammar": grammar,
    "scenes": scenes,
    "markov": markov,
    "source_code": source_code,
    "linreg": linreg,
    "quadratic": quadratic,
    "powerlaw": powerlaw,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "cifar10_jpeg_q75": cifar10_jpeg_q75,
    "cifar100": cifar100,
    "imagenet": imagenet,
    "glue": glue,
    "lm": lm,
    "coco": coco,
    "bccd": bccd,
    "fsdd": fsdd,
    "digits_ctc": digits_ctc,
    "speech_commands": speech_commands,
    "speech_commands_v002_testset12": speech_commands_v002_testset12,
    "imagefolder": imagefolder,
    "audiofolder": audiofolder,
    "texts": texts,
    "table": table,
    "hub": hub,
}


def parse(text: str, **settings: Any) -> Task:
    """The task that a call names, built-in or of one's own: `digits(model='cnn', epochs=5)`, `my_task.py:task`.

    `settings` are those that every task takes (`tasks.settings`), besides the ones of the call.

    Raises:
        InputError: unreadable text, unknown task or argument, or an error in the user's code.
    """
    call = spec.parse(text)
    return _build(spec.Call(call.name, call.args, tuple((dict(call.kwargs) | settings).items())))


def parse_list(text: str) -> list[Task]:
    """The tasks of a comma-separated list: `digits, digits(model='cnn'), my_task.py:task`.

    Raises:
        InputError: unreadable text, unknown task or argument, or an error in the user's code.
    """
    return [_build(call) for call in spec.parse_list(text)]


def _build(call: spec.Call) -> Task:
    if call.name not in CATALOGUE:
        offered = installed(own_task.GROUP)
        if ":" not in call.name:
            spec.choose(call.name, CATALOGUE | offered, "task")
        call = replace(call, name=offered.get(call.name, call.name))
        task = own_task.build(call, own_task.parameters(call), own_task.own)
    else:
        task = own_task.build(call, signature(CATALOGUE[call.name]).parameters, _built_in)
    check(task)
    return task


def _built_in(call: spec.Call) -> Task:
    task: Task = spec.build(call, CATALOGUE, "task")
    if not isinstance(task, Task):
        raise InputError(f"task {call.name}: its function should return a bench.contract.Task, not {task!r}")
    check(task)
    return replace(task, code=digest.of(CATALOGUE[call.name]))

"""The tasks, on one screen. A new task is a function that returns a `bench.contract.Task`, and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench.code_digest import digest
from bench.contract import InputError, Task
from schedules import spec
from tasks.checks import check
from tasks.detection.coco import bccd, coco
from tasks.detection.scenes import scenes
from tasks.image.cifar import cifar10, cifar10_jpeg_q75, cifar100
from tasks.image.digits import digits, mnist5k
from tasks.image.imagenet import imagenet
from tasks.image.mnist import fashion_mnist, mnist
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
    "coco": coco,
    "bccd": bccd,
    "fsdd": fsdd,
    "digits_ctc": digits_ctc,
    "speech_commands": speech_commands,
    "speech_commands_v002_testset12": speech_commands_v002_testset12,
}


def parse(text: str) -> Task:
    """The task that a call names: `digits(model='cnn')`.

    Raises:
        InputError: unreadable text, unknown task or argument.
    """
    return _build(spec.parse(text))


def parse_list(text: str) -> list[Task]:
    """The tasks of a comma-separated list: `digits, digits(model='cnn'), vowels`.

    Raises:
        InputError: unreadable text, unknown task or argument.
    """
    return [_build(call) for call in spec.parse_list(text)]


def _build(call: spec.Call) -> Task:
    task: Task = spec.build(call, CATALOGUE, "task")
    if not isinstance(task, Task):
        raise InputError(f"task {call.name}: its function should return a bench.contract.Task, not {task!r}")
    check(task)
    return replace(task, code=digest.of(CATALOGUE[call.name]))

"""The tasks, on one screen. A new task is a function that returns a `bench.contract.Task`, and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench import call, definitions, soundness
from bench.contract import InputError, Task
from tasks.cifar import cifar10, cifar10_jpeg_q75, cifar100
from tasks.coco import bccd, coco
from tasks.glue import glue
from tasks.grammar import grammar
from tasks.image import digits, mnist5k
from tasks.imagenet import imagenet
from tasks.keywords import fsdd, speech_commands, speech_commands_v002_testset12
from tasks.mnist import fashion_mnist, mnist
from tasks.scenes import scenes
from tasks.speech import vowels
from tasks.strings import digits_ctc
from tasks.tunnel import linreg, quadratic

CATALOGUE: dict[str, Callable[..., Task]] = {
    "digits": digits,
    "mnist5k": mnist5k,
    "vowels": vowels,
    "grammar": grammar,
    "scenes": scenes,
    "linreg": linreg,
    "quadratic": quadratic,
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
    return _built(call.parse(text))


def parse_list(text: str) -> list[Task]:
    """The tasks of a comma-separated list: `digits, digits(model='cnn'), vowels`.

    Raises:
        InputError: unreadable text, unknown task or argument.
    """
    return [_built(c) for c in call.parse_list(text)]


def _built(named: call.Call) -> Task:
    task: Task = call.build(named, CATALOGUE, "task")
    if not isinstance(task, Task):
        raise InputError(f"task {named.name}: its function should return a bench.contract.Task, not {task!r}")
    soundness.check(task)
    return replace(task, code=definitions.of(CATALOGUE[named.name]))

"""Tasks of one's own: `my_task.py:task(width=64)`, `mypkg.mod:task`, or a name that an installed package declares.

A task of one's own is a function that returns a `bench.contract.Task`. Its name is its call, with the digest of its
code: another version of the file is another task.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from bench.contract import Array, InputError, Split, Task
from schedules import spec
from schedules.reference import call_text
from tasks import own_code, own_model, settings
from tasks.checks import check
from tasks.image.timm_models import PREFIX

MADE: dict[str, Task] = {}
"""Tasks of one's own by name, so that each reads its data once a run, whoever forgot to cache them."""

GROUP = "glideslope.tasks"
"""Group of entry points for the tasks of installed packages: `parity = "mypkg.mod:task"`."""


def build(call: spec.Call, parameters: Mapping[str, Any], make: Callable[[spec.Call], Task]) -> Task:
    """The task of a call, with the settings that every task takes and, where the call names one, a model of one's own.

    Args:
        call: The call.
        parameters: Those of the task's function; what is not among them is applied here.
        make: Makes the task of a call of nothing but its own parameters.

    Raises:
        InputError: anything wrong with the call or with the user's code.
    """
    names = list(parameters)[: len(call.args)]
    if twice := {*names} & dict(call.kwargs).keys():
        raise InputError(f"task {call.name}: {twice.pop()} is given twice")
    if names[-1:] == ["model"]:
        call = replace(call, args=call.args[:-1], kwargs=(("model", call.args[-1]), *call.kwargs))
    values = dict(call.kwargs)
    common = {k: v for k, v in values.items() if k in settings.NAMES and k not in parameters}
    model = call_text(values["model"]) if isinstance(values.get("model"), spec.Call) else values.get("model")
    if not _is_replaced(model, parameters.get("model")):
        return settings.apply(make(_without(call, common)), common)
    task = make(_without(call, (*common, "model")))
    resolved = own_model.resolve(str(model), lambda: facts_of(task), task.model)
    name = settings.extended(task.name, {"model": resolved.text})
    layers: Any = None if "layers" in common else resolved.layers  # a kind that is given is in the name
    return settings.apply(replace(task, name=name, model=resolved, layers=layers, outside=True), common)


def _without(call: spec.Call, names: Collection[str]) -> spec.Call:
    return replace(call, kwargs=tuple((k, v) for k, v in call.kwargs if k not in names))


def _is_replaced(model: Any, parameter: Any) -> bool:
    """True for a model of one's own, or of timm where the task's function does not take those itself."""
    if not own_model.is_own(model):
        return False
    return not model.startswith(PREFIX) or parameter is None or str(parameter.annotation).startswith("Literal")


def parameters(call: spec.Call) -> Mapping[str, Any]:
    """Parameters of a user's function.

    Raises:
        InputError: there is none.
    """
    return inspect.signature(own_code.function(call.name, "task").value).parameters


def own(call: spec.Call) -> Task:
    """The task that a user's function returns.

    Raises:
        InputError: no such function, wrong settings, or it returns something else.
    """
    function = own_code.read(call, "task")
    if function.text not in MADE:
        task = function.make()
        if not isinstance(task, Task):
            raise InputError(f"{function.subject}: it should return a bench.contract.Task, not {type(task).__name__}")
        task = replace(task, name=function.text, outside=True)
        check(task)
        MADE[task.name] = replace(task, load=cache(task.load))
    return MADE[function.text]


def facts_of(task: Task) -> dict[str, int]:
    """Facts of a task that models are built by, from its data: `classes`, `channels`, `side`, as far as it has them."""
    data = task.load()
    train, labels = data.train, [split.target[0] for split in data]
    first: Array = train.inputs[0][0] if isinstance(train, Split) else train.read(0, None)[0][0]
    values = {"channels": first.shape[0]} if first.ndim > 1 else {}
    if first.ndim == 3:
        values["side"] = first.shape[2]
    if all(part.ndim == 1 and part.dtype.kind in "iu" for part in labels):
        values["classes"] = 1 + max(int(part.max()) for part in labels)
    return values

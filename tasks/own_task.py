"""Tasks of one's own: `my_task.py:task(width=64)`, `mypkg.mod:task`, or a name that an installed package declares.

A task of one's own is a function that returns a `bench.contract.Task`. Its name is its call, with the digest of its
code: another version of the file is another task.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from bench.contract import Array, InputError, Split, Task
from schedules import spec
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
    names = [*parameters][: len(call.args)]
    values = dict(zip(names, call.args, strict=False)) | dict(call.kwargs)
    model = values.get("model")
    model = spec.render(model.name, model.args, dict(model.kwargs)) if isinstance(model, spec.Call) else model
    own = own_model.is_own(model) and _is_replaced(str(model), parameters.get("model"))
    common = {k: v for k, v in values.items() if k in settings.NAMES and k not in parameters}
    dropped = common.keys() | ({"model"} if own else {})
    if own and "model" in names:
        call = spec.Call(call.name, (), tuple(values.items()))
    task = make(spec.Call(call.name, call.args, tuple((k, v) for k, v in call.kwargs if k not in dropped)))
    if own:
        resolved = own_model.resolve(str(model), lambda: facts_of(task), task.model)
        name = settings.extended(task.name, {"model": resolved.text})
        layers: Any = None if "layers" in common else resolved.layers  # a kind that is given is in the name
        return settings.apply(replace(task, name=name, model=resolved, layers=layers, outside=True), common)
    return settings.apply(task, common)


def _is_replaced(model: str, parameter: Any) -> bool:
    """True for a model that the task's function does not take itself; some take those of timm."""
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
    facts = {"channels": first.shape[0]} if first.ndim > 1 else {}
    if first.ndim == 3:
        facts["side"] = first.shape[2]
    if all(part.ndim == 1 and part.dtype.kind in "iu" for part in labels):
        facts["classes"] = 1 + max(int(part.max()) for part in labels)
    return facts

"""Rules for tasks whose code, model or data are the user's, each with the line that says how it is broken.

K = classes.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contract import Array, Batch, Data, InputError, Split, Stream, Task
from bench.engine.dry_run.blame import blamed_quietly
from bench.engine.loader import Loader, epoch_steps
from bench.engine.memory import FEW
from schedules.user_code import Portable

if TYPE_CHECKING:
    from torch import Tensor, nn

PART = 64
"""Examples on which metric and loss are compared."""


def probe(task: Task) -> None:
    """Try a task out: its data, reader, model, output, loss, labels and metric.

    Raises:
        InputError: one line with the rule that it breaks.
    """
    with blamed_quietly(f"task {task.name}, its data"):
        _probe_data(task)
    epoch_steps(task)
    with blamed_quietly(f"task {task.name}, the reader of its data"):
        _probe_reader(task)
    with blamed_quietly(f"task {task.name}, its model"), _unseen():
        _probe_model(task)
    with blamed_quietly(f"task {task.name}, tried on {FEW} examples"), _unseen():
        _probe_loss(task)
    with _unseen():
        _probe_labels(task)
    with blamed_quietly(f"task {task.name}, its score"), _unseen():
        _probe_direction(task)


def broken(task: Task, rule: str) -> InputError:
    """The error for a broken rule."""
    return InputError(f"task {task.name}: {rule}")


@contextmanager
def _unseen() -> Iterator[None]:
    """Restore torch's generator at the end."""
    import torch

    with torch.random.fork_rng(devices=[]):
        yield


# ------------------------------------------------------------------------------------------------------ data


def _probe_data(task: Task) -> None:
    data = task.load()
    if not isinstance(data, Data) or not all(isinstance(part, Split | Stream) for part in data):
        raise broken(task, "its load() should return a bench.contract.Data of three splits: train, control and test")
    for name, part in data._asdict().items():
        arrays = (*part.target, *(part.inputs if isinstance(part, Split) else ()))
        if not part.target or not all(isinstance(a, np.ndarray) and a.ndim and a.dtype.kind in "biuf" for a in arrays):
            raise broken(task, f"{name}: inputs and target should be tuples of numpy arrays of numbers")
        if not len(part) or len({len(a) for a in arrays}) > 1:
            counts = ", ".join(str(len(a)) for a in arrays)
            raise broken(task, f"{name}: its arrays hold {counts} examples; they should hold equally many, and some")
        if not all(np.isfinite(a).all() for a in arrays if a.dtype.kind == "f"):
            raise broken(task, f"{name}: its arrays hold NaN or infinity")
        target = part.target[0]
        if target.ndim == 1 and (target == target[0]).all():
            raise broken(
                task, f"{name}: all {len(part)} targets are {target[0]}: there is nothing to learn or to score"
            )
    forms = [[(a.shape[1:], a.dtype) for a in part.inputs] for part in data if isinstance(part, Split)]
    if any(form != forms[0] for form in forms):
        raise broken(task, "inputs should have the same shapes and types in all splits")
    if data.digest() != getattr(task.load, "__wrapped__", task.load)().digest():
        raise broken(task, "its load() gives other data when it is called again; random choices need a fixed seed")


def _probe_reader(task: Task) -> None:
    for name, part in task.load()._asdict().items():
        if isinstance(part, Split):
            continue
        try:
            pickle.dumps(Portable(part))
        except Exception as error:
            reason = str(error).split("\n")[0]
            raise broken(
                task, f"{name}: worker processes need its reader, and it cannot be pickled: {reason}"
            ) from None
        for key in (None, 1) if name == "train" else (None,):
            first, second = (part.read(0, key) for _ in range(2))
            if not all(np.array_equal(a, b) for a, b in zip(first[0] + first[1], second[0] + second[1], strict=True)):
                raise broken(task, f"{name}: its reader gives two versions of example 0 for the key {key}")


def examples(task: Task, changed: Sequence[tuple[str, Sequence[int]]]) -> Task:
    """The task with only some examples of some splits, in memory; the others stay as they are."""
    data = task.load()
    few = {name: _pick(getattr(data, name), index) for name, index in changed}
    return replace(task, load=lambda: data._replace(**few))


def _pick(part: Split | Stream, index: Sequence[int]) -> Split:
    if isinstance(part, Split):
        rows = np.asarray(index)
        return Split(tuple(a[rows] for a in part.inputs), tuple(a[rows] for a in part.target))
    inputs, target = zip(*(part.read(int(i), None) for i in index), strict=True)
    sides = [tuple(map(np.stack, zip(*side, strict=True))) for side in (inputs, target)]
    return Split(sides[0], sides[1])


def evenly(length: int, count: int) -> Array:
    """Indices of `count` examples at even distances, or of all."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).astype(np.int64))


def _batch(task: Task, index: Sequence[int], split: str = "train") -> Batch:
    """A batch of these examples, as the model takes it."""
    few = examples(task, [("train", index)] if split == "train" else [])
    if split != "train":
        data = task.load()
        few = replace(task, load=lambda: data._replace(train=_pick(getattr(data, split), index)))
    return Loader(replace(few, batch_size=len(index)), 0).batch(0)


# ----------------------------------------------------------------------------------------------------- model


def _probe_model(task: Task) -> None:
    import torch
    from torch import nn

    model, second = _model(task), _model(task)
    if not isinstance(model, nn.Module):
        raise broken(task, f"its model should be a torch.nn.Module, not {type(model).__name__}")
    if model is second:
        raise broken(task, "its model() gives the same module twice; it should build a new one")
    if not any(p.requires_grad for p in model.parameters()):
        raise broken(task, "its model has no weights to train")
    before, after = model.state_dict(), second.state_dict()
    if before.keys() != after.keys() or not all(torch.equal(before[k], after[k]) for k in before):
        raise broken(task, "its model is not pure: initial weights may depend on torch's global generator alone")


def _model(task: Task) -> nn.Module:
    """A new model under torch's seed 0; other global generators have moved on since the last one."""
    import torch

    torch.manual_seed(0)
    return task.model()


def _probe_loss(task: Task) -> None:
    import torch
    from torch import Tensor
    from torch.utils import _pytree as pytree

    inputs, target = _batch(task, range(min(FEW, task.batch_size)))
    model = _model(task).eval()
    with torch.no_grad():
        output, repeat = model(*inputs), model(*inputs)
    leaves = pytree.tree_leaves(output)
    if not leaves or not all(isinstance(leaf, Tensor) for leaf in leaves):
        raise broken(task, "its model should give a tensor, or a tuple or dict of tensors")
    if not all(map(torch.equal, leaves, pytree.tree_leaves(repeat))):
        raise broken(task, "its model is not pure: in evaluation it gives two outputs for the same input")
    _probe_shape(task, inputs, leaves)
    losses = []
    for _ in range(2):
        model = _model(task).train()
        torch.manual_seed(1)
        loss = task.loss(model(*inputs), target)
        if not isinstance(loss, Tensor) or loss.ndim:
            form = f"shape {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise broken(task, f"its loss should be a scalar tensor, such as a mean over the batch; it has {form}")
        losses.append(loss)
    if not losses[0].isfinite():
        raise broken(task, f"its loss is {losses[0].item()} at the initial weights")
    if not losses[0].requires_grad:
        raise broken(task, "its loss does not depend on the weights of its model")
    if not torch.equal(*losses):
        raise broken(task, "its loss is not pure: with the same seed of torch it gives two values")


def _probe_shape(task: Task, inputs: tuple[Tensor, ...], output: Sequence[Tensor]) -> None:
    """Compare the shapes of the output with those of the task's built-in model, if it has another one."""
    import torch
    from torch.utils import _pytree as pytree

    usual = getattr(task.model, "usual", None)
    if usual is None:
        return
    with torch.no_grad():
        shapes = [list(leaf.shape) for leaf in pytree.tree_leaves(usual().eval()(*inputs))]
    own = [list(leaf.shape) for leaf in output]
    if own != shapes:
        raise broken(task, f"its model gives {_listed(own)}; the output of this task's models is {_listed(shapes)}")


def _listed(shapes: Sequence[Sequence[int]]) -> str:
    return " and ".join(map(str, shapes))


# ---------------------------------------------------------------------------------------- labels and metric


def _probe_labels(task: Task) -> None:
    """Compute the loss of the examples with the least and the greatest target of each split."""
    import torch

    for name, part in task.load()._asdict().items():
        target = part.target[0]
        if target.ndim > 1:
            continue
        index = [int(target.argmin()), int(target.argmax())]
        words = f"target {target[index[0]]} and one with {target[index[1]]} of {name}"
        with blamed_quietly(f"task {task.name}, tried on an example with {words}"), torch.no_grad():
            inputs, truth = _batch(task, index, name)
            task.loss(_model(task).eval()(*inputs), truth)


def _probe_direction(task: Task) -> None:
    """Compare scores of outputs that the loss finds right and wrong."""
    data = task.load()
    _, target = _batch(task, evenly(len(data.train), PART).tolist())
    inputs, _ = _batch(task, range(min(FEW, len(data.train))))
    pair = _right_and_wrong(_model(task).eval()(*inputs), target)
    if pair is None:
        return
    right, wrong = pair
    losses = [float(task.loss(output, target)) for output in pair]
    if not losses[0] < losses[1]:
        return
    good, bad = (task.score(output, target).get(task.metric) for output in (right, wrong))
    if good is None or bad is None or good == bad:
        return
    direction = "max" if good > bad else "min"
    if direction != task.direction:
        raise broken(
            task,
            f"its {task.metric} is {good:.3g} where its loss is {losses[0]:.3g}, and {bad:.3g} where its loss is "
            f"{losses[1]:.3g}: its direction should be {direction!r}, not {task.direction!r}",
        )


def _right_and_wrong(output: Any, target: Sequence[Tensor]) -> tuple[Tensor, Tensor] | None:
    """Outputs that are probably right and wrong: logits of labels, or the target itself; None for other kinds."""
    import torch
    from torch.nn import functional

    if not isinstance(output, torch.Tensor) or len(target) != 1:
        return None
    truth = target[0]
    if output.ndim == 2 and truth.ndim == 1 and not truth.is_floating_point() and output.shape[1] > 1:
        classes = output.shape[1]
        if not bool(((truth >= 0) & (truth < classes)).all()):
            return None
        logits = [10.0 * functional.one_hot(label % classes, classes) for label in (truth, truth + 1)]
        return logits[0], logits[1]
    if truth.is_floating_point() and output.ndim and output.shape[1:].numel() == truth.shape[1:].numel():
        right = truth.reshape(len(truth), *output.shape[1:])
        return right, 1 - right
    return None

"""The folder of an exported model: weights, configuration and card, complete or not there."""

from __future__ import annotations

import inspect
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import InputError, Task
from bench.export import card, formats, rebuilt
from bench.export.formats import Body, Format
from bench.export.whole import WHOLE
from bench.export.winner import Winner
from bench.layers import LAYERS
from bench.ledger import paths
from bench.train import weights
from tasks.own_model import OwnModel

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.engine.loader import Loader


@dataclass(frozen=True)
class Exported:
    """An exported model, as its card and its configuration describe it."""

    form: Format
    library: formats.Library
    task: str  # the call that names it, without what was trained on
    loads: str  # the class or function by which the library loads the folder; empty without one
    model: str  # the call that builds the model
    classes: tuple[str, ...]  # names of the outputs, if the task states them
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    preprocessing: list[str]
    channels_last: bool
    scores: dict[str, float]  # on test, of the files written
    threads: int


def check_empty(to: Path, besides: Sequence[str] = ()) -> None:
    """Refuse a folder that holds anything.

    Raises:
        InputError: names the folder.
    """
    if to.exists() and not to.is_dir():
        raise InputError(f"--to {to} is a file; give a folder that is empty or does not exist")
    if to.is_dir() and any(path.name not in besides for path in to.iterdir()):
        raise InputError(f"--to {to} exists and is not empty; give another folder, or empty it")


def write(winner: Winner, to: Path, form: Format, why: Sequence[str], task: Task | None = None) -> Exported:
    """Export a cell's model to a folder.

    Args:
        winner: The cell.
        to: The folder, which does not exist or is empty.
        form: Format of the program beside the weights.
        why: Sentences of the card on the choice of the strategy.
        task: Task that the cell was trained on; by default the one that the cell names.

    Raises:
        InputError: one line that says why the model cannot be exported.
    """
    formats.check(form)
    settings, tensors = winner.cell.settings, weights.read(winner.directory, winner.file)
    task = rebuilt.open_task(settings) if task is None else task
    threads = winner.cohort.threads if winner.cohort else 1
    loader, model = rebuilt.load(task, settings.seed, tensors, threads)
    to.parent.mkdir(parents=True, exist_ok=True)
    partial_folder = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
    try:
        exported = _fill(partial_folder, winner, form, loader, model)
        _describe(partial_folder, winner, exported, why)
        to.mkdir(exist_ok=True)
        for path in sorted(partial_folder.iterdir(), key=lambda path: path.name == card.NAME):  # the card is the last
            path.replace(to / path.name)
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)
        loader.close()
    return exported


def _fill(folder: Path, winner: Winner, form: Format, loader: Loader, model: nn.Module) -> Exported:
    """Write the model's files, and score what they load to."""
    from torch.utils import _pytree as pytree

    body, inputs = formats.body_of(model), rebuilt.example(loader)
    classes = loader.task.classes() if callable(loader.task.classes) else loader.task.classes
    output = model(*inputs)
    data = paths.weights(winner.directory, winner.file.sha256).read_bytes()
    formats.save_weights(folder, body, data, classes)
    forward: Callable[..., Any] = formats.load_weights(folder, body, model)
    if form == "torch-export":
        forward = formats.save_program(folder, model, inputs)
    elif form == "onnx":
        formats.save_onnx(folder, model, inputs)
    return Exported(
        form=form,
        library=body.library,
        task=loader.task.name.removesuffix(WHOLE),
        loads=_loads(body),
        model=call(loader.task.model),
        classes=classes,
        inputs=[_shape(a) for a in inputs],
        outputs=[_shape(a) for a in pytree.tree_leaves(output)],
        preprocessing=preprocessing(loader.task),
        channels_last=LAYERS[loader.task.layers].images,
        scores=rebuilt.score(loader, forward),
        threads=winner.cohort.threads if winner.cohort else 1,
    )


def _describe(folder: Path, winner: Winner, exported: Exported, why: Sequence[str]) -> None:
    """Write the configuration, into that of the model's library if there is one, and the card."""
    path = folder / formats.CONFIG
    config = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(config | {"glideslope": facts(winner, exported)}, indent=2) + "\n")
    (folder / card.NAME).write_text(card.text(winner, exported, why))


def facts(winner: Winner, exported: Exported) -> dict[str, Any]:
    """All that the configuration says, as JSON."""
    settings, attempt = winner.cell.settings, winner.attempt
    names = ("schedule", "optimizer", "weight_decay", "averaging", "peak_lr", "budget", "epochs", "seed")
    return {
        **asdict(exported),
        **{name: getattr(settings, name) for name in names},
        "updates": settings.total,
        "metric": winner.facts.metric,
        "ledger": winner.result.final,
        "weights": winner.file.sha256,
        "cell": settings.cell,
        "data": settings.data,
        "code": settings.code,
        "engine": settings.engine,
        "arithmetic": settings.arithmetic,
        "commit": attempt and attempt.commit,
        "versions": attempt and attempt.versions,
    }


def _loads(body: Body) -> str:
    if body.library == "timm":
        return "timm.create_model"
    return f"transformers.{type(body.module).__name__}" if body.library == "transformers" else ""


def call(function: Callable[..., Any]) -> str:
    """A function as a call: `tasks.image.timm_models._build('resnet18', 10, 32)`, or `my_model.py:Net@2efc00b5`."""
    if isinstance(function, OwnModel):
        return function.text
    function, values = _opened(function)
    texts = {name: call(value) if callable(value) else repr(value) for name, value in values.items()}
    arguments = [f"{name}={text}" if isinstance(name, str) else text for name, text in texts.items()]
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{getattr(function, '__module__', '')}.{name}({', '.join(arguments)})"


def _opened(function: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str | int, Any]]:
    """A function without partial arguments and caches, and the values that it is bound to, by place or name."""
    values: dict[str | int, Any] = {}
    if isinstance(function, partial):
        values, function = dict(enumerate(function.args)) | function.keywords, function.func
    function = inspect.unwrap(function)
    if inspect.isfunction(function) and "<locals>" in function.__qualname__:
        values.update(inspect.getclosurevars(function).nonlocals.items())
    return function, values


def preprocessing(task: Task) -> list[str]:
    """The way from stored data to the model's inputs, in the words of the code that does it."""
    own = {"data": task.load, "lengths": task.lengths, "input": task.prepare}
    steps = {name: step for name, step in own.items() if step is not None}
    return [f"{name}: {call(step)}; {_summary(step)}".rstrip("; ") for name, step in steps.items()]


def _summary(function: Callable[..., Any]) -> str:
    """First paragraphs of the documentation of a function, and of functions that it calls as arguments."""
    own, values = _opened(function)
    text = " ".join((inspect.getdoc(own) or "").split("\n\n")[0].split())
    inner = [_summary(value) for value in values.values() if callable(value)]
    return "; ".join(filter(None, [text.rstrip("."), *inner]))


def _shape(tensor: Tensor) -> dict[str, Any]:
    """Shape and type of an input or output, for any number of examples."""
    return {"shape": ["examples", *tensor.shape[1:]], "dtype": str(tensor.dtype).removeprefix("torch.")}

"""Files of a model: weights as its own library reads them, a program of torch.export, or ONNX."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bench import extras
from bench.contract import InputError
from tasks.data import checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn

Format: TypeAlias = Literal["safetensors", "torch-export", "onnx"]
Library: TypeAlias = Literal["torch", "timm", "transformers"]
WEIGHTS, CONFIG, PROGRAM, ONNX = "model.safetensors", "config.json", "model.pt2", "model.onnx"


@dataclass(frozen=True)
class Body:
    """The part of a model that its library saves and loads; a wrapper around it holds no weights."""

    library: Library
    place: str  # its name within the model; empty for the model itself
    module: Any  # an nn.Module with the methods of its library


def body_of(model: nn.Module) -> Body:
    """The part that timm or transformers loads, if the model is one of theirs and not changed by adapters."""
    modules = dict(model.named_modules())
    if any(type(m).__module__.startswith("peft.") for m in modules.values()):
        return Body("torch", "", model)
    if type(model).__module__.startswith("timm.") and hasattr(model, "pretrained_cfg"):
        return Body("timm", "", model)
    if (transformers := sys.modules.get("transformers")) is not None:
        own = [name for name, m in modules.items() if isinstance(m, transformers.PreTrainedModel)]
        if own and len(list(model.state_dict())) == len(list(modules[own[0]].state_dict())):
            return Body("transformers", own[0], modules[own[0]])
    return Body("torch", "", model)


def save_weights(folder: Path, body: Body, weights: bytes, classes: Sequence[str] = ()) -> None:
    """Write weights and configuration as the model's library has them.

    Args:
        folder: An existing folder.
        body: The model, with its weights.
        weights: The whole model's weights as a file of safetensors.
        classes: Names of the outputs, if the task states them.
    """
    if body.library == "transformers":
        checkpoint.quiet()
        if classes:
            body.module.config.id2label = dict(enumerate(classes))
            body.module.config.label2id = {name: i for i, name in enumerate(classes)}
        body.module.save_pretrained(folder)
        _save_preparation(body.module.config.name_or_path, folder)
        return
    if body.library == "timm":
        import timm

        names = {"label_names": list(classes)} if classes else {}
        timm.models.save_for_hf(body.module, str(folder), names, safe_serialization=True)  # for its configuration
    (folder / WEIGHTS).write_bytes(weights)


def _save_preparation(source: str, folder: Path) -> None:
    """Write the tokenizer or feature extractor of the checkpoint that a model began with, if there is one."""
    import transformers

    for kind in (transformers.AutoTokenizer, transformers.AutoFeatureExtractor) if source else ():
        with contextlib.suppress(Exception):  # a checkpoint of text has no extractor, and most of sound no tokenizer
            kind.from_pretrained(source, local_files_only=True).save_pretrained(folder)


def load_weights(folder: Path, body: Body, model: nn.Module) -> nn.Module:
    """The model with its weights loaded from the folder by its library, ready for evaluation."""
    import torch
    from safetensors.torch import load_file

    if body.library == "torch":
        model.load_state_dict(load_file(folder / WEIGHTS))
        return model.eval()
    if body.library == "timm":
        import timm

        fresh = timm.create_model(f"local-dir:{folder}", pretrained=True)
    else:
        kind: Any = type(body.module)
        fresh = kind.from_pretrained(folder, attn_implementation=body.module.config._attn_implementation)
    if any(t.ndim == 4 and not t.is_contiguous() for t in model.parameters()):  # as the engine has it: see there
        fresh = fresh.to(memory_format=torch.channels_last)
    if not body.place:
        return fresh.eval()
    parent, _, name = body.place.rpartition(".")
    setattr(model.get_submodule(parent), name, fresh)
    return model.eval()


def save_program(folder: Path, model: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    """Write the model as a program of torch.export for any number of examples, and return the program as loaded.

    Raises:
        InputError: torch cannot export the model.
    """
    import torch

    path = folder / PROGRAM
    with _possible("torch-export"):
        torch.export.save(torch.export.export(model, inputs, dynamic_shapes=_shapes(inputs)), path)
        return torch.export.load(path).module()


def save_onnx(folder: Path, model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Write the model as ONNX, for any number of examples.

    Raises:
        InputError: torch cannot export the model.
    """
    import torch

    with _possible("onnx"):
        torch.onnx.export(
            model,
            inputs,
            str(folder / ONNX),
            dynamo=True,
            dynamic_shapes=_shapes(inputs),
            external_data=False,
            verbose=False,
        )


def check(form: Format) -> None:
    """Refuse a format whose packages are missing.

    Raises:
        InputError: names the packages, and the command that installs them.
    """
    if form == "onnx":
        extras.require("onnx")


def _shapes(inputs: tuple[Tensor, ...]) -> tuple[dict[int, Any], ...]:
    """Axes that may have another length: the first one, and whichever else the model allows."""
    from torch.export import Dim

    others = ({i: Dim.AUTO for i in range(1, a.ndim) if a.shape[i] > 1} for a in inputs)
    return tuple({0: Dim.DYNAMIC} | axes for axes in others)


@contextlib.contextmanager
def _possible(form: Format) -> Iterator[None]:
    """Turn whatever torch raises while it exports a model into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own deprecations; what fails is raised
            yield
    except Exception as error:  # torch raises many kinds
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"--format {form} is not possible for this model ({reason}); --format safetensors is"
        ) from None

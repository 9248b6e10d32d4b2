"""The recipe for classifiers of sentences: a small BERT from scratch, or an encoder of transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.contract import Array, Data, InputError, Split
from tasks.data import checkpoint
from tasks.text import sentences

if TYPE_CHECKING:
    from torch import nn

SMALL = "small"
"""The model that needs no checkpoint."""


def is_tuned(task: str, model: str, scratch: bool, lora: int) -> bool:
    """True if training begins at the weights of a checkpoint.

    Raises:
        InputError: settings that do not go together.
    """
    if isinstance(lora, bool) or not isinstance(lora, int) or lora < 0:
        raise InputError(f"{task}: lora is a rank, 1 or more, or 0 for none, not {lora!r}")
    if model == SMALL and (scratch or lora):
        raise InputError(f"{task}: scratch and lora are of a checkpoint: name one by model=")
    if scratch and lora:
        raise InputError(f"{task}: scratch and lora exclude each other: adapters are of weights that are kept")
    return model != SMALL and not scratch


def settings(model: str, tuned: bool, lora: int) -> dict[str, Any]:
    """Fields of `Task`: 3 epochs of a checkpoint, as Devlin et al. (arXiv:1810.04805), 10 of initial weights."""
    return {
        "batch_size": 32,
        "epochs": 3 if tuned else 10,
        "optimizer": "adamw(decay='matrices')",
        "weight_decay": 0.01,
        "peak_lrs": (2e-4, 5e-4, 1e-3) if lora else (2e-5, 5e-5, 1e-4) if tuned else (3e-4, 1e-3, 3e-3),
        "layers": "transformer" if model == SMALL else "large",
        "lengths": lengths,
        "clip": 1.0,
        "eval_epochs": 1 if tuned else 2,
    }


def network(model: str, outputs: int, load: Callable[[], Data], *, scratch: bool, lora: int) -> nn.Module:
    """The network of a task; `load` gives its data, whose length of rows the small BERT needs."""
    from tasks.text import encoder

    if model == SMALL:
        train = load().train
        assert isinstance(train, Split)
        length = train.inputs[0].shape[1]
        network: encoder.Encoder = encoder.small(sentences.PIECES, length, outputs)
        return network
    place, fetch = checkpoint.find(model)
    return encoder.pretrained(place, outputs, scratch=scratch, lora=lora, fetch=fetch)


def lengths(split: Split) -> Array:
    """Pieces [N] of each row without its padding, to which the longest row of a batch is cut."""
    pieces: Array = (split.inputs[1] > 0).sum(1)
    return pieces

"""Classifiers of text: a small BERT at initial weights, or any encoder of transformers, trained in full or by LoRA.

B = batch, L = pieces of a row, K = outputs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from bench.contract import InputError
from schedules.user_code import blamed
from tasks.data import checkpoint
from tasks.text.bert import bert

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SMALL = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.1}
"""Settings of the small BERT, in addition to those of `tasks.text.bert`."""

LAST = {"xlnet"}
"""Types of models whose head reads the last position of a row, which is padding in all rows but the longest."""


class Encoder(nn.Module):
    """Outputs [B, K] from piece ids [B, L] and kinds of pieces, uint8 [B, L]: 0 padding, 1 first text, 2 second."""

    def __init__(self, body: nn.Module, *, segments: bool, pad: int = 0):
        super().__init__()
        self.body, self.segments, self.pad = body, segments, pad

    def forward(self, ids_BL: Tensor, kinds_BL: Tensor) -> Tensor:
        arguments = {"token_type_ids": (kinds_BL == 2).long()} if self.segments else {}
        if self.pad:  # rows are padded with 0, which is a normal piece of this model
            ids_BL = ids_BL.masked_fill(kinds_BL == 0, self.pad)
        outputs_BK: Tensor = self.body(input_ids=ids_BL, attention_mask=(kinds_BL > 0).long(), **arguments).logits
        return outputs_BK


def small(pieces: int, length: int, outputs: int) -> Encoder:
    """A BERT of 2 layers and width 64, at initial weights."""
    return Encoder(bert(pieces, length, num_labels=outputs, type_vocab_size=2, **SMALL), segments=True)


def pretrained(folder: Path | str, outputs: int, *, scratch: bool, lora: int, fetch: bool) -> Encoder:
    """An encoder of transformers with a new head.

    Args:
        folder: The checkpoint's folder, or its name on the hub.
        outputs: Width of the head.
        scratch: Use only its configuration, with initial weights.
        lora: Rank of the adapters, which are trained together with the head instead of all weights; 0 trains all.
        fetch: Allow downloads of files that the hub's cache lacks.

    Raises:
        InputError: the checkpoint is missing or is no text classifier, or peft is not installed or cannot adapt it.
    """
    from transformers import AutoModelForSequenceClassification

    checkpoint.quiet()
    auto: Any = AutoModelForSequenceClassification
    with blamed(f"{folder}: no text classifier can be made of it"):
        config = _config(folder, outputs, fetch=fetch)
        if scratch:
            body, new = auto.from_config(config), set[str]()
        else:
            body, new = checkpoint.classifier(auto, folder, config, fetch=fetch)
    pad, segments = _padding(body.config), (getattr(config, "type_vocab_size", 0) or 0) > 1
    return Encoder(_adapted(body, lora, new) if lora else body, segments=segments, pad=pad)


def room(folder: Path | str, *, fetch: bool) -> tuple[int, float]:
    """(pieces with an embedding, positions of a row) by a checkpoint's configuration; the latter may be infinite.

    Raises:
        InputError: the checkpoint is missing, or no text classifier can be built from it.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    checkpoint.quiet()
    auto: Any = AutoModelForSequenceClassification
    with blamed(f"{folder}: no text classifier can be made of it"):
        config = _config(folder, 2, fetch=fetch)
        with torch.device("meta"):  # no memory or time for weights
            body = auto.from_config(config)
    places = [math.inf]
    for name, part in body.named_modules():
        if isinstance(part, nn.Embedding) and ("position" in name or name.endswith("wpe")):
            first = 0 if part.padding_idx is None else part.padding_idx + 1  # models like RoBERTa count from there
            places += [part.num_embeddings - first, getattr(config, "max_position_embeddings", math.inf)]
    pieces: int = body.get_input_embeddings().num_embeddings
    return pieces, min(places)


def _config(folder: Path | str, outputs: int, *, fetch: bool) -> Any:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, num_labels=outputs, local_files_only=not fetch)
    if config.model_type in LAST:
        raise InputError(f"{folder} is an {config.model_type}, whose head reads the end of a row: padding")
    return config


def _padding(config: Any) -> int:
    """Id of the padding piece. It is set for a decoder without one, whose head reads the piece before the padding."""
    text_config = config.get_text_config()
    pad: int | None = getattr(text_config, "pad_token_id", None)
    if pad is None or pad < 0:
        ends = getattr(text_config, "eos_token_id", None) or 0  # the end-of-text piece occurs in no row
        text_config.pad_token_id = pad = ends[0] if isinstance(ends, list) else ends
    return pad


def _adapted(body: PreTrainedModel, rank: int, new: Iterable[str]) -> Any:
    """The model with low-rank adapters (Hu et al., arXiv:2106.09685); only they and the modules of `new` are trained.

    Adapters are on the attention weights that peft lists for the type of model, or else on every linear layer.
    """
    try:
        from peft import LoraConfig, TaskType, get_peft_model
        from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as LORA_TARGETS
    except ImportError:
        raise InputError("lora needs peft, which is not installed: pip install peft") from None
    kind = body.config.model_type
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=rank,
        lora_alpha=2 * rank,
        target_modules=None if kind in LORA_TARGETS else "all-linear",
        modules_to_save=sorted(_parts(body, new)),
    )
    with warnings.catch_warnings(), blamed(f"lora: peft has no adapters for a {kind}"):
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)  # peft 0.21 asks for it
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")  # GPT-2's layers; peft sets it itself
        return get_peft_model(body, config)


def _parts(body: PreTrainedModel, new: Iterable[str]) -> set[str]:
    """Modules that hold these weights: top-level parts of the head, innermost modules of the body (e.g. a pooler)."""
    within = f"{body.base_model_prefix}."
    parts = {name.rpartition(".")[0] if name.startswith(within) else name.partition(".")[0] for name in new}
    return parts - {body.base_model_prefix}

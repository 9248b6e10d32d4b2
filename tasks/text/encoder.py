"""Classifiers of text: a small BERT at initial weights, or any encoder of transformers, whole or by LoRA.

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
"""Of the small BERT, besides what `tasks.text.bert` says."""

LAST = {"xlnet"}
"""Types of models whose head reads the last place of a row, which is padding in all rows but the longest."""


class Encoder(nn.Module):
    """Outputs [B, K] of piece ids [B, L] and of what each piece is, uint8 [B, L]: 0 padding, 1 first text, 2 second."""

    def __init__(self, body: nn.Module, *, segments: bool, pad: int = 0):
        super().__init__()
        self.body, self.segments, self.pad = body, segments, pad

    def forward(self, ids_BL: Tensor, kinds_BL: Tensor) -> Tensor:
        arguments = {"token_type_ids": (kinds_BL == 2).long()} if self.segments else {}
        if self.pad:  # rows are filled up with 0, which is a piece of its own here
            ids_BL = ids_BL.masked_fill(kinds_BL == 0, self.pad)
        outputs_BK: Tensor = self.body(input_ids=ids_BL, attention_mask=(kinds_BL > 0).long(), **arguments).logits
        return outputs_BK


def small(pieces: int, length: int, outputs: int) -> Encoder:
    """A BERT of 2 layers and width 64, at initial weights."""
    return Encoder(bert(pieces, length, num_labels=outputs, type_vocab_size=2, **SMALL), segments=True)


def pretrained(folder: Path | str, outputs: int, *, scratch: bool, lora: int, fetch: bool) -> Encoder:
    """An encoder of transformers with a new head.

    Args:
        folder: Where the checkpoint lies, or its name on the hub.
        outputs: Of the head.
        scratch: Take its configuration alone, and initial weights.
        lora: Rank of the adapters that are trained, and the head, instead of all weights; 0 trains all.
        fetch: Whether what is not in the hub's cache may be downloaded.

    Raises:
        InputError: it is not there, is no text classifier, or peft is not installed or cannot adapt it.
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
    """How many pieces a checkpoint's configuration has embeddings for, and how many places of a row.

    Raises:
        InputError: it is not there, or no text classifier can be made of it.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    checkpoint.quiet()
    auto: Any = AutoModelForSequenceClassification
    with blamed(f"{folder}: no text classifier can be made of it"):
        config = _config(folder, 2, fetch=fetch)
        with torch.device("meta"):  # no weight takes memory or time
            body = auto.from_config(config)
    places = [math.inf]
    for name, part in body.named_modules():
        if isinstance(part, nn.Embedding) and ("position" in name or name.endswith("wpe")):
            first = 0 if part.padding_idx is None else part.padding_idx + 1  # RoBERTa's kind counts from there
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
    """The piece that padding is. A decoder, whose head reads the piece before it, gets one here if it has none."""
    text_config = config.get_text_config()
    pad: int | None = getattr(text_config, "pad_token_id", None)
    if pad is None or pad < 0:
        ends = getattr(text_config, "eos_token_id", None) or 0  # the end of all text is in none
        text_config.pad_token_id = pad = ends[0] if isinstance(ends, list) else ends
    return pad


def _adapted(body: PreTrainedModel, rank: int, new: Iterable[str]) -> Any:
    """Low-rank adapters (Hu et al., arXiv:2106.09685); only they and what holds the weights `new` are trained.

    They are on the weights of attention that peft names for a type of model, or else on every linear layer.
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
    """The modules that hold these weights: of the head its parts, of the body the innermost ones, such as a pooler."""
    within = f"{body.base_model_prefix}."
    parts = {name.rpartition(".")[0] if name.startswith(within) else name.partition(".")[0] for name in new}
    return parts - {body.base_model_prefix}

"""Causal language models of transformers, by configuration or from a checkpoint.

B = rows, L = ids of a row, V = kinds of ids.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract import InputError
from schedules.user_code import blamed
from tasks.data import checkpoint

TRIED = 8
"""Ids of the row on which a model is tried."""


class Causal(nn.Module):
    """Logits [B, L, V] of a causal model of transformers for rows of ids [B, L]."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, ids_BL: Tensor) -> Tensor:
        logits_BLV: Tensor = self.body(input_ids=ids_BL, use_cache=False).logits
        return logits_BLV


def room(name: str) -> tuple[int, int | None]:
    """(kinds of ids, most ids of a row or None) of a model, by its configuration.

    Raises:
        InputError: the checkpoint is missing, or its configuration says neither.
    """
    with blamed(f"{name}: no causal language model can be made of it"):
        config = _config(name, tied=None).get_text_config()
        return int(config.vocab_size), getattr(config, "max_position_embeddings", None)


def pretrained(name: str, *, scratch: bool, tied: bool | None) -> Causal:
    """A causal model without dropout, with the weights of a checkpoint or, from `scratch`, with initial ones.

    Raises:
        InputError: the checkpoint is missing, or no causal model can be made of it, or its answers at an id depend on
            later ids.
    """
    from transformers import AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM
    place, fetch = checkpoint.find(name)
    checkpoint.quiet()
    with blamed(f"{name}: no causal language model can be made of it"):
        config = _config(name, tied)
        body = auto.from_config(config) if scratch else _loaded(auto, place, config, fetch)
        model = Causal(body.float())
        _require_causal(name, model, config.get_text_config().vocab_size)
    return model


def _loaded(auto: Any, place: Path | str, config: Any, fetch: bool) -> Any:
    body, report = auto.from_pretrained(place, config=config, local_files_only=not fetch, output_loading_info=True)
    if lacking := sorted(report["missing_keys"]):
        raise InputError(f"{place}: its files lack {lacking[0]} ({len(lacking)} in all); scratch=True needs none")
    return body


def _config(name: str, tied: bool | None) -> Any:
    from transformers import AutoConfig

    place, fetch = checkpoint.find(name)
    checkpoint.quiet()
    config: Any = AutoConfig.from_pretrained(place, local_files_only=not fetch)
    for part in {id(part): part for part in (config, config.get_text_config())}.values():
        for key, value in part.to_dict().items():
            if ("drop" in key) and isinstance(value, float):
                setattr(part, key, 0.0)
        if tied is not None:
            part.tie_word_embeddings = tied
    return config


@torch.no_grad()
def _require_causal(name: str, model: Causal, ids: int) -> None:
    """Refuse a model whose logits change with a later id."""
    model.eval()
    one_1L = torch.arange(TRIED).remainder(ids)[None]
    other_1L = one_1L.clone()
    other_1L[0, -1] = (one_1L[0, -1] + ids // 2) % ids
    one, other = (model(ids_1L)[:, :-1] for ids_1L in (one_1L, other_1L))
    model.train()
    if not torch.allclose(one, other, atol=1e-5):
        raise InputError(f"{name}: its answers depend on later ids: it is no causal language model")

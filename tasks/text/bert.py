"""A small BERT from transformers' own classes; its forward runs under `torch.func.vmap` on every device."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

PAD = 0
"""Id of the padding piece, which is masked out."""

SETTINGS: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "relu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.15,  # BERT's 0.02 is meant for its width of 768
    "attn_implementation": "eager",  # scaled_dot_product_attention has no batching rule on CPUs
}


def bert(pieces: int, length: int, **settings: Any) -> BertForSequenceClassification:
    """A classifier at initial weights, with 2 labels unless these settings of BertConfig change that."""
    usual = SETTINGS | {"type_vocab_size": 1, "num_labels": 2}
    config = BertConfig(vocab_size=pieces, max_position_embeddings=length, pad_token_id=PAD, **(usual | settings))
    return BertForSequenceClassification(config)


class Bert(nn.Module):
    """Logits [B, 2] of rows of piece ids [B, L], int64; the head reads the first piece of a row."""

    def __init__(self, pieces: int, length: int):
        super().__init__()
        self.bert = bert(pieces, length)

    def forward(self, ids_BL: Tensor) -> Tensor:
        logits_BK: Tensor = self.bert(ids_BL, attention_mask=ids_BL != PAD).logits
        return logits_BK

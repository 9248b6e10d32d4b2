"""A small GPT (Radford et al. 2019), whose forward runs under `torch.func.vmap`.

B = rows, L = ids of a row, D = width, H = heads, V = kinds of ids.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

HEAD = 16
"""Width of a head of attention."""


class GPTBlock(nn.Module):
    """Causal self-attention, then a ReLU network of four times the width; each reads the norm and is added."""

    def __init__(self, width: int):
        super().__init__()
        self.outer, self.inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.parts, self.mixed = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x_BLD: Tensor, later_LL: Tensor) -> Tensor:
        b, n, width = x_BLD.shape
        q, k, v = self.parts(self.outer(x_BLD)).view(b, n, 3, width // HEAD, HEAD).permute(2, 0, 3, 1, 4).unbind(0)
        scores_BHLL = (q @ k.transpose(-1, -2) / HEAD**0.5).masked_fill(later_LL, float("-inf"))
        x_BLD = x_BLD + self.mixed((scores_BHLL.softmax(-1) @ v).transpose(1, 2).reshape(b, n, width))
        return x_BLD + self.down(self.up(self.inner(x_BLD)).relu())  # type: ignore[no-any-return]  # of modules


class GPT(nn.Module):
    """Logits [B, L, V] of the ids that follow each of the ids [B, L]; positions are learnt, and there is no dropout.

    Initial weights are normal, of standard deviation 0.02 sqrt(768 / width): GPT-2's 0.02 at its own width. Those of
    the two layers of a block that add to the stream are divided by sqrt(2 depth), as GPT-2's are.

    Args:
        ids: Kinds of ids, V.
        context: Most ids of a row.
        width: D, a multiple of HEAD.
        depth: Number of blocks.
        tied: Use the embedding as the output layer, too.
    """

    def __init__(self, ids: int, context: int, width: int, depth: int, *, tied: bool = True):
        super().__init__()
        self.pieces, self.places = nn.Embedding(ids, width), nn.Embedding(context, width)
        self.blocks, self.norm = nn.ModuleList(GPTBlock(width) for _ in range(depth)), nn.LayerNorm(width)
        # A second name of the embedding would confuse torch.func.functional_call.
        self.head = None if tied else nn.Linear(width, ids, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                share = (2 * depth) ** -0.5 if "mixed" in name or "down" in name else 1.0
                nn.init.normal_(weight, std=0.02 * (768 / width) ** 0.5 * share)

    def forward(self, ids_BL: Tensor) -> Tensor:
        n = ids_BL.shape[1]
        later_LL = torch.ones(n, n, dtype=torch.bool, device=ids_BL.device).triu(1)
        x_BLD = self.pieces(ids_BL) + self.places.weight[:n]
        for block in self.blocks:
            x_BLD = block(x_BLD, later_LL)
        logits_BLV: Tensor = self.norm(x_BLD) @ (self.head or self.pieces).weight.T
        return logits_BLV

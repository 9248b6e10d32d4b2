"""The model that every task of this family trains: it returns the losses of rows, never the logits of a split.

B = rows of a batch, L = ids of a row that are predicted at most, P = ids of a row that are predicted, V = kinds of ids.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RowLosses(nn.Module):
    """Sums over each row of ids [B, L + 1]: cross-entropy in nats, [B, 1], or with the squared log-partition, [B, 2].

    Args:
        body: Maps ids [B, L], int64, to the logits [B, P, V] of the last P following ids.
        rows: Rows whose logits are formed at once; so in evaluation there are no more than in training.
        squares: Return the squared log-partitions, too, for a z-loss.
    """

    def __init__(self, body: nn.Module, rows: int, *, squares: bool = False):
        super().__init__()
        self.body, self.rows, self.squares = body, rows, squares

    def forward(self, ids: Tensor) -> Tensor:
        # torch types `split` not at all
        return torch.cat([self._sums(part.long()) for part in ids.split(self.rows)])  # type: ignore[no-untyped-call]

    def _sums(self, ids: Tensor) -> Tensor:
        logits_BPV: Tensor = self.body(ids[:, :-1])
        if logits_BPV.dtype in (torch.bfloat16, torch.float16):
            logits_BPV = logits_BPV.float()  # a sum over a row needs more than eight bits
        truth_BP1 = ids[:, -logits_BPV.shape[1] :, None]
        nats_BP1 = -logits_BPV.log_softmax(-1).gather(-1, truth_BP1)
        if not self.squares:
            return nats_BP1.sum(1)
        partition_BP1 = logits_BPV.gather(-1, truth_BP1) + nats_BP1
        return torch.cat((nats_BP1.sum(1), partition_BP1.square().sum(1)), dim=1)

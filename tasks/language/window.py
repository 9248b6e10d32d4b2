"""An MLP over a window of symbols.

B = rows, L = symbols of a row, k = symbols of a window, P = L - k + 1 windows, V = symbols.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Window(nn.Module):
    """Logits [B, P, V] of the symbols after each window of k, of rows of symbols [B, L]; one hidden layer of ReLU."""

    def __init__(self, symbols: int, order: int, hidden: int):
        super().__init__()
        self.symbols, self.order = symbols, order
        self.first, self.last = nn.Linear(order * symbols, hidden), nn.Linear(hidden, symbols)

    def forward(self, ids_BL: Tensor) -> Tensor:
        hot_BPK = functional.one_hot(ids_BL.unfold(1, self.order, 1), self.symbols).flatten(2)
        logits_BPV: Tensor = self.last(self.first(hot_BPK.to(self.first.weight.dtype)).relu())
        return logits_BPV

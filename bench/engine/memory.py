"""What members take of a device's memory, from the model and the optimizer alone."""

from __future__ import annotations

from functools import cache

from bench.contract import Cell, Task
from bench.engine import averaging, optim

SHARE = 0.75
"""Of the memory, for members; the rest is for data, and for the one forward and backward there is at a time."""


def fits(task: Task, cell: Cell, memory: float) -> int:
    """Members of a cohort like this cell's that so many bytes hold, 1 at least."""
    return max(1, int(SHARE * memory / of_member(task, cell.optimizer, cell.averaging)))


def of_member(task: Task, optimizer: str, average: str = "none") -> float:
    """Bytes of a member: weights, gradients, what the optimizer keeps and an average, in float32."""
    weights, others = _counts(task)
    copies = 2 + _slots(optimizer) + (0 if average == "none" else getattr(averaging.parse(average), "k", 1))
    return 4.0 * (weights * copies + others)


@cache
def _counts(task: Task) -> tuple[int, int]:
    """Numbers in a model that are trained, and that are not."""
    model = task.model()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trained, sum(t.numel() for t in (*model.parameters(), *model.buffers())) - trained


@cache
def _slots(optimizer: str) -> int:
    """Tensors that an optimizer keeps of each weight, seen on a small one."""
    import torch

    weight = torch.nn.Linear(3, 2, bias=False)
    built = optim.parse(optimizer).build(weight, 0.0)
    weight(torch.ones(1, 3)).sum().backward()
    built.step(lambda: torch.ones(()))  # type: ignore[arg-type, return-value]  # MoMo asks for the loss, a tensor
    kept = built.state[weight.weight].values()
    return sum(isinstance(value, torch.Tensor) and value.shape == weight.weight.shape for value in kept)

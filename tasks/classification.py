"""Training and evaluation of classifiers: cross-entropy, accuracy, and the majority class as the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contract import Baseline, Data, Task

if TYPE_CHECKING:
    from torch import Tensor


def task(**settings: Any) -> Task:
    """A task scored by accuracy and trained by SGD with momentum 0.9; `settings` are fields of `Task` and win."""
    usual: dict[str, Any] = {
        "metric": "accuracy",
        "direction": "max",
        "optimizer": "sgd(momentum=0.9)",
        "weight_decay": 0.0,
        "loss": loss,
        "score": score,
        "baseline": majority,
    }
    return Task(**usual | settings)


def loss(logits_BK: Tensor, target: Sequence[Tensor]) -> Tensor:
    """Mean cross-entropy in nats of logits [B, K] against labels [B]."""
    from torch.nn import functional

    return functional.cross_entropy(logits_BK, target[0])


def score(logits_NK: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """Accuracy in [0, 1] and mean cross-entropy in nats."""
    hits = logits_NK.argmax(1) == target[0]
    return {"accuracy": hits.double().mean().item(), "loss": loss(logits_NK.double(), target).item()}


def majority(data: Data) -> Baseline:
    """Accuracy on the test split of a constant answer: the most frequent label of the train split."""
    label = np.bincount(data.train.target[0]).argmax()
    return Baseline("majority class", float(np.mean(data.test.target[0] == label)))

"""Scores of the user's own data, whose classes may be of unequal size, and its task settings.

The headline of classes is their balanced accuracy: the mean over classes of the share that is recognized (recall),
which is the accuracy where all classes are of one size, and 1 / K for a constant answer, whatever their sizes. Classes
without an example in a split don't count there. Accuracy and macro-F1 are recorded, too.

K = classes, N = examples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contract import Array, Baseline, Data, InputError, Margin, Task
from bench.metrics import METRICS
from schedules.spec import choose
from tasks import classification
from tasks.own.splits import RULE, Labelled

if TYPE_CHECKING:
    from torch import Tensor

HEADLINE = "balanced_accuracy"
MARGIN = 0.01
MARGIN_REASON = "one hundredth, the default for data of one's own"


def balanced_accuracy(answers: Array, labels: Array) -> float:
    """Mean recall over the classes that occur in `labels`, in [0, 1]; both [N]."""
    return float(np.mean([np.mean(answers[labels == label] == label) for label in np.unique(labels)]))


def macro_f1(answers: Array, labels: Array) -> float:
    """Mean over the classes that occur in `labels` of F1 = 2 TP / (2 TP + FP + FN), in [0, 1]; both [N]."""
    classes = np.unique(labels)
    hits = [np.sum((answers == label) & (labels == label)) for label in classes]
    sizes = [np.sum(answers == label) + np.sum(labels == label) for label in classes]
    return float(np.mean([2 * hit / size for hit, size in zip(hits, sizes, strict=True)]))


def accuracy(answers: Array, labels: Array) -> float:
    """Share of the examples that are recognized, in [0, 1]."""
    return float(np.mean(answers == labels))


CHOICES: dict[str, Callable[[Array, Array], float]] = {
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "accuracy": accuracy,
}


def score(logits_NK: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """Balanced accuracy, macro-F1 and accuracy in [0, 1], and mean cross-entropy in nats."""
    answers, labels = logits_NK.argmax(1).numpy(), target[0].numpy()
    values = {name: value(answers, labels) for name, value in CHOICES.items()}
    return values | {"loss": classification.loss(logits_NK.double(), target).item()}


def majority(metric: str, read: Callable[[], Labelled], data: Data) -> Baseline:
    """The metric on the test split of a constant answer, the most frequent class of the train split, which it names."""
    times = np.bincount(data.train.target[0])
    label, labels = int(times.argmax()), data.test.target[0]
    name = f"the majority class, {read().names[label]} ({times[label] / times.sum():.0%} of train)"
    return Baseline(name, CHOICES[metric](np.full(len(labels), label), labels))


def classes_task(
    *, kind: str, place: str, metric: str, margin: float, read: Callable[[], Labelled], **more: Any
) -> Task:
    """A task that classifies the user's own examples; `more` are fields of `Task`.

    Raises:
        InputError: no such metric, or a margin that is no positive number.
    """
    choose(metric, CHOICES, f"metric of {kind}")
    return classification.task(
        source=source(place),
        metric=metric,
        direction=METRICS[metric].direction,
        score=score,
        baseline=partial(majority, metric, read),
        chance="the majority class: the baseline, which names it",
        margin=margin_of(kind, margin),
        outside=True,
        classes=lambda: read().names,
        **{"load": lambda: read().data} | more,
    )


def source(place: str) -> str:
    """A task's `source`, in words."""
    return f"{place.removesuffix(':')} (licence not known); {RULE}"


def margin_of(kind: str, margin: float) -> Margin:
    """The margin that the user gives, or the default one.

    Raises:
        InputError: it is no number above 0.
    """
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin < float("inf"):
        raise InputError(f"{kind}: margin is the smallest difference worth having, a number above 0, not {margin!r}")
    return Margin(float(margin), MARGIN_REASON if margin == MARGIN else "as given by margin=")

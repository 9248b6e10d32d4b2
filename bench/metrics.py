"""The metrics of our tasks: the one list from which directions and intervals derive. A task may have another one."""

from __future__ import annotations

from typing import NamedTuple

from bench.contract import Direction


class MetricFacts(NamedTuple):
    """Properties of a metric, whatever the task."""

    direction: Direction
    share: bool = False  # a share of the test examples, so it comes in steps of 1 / n


METRICS: dict[str, MetricFacts] = {
    "accuracy": MetricFacts("max", share=True),
    "balanced_accuracy": MetricFacts("max"),  # mean recall over classes
    "f1": MetricFacts("max"),
    "macro_f1": MetricFacts("max"),
    "matthews": MetricFacts("max"),
    "pearson": MetricFacts("max"),
    "spearman": MetricFacts("max"),
    "map": MetricFacts("max"),  # over IoU thresholds of 0.5 to 0.95
    "map50": MetricFacts("max"),
    "wer": MetricFacts("min"),
    "mse": MetricFacts("min"),
    "excess": MetricFacts("min"),
    "excess_bits": MetricFacts("min"),  # per symbol, above the entropy of the source
    "bits_per_byte": MetricFacts("min"),
    "loss": MetricFacts("min"),
    "val_loss": MetricFacts("min"),
}

"""Agreement of two rows of numbers: Pearson's correlation, and Matthews's and Spearman's, which are Pearson's."""

from __future__ import annotations

import numpy as np

from bench.contract import Array


def pearson(one: Array, other: Array) -> float:
    """Correlation in [-1, 1] of two rows of numbers; 0 where one of them is constant.

    Of rows of zeros and ones this is Matthews's correlation (1975), of rows of ranks Spearman's (1904).
    """
    both = np.stack((one, other)).astype(np.float64)
    deviations = both - both.mean(1, keepdims=True)
    size = np.sqrt(np.square(deviations).sum(1)).prod()
    return float(deviations[0] @ deviations[1] / size) if size else 0.0

"""Agreement of two rows of numbers: Pearson's correlation, of which Matthews's and Spearman's are special cases."""

from __future__ import annotations

import numpy as np

from bench.contract import Array


def pearson(one: Array, other: Array) -> float:
    """Correlation in [-1, 1] of two rows of numbers; 0 if one of them is constant.

    For rows of zeros and ones this is Matthews's correlation (1975), for rows of ranks Spearman's (1904).
    """
    both = np.stack((one, other)).astype(np.float64)
    deviations = both - both.mean(1, keepdims=True)
    size = np.sqrt(np.square(deviations).sum(1)).prod()
    return float(deviations[0] @ deviations[1] / size) if size else 0.0

"""stub until the branch stats is merged"""

import math


def decide(low, high, margin):
    if margin is not None and -margin < low and high < margin:
        return "equal"
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def seeds_to_decide(mean, deviation, margin):
    target = max(abs(mean), (margin or 0) - abs(mean))
    return max(2, math.ceil((2.8 * deviation / target) ** 2)) if target else 10_000

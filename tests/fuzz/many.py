"""Many cases: `python -m tests.fuzz.many CASES [SEED]` counts the outcomes by layout and prints each fault."""

import sys
import warnings
from collections import Counter

import datasets
import pytest

from tests.fuzz import judge, layouts


def main(count, seed=1):
    datasets.disable_progress_bars()
    warnings.simplefilter("error")  # as in the tests
    outcomes = Counter()
    with pytest.MonkeyPatch.context() as patch:
        layouts.expect(patch)
        for number in range(count):
            try:
                layout, _, outcome = judge.case(number, seed)
            except Exception as error:
                layout, outcome = judge.layout_of(number), "WRONG"
                print(" | ".join([type(error).__name__, str(error).strip()[:300], *error.__notes__]), flush=True)
            outcomes[layout, outcome] += 1
            if number % 1000 == 999:
                print(f"{number + 1} cases", file=sys.stderr, flush=True)
    for (layout, outcome), times in sorted(outcomes.items()):
        print(f"{layout:12} {outcome:28} {times:6}")
    for outcome in sorted({outcome for _, outcome in outcomes}):
        print(f"{'all':12} {outcome:28} {sum(n for (_, each), n in outcomes.items() if each == outcome):6}")
    return int("WRONG" in {outcome for _, outcome in outcomes})


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))

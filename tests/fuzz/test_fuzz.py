"""A net for the unknown: good trees of every layout, mutated at random, never give a traceback or a wrong value.

    python -m pytest tests/fuzz --cases 10000

reads as many more, goes on after a failure, and prints what came of them by layout.
"""

from collections import Counter

import pytest

from tests.fuzz import judge, layouts
from tests.fuzz.mutations import MUTATIONS

FIXED = 2 * len(MUTATIONS)
"""Cases in the fast tier."""


@pytest.fixture(scope="module", autouse=True)
def _expected():
    with pytest.MonkeyPatch.context() as patch:
        layouts.expect(patch)
        yield


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_a_good_tree_has_values(layout):
    assert judge.values(layouts.LAYOUTS[layout]).total() > 0


@pytest.mark.parametrize("number", range(FIXED))
def test_a_mutated_tree_is_the_same_or_refused_in_a_line_that_names_it(number):
    judge.case(number)


def test_as_many_more_cases_as_are_asked_for(request, capsys):
    count, seed = request.config.getoption("--cases", 0), request.config.getoption("--fuzz-seed", 0)
    if not count:
        pytest.skip("give --cases N")
    outcomes, wrong = Counter(), []
    for number in range(count):
        try:
            layout, _, outcome = judge.case(number, seed + 1)
        except Exception as error:
            layout, outcome = error.__notes__[0].split(": ")[1].split(",")[0], "WRONG"
            wrong.append(f"{type(error).__name__}: {str(error).strip()[:300]} ({'; '.join(error.__notes__)})")
        outcomes[layout, outcome] += 1
    with capsys.disabled():
        print()
        for (layout, outcome), times in sorted(outcomes.items()):
            print(f"{layout:12} {outcome:28} {times:6}")
        print("\n".join(wrong))
    assert not wrong, f"{len(wrong)} of {count} cases are wrong"

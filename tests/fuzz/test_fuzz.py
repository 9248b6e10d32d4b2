"""A net for the unknown: good trees of every layout, mutated at random, never give a traceback or a wrong value.

A few cases of each layout are tried here; `python -m tests.fuzz.many 10000` tries as many as one likes.
"""

import pytest

from tests.fuzz import judge, layouts

FIXED = 8
"""Cases of each layout in the fast tier."""


@pytest.fixture(scope="module", autouse=True)
def _expected():
    with pytest.MonkeyPatch.context() as patch:
        layouts.expect(patch)
        yield


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_a_good_tree_has_values(layout):
    assert judge.values(layouts.LAYOUTS[layout]).total() > 0


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_a_mutated_tree_is_the_same_or_refused_in_a_line_that_names_it(layout):
    for number in range(FIXED):
        judge.case(number, layout=layout)

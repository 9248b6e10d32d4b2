"""Cohorts packed into array tasks, and read back by them."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import InputError
from bench.plan import packing
from bench.plan.packing import Assigned, Load
from bench.runner.config import RunConfig, prepare


def loads(seconds):
    return [Load(f"{i:03d}", "digits", i, 4, it) for i, it in enumerate(seconds)]


def longest(shares):
    return max(sum(load.seconds for load in share) for share in shares)


def best(seconds, count):
    """The least time of the longest share, by trying all."""
    return min(
        max(sum(s for s, place in zip(seconds, places, strict=True) if place == i) for i in range(count))
        for places in itertools.product(range(count), repeat=len(seconds))
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=7), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_the_longest_share_is_within_the_bound_of_the_rule(seconds, count):
    shares = packing.pack(loads(seconds), count)
    assert longest(shares) <= (4 / 3 - 1 / (3 * count)) * best(seconds, count) + 1e-9


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_every_cohort_is_in_one_share_and_no_share_is_empty(seconds, count):
    given_loads = loads(seconds)
    shares = packing.pack(given_loads, count)
    assert sorted(load.id for share in shares for load in share) == [load.id for load in given_loads]
    assert all(shares)
    assert len(shares) <= count


def test_equal_loads_are_dealt_out_in_their_order():
    shares = packing.pack(loads([5.0] * 5), 2)
    assert [[load.id for load in share] for share in shares] == [["000", "002", "004"], ["001", "003"]]


def test_an_array_has_tasks_of_the_wished_length_within_its_limits():
    assert packing.size(loads([1000.0] * 9), 1800, 1000) == 5
    assert packing.size(loads([1.0] * 9), 1800, 1000) == 1
    assert packing.size(loads([9000.0] * 9), 1800, 1000) == 9  # a cohort is not split
    assert packing.size(loads([9000.0] * 90), 1800, 20) == 20


@pytest.fixture
def written(tmp_path):
    """(plan, file of its shares) of a plan of four cohorts in two array tasks."""
    plan = prepare(RunConfig(suite="smoke", tasks="linreg,quadratic", seeds=2)).plan
    path = tmp_path / "a: b.json"
    packing.save(path, plan, packing.pack([Load.of(c, 1.0) for c in plan.cohorts], 2))
    return plan, path


def test_the_array_tasks_of_a_file_make_the_whole_plan(written):
    plan, path = written
    parts = [Assigned(path, i).of(plan) for i in range(2)]
    assert sorted(c.id for part in parts for c in part.cohorts) == sorted(c.id for c in plan.cohorts)
    assert [len(part.cohorts) for part in parts] == [2, 2]


def test_a_file_of_another_plan_or_without_the_task_is_refused(written):
    plan, path = written
    other = prepare(RunConfig(suite="smoke", tasks="linreg", seeds=1)).plan
    with pytest.raises(InputError, match="another plan"):
        Assigned(path, 0).of(other)
    with pytest.raises(InputError, match=r"array tasks 0 \.\. 1, not 2"):
        Assigned(path, 2).of(plan)
    with pytest.raises(InputError, match="cannot read"):
        Assigned(path.with_name("none.json"), 0).of(plan)
    path.write_text("{}")
    with pytest.raises(InputError, match="no list of cohorts"):
        Assigned(path, 0).of(plan)

"""The A/A on real training, here on made-up ones: seeds are dealt out once, and nothing is found where nothing is."""

import random

import pytest

from tests.analysis.rows import ledger, task
from tests.analysis.same import LAYOUTS, NAMES, Layout, count


def rows(seeds, spread=0.01):
    def outcome(name, strategy, budget, peak_lr, seed):
        final = 0.9 - abs(peak_lr - 0.1) / 10 + spread * random.Random(f"{peak_lr}{seed}").gauss(0, 1)
        return final, final, final

    return ledger({"digits": task(("cosine",), (1.0,), seeds=seeds)}, outcome=outcome, tied=())


def test_the_seeds_of_one_schedule_are_dealt_out_to_names_and_tested():
    found = count(rows(80), Layout(1, 8), 10)
    assert (found.experiments, found.tests, found.pairs) == (20, 20 * 4, 20 * 4)
    assert found.significant <= 3
    assert 0 < found.clear < 12  # 5 % are expected


def test_several_tasks_make_one_experiment():
    found = count(rows(30), Layout(2, 3), 2)
    assert (found.experiments, found.tests, found.pairs) == (2, 2 * 4, 2 * 4 * 2)


def test_too_few_seeds_are_refused():
    with pytest.raises(ValueError, match="40 seeds or more"):
        count(rows(39), LAYOUTS[0], 1)
    assert LAYOUTS[0].size == len(NAMES) * 8

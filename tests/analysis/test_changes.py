"""Changes between two ledgers: the test of them swaps all runs of a seed, and chooses peak LRs again."""

from pathlib import Path

import numpy as np
import pytest

from bench.analysis import changes
from bench.analysis.stats.swaps import Curves, swap_test
from bench.analysis.stats.tests import sign_flip
from bench.ledger.deposit import deposit
from tests.analysis.rows import ledger, task

PEAKS, SEEDS = (0.05, 0.1, 0.2), 8


def noisy(draw):
    """Values of a side [split, L, N]."""
    control, final = 0.8 + 0.01 * draw.normal(size=(2, len(PEAKS), SEEDS))
    return np.array([control, final])


def held(directory: Path, values, peaks=PEAKS, seeds=SEEDS, **facts):
    def outcome(name, strategy, budget, peak_lr, seed):
        if strategy == "constant":
            return 0.8, 0.8, 0.8
        control, final = values[:, peaks.index(peak_lr), seed].tolist()
        return control, final, final

    facts = task(("constant", "cosine"), (1.0,), peak_lrs=peaks, seeds=seeds, **facts)
    deposit(directory, ledger({"digits": facts}, outcome, tied=()))
    return directory


@pytest.fixture
def sides(tmp_path):
    draw = np.random.default_rng(3)
    before, after = noisy(draw), noisy(draw)
    return before, after, held(tmp_path / "before", before), held(tmp_path / "after", after)


def test_runs_are_swapped_and_chosen_again(sides):
    before, after, *directories = sides
    (test,) = changes.read(*directories, []).tests
    both = np.stack([after, before], axis=1)[..., None]  # [split, side, L, N, B]
    by_hand = swap_test([Curves(both[0], both[1], np.ones(1))])
    assert (test.strategy, test.flip) == ("cosine", by_hand)
    (change,) = [c for c in changes.read(*directories, []).changes if c.strategy == "cosine"]
    signs = sign_flip([list(change.lead)])
    assert test.flip.effect == pytest.approx(signs.effect), "unswapped, it is what the table shows"
    assert test.flip.p != pytest.approx(signs.p)


def test_other_seeds_or_grids_are_tested_by_signs(sides, tmp_path):
    _, after, first, _ = sides
    fewer = held(tmp_path / "fewer", after, seeds=7)
    narrow = held(tmp_path / "narrow", after[:, :2], peaks=PEAKS[:2])
    for other in (fewer, narrow):
        read = changes.read(first, other, [])
        (change,) = [c for c in read.changes if c.strategy == "cosine"]
        assert [t.flip for t in read.tests] == [sign_flip([list(change.lead)])]


def test_what_one_ledger_ran_by_another_optimizer_is_another_strategy(sides, tmp_path):
    _, after, first, _ = sides
    adamw = held(tmp_path / "adamw", after, optimizer="adamw")
    read = changes.read(first, adamw, [])
    assert read.changes == []
    assert read.second.comparison.study.strategies == ("constant with adamw", "cosine with adamw")

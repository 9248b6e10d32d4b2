"""Widening of grids, on ledgers whose best peak LR is known."""

import pytest

from bench.analysis.comparison import Comparison
from bench.analysis.protocol import tuning
from bench.analysis.results import Study
from bench.contract import InputError
from bench.plan import Grid, Suite
from bench.runner.rounds import Round, StoppingRule
from tests.analysis.rows import ledger, task

TWO = ("constant", "linear")
SGD = "sgd(momentum=0.9)"
GRID = (0.1, 0.2, 0.4)


def peaked(**best):
    """What cells reach where each strategy has its best peak LR, and diverges from `wild` on."""

    def outcome(name, strategy, budget, peak_lr, seed):
        middle, wild = best[strategy] if isinstance(best[strategy], tuple) else (best[strategy], 1e9)
        value = 0.9 - 0.1 * abs(peak_lr - middle) + 0.001 * seed
        return None if peak_lr >= wild else (value, value, value)

    return outcome


def compared(outcome, peak_lrs=GRID, budgets=(0.5, 1.0), rows=()):
    facts = task(TWO, budgets, peak_lrs, seeds=2)
    return Comparison(Study.of([*ledger({"digits": facts}, outcome, tied=()), *rows]))


def texts(comparison):
    return [choice.text for choice in tuning.edge_choices(comparison)]


def after(outcome, tune=4, peak_lrs=GRID, widenings=0, rows=()):
    grid = Grid(task="digits", schedules=TWO, peak_lrs=peak_lrs, optimizer=SGD, seeds=2)
    current = Round(Suite("synthetic", (grid,)), 1 + widenings, widenings)
    return StoppingRule(tune).after(current, compared(outcome, peak_lrs, rows=rows))


@pytest.mark.parametrize(
    ("best", "lines", "grid"),
    [
        ({"constant": 0.2, "linear": 0.2}, [], None),
        ({"constant": 0.2, "linear": 9.0}, ["digits: linear at the high edge (0.4)"], (0.1, 0.2, 0.4, 0.8)),
        ({"constant": 0.01, "linear": 0.2}, ["digits: constant at the low edge (0.1)"], (0.05, 0.1, 0.2, 0.4)),
        (
            {"constant": 0.01, "linear": 9.0},
            ["digits: constant at the low edge (0.1)", "digits: linear at the high edge (0.4)"],
            (0.05, 0.1, 0.2, 0.4, 0.8),
        ),
    ],
)
def test_the_ends_at_which_a_choice_lies_are_widened_for_all(best, lines, grid):
    assert texts(compared(peaked(**best))) == lines
    following = after(peaked(**best)).following
    assert (following and following.suite.grids[0].peak_lrs) == grid


def test_one_budget_of_several_is_enough():
    def outcome(name, strategy, budget, peak_lr, seed):
        return peaked(constant=9.0 if budget == 0.5 else 0.2, linear=0.2)(name, strategy, budget, peak_lr, seed)

    assert texts(compared(outcome)) == ["digits: constant at the high edge (0.4)"]


def test_the_cap_ends_it_and_names_what_still_lies_at_an_edge():
    wild = peaked(constant=0.2, linear=9.0)
    assert after(wild, tune=2, widenings=1).following.widenings == 2
    assert after(wild, tune=2, widenings=2) == (
        None,
        ("not settled by --tune 2: digits: linear at the high edge (0.4)",),
    )
    assert after(peaked(constant=0.2, linear=0.2)) == (None, ("tuned: every choice of a peak LR lies inside its grid",))


def test_of_equal_peak_lrs_the_lowest_is_the_choice():
    def level(name, strategy, budget, peak_lr, seed):
        value = 0.5 if peak_lr == 0.1 and strategy == "linear" else 0.9
        return value, value, value

    assert texts(compared(level)) == ["digits: constant at the low edge (0.1)"]


def test_a_peak_lr_at_which_a_seed_diverged_is_no_choice():
    assert texts(compared(peaked(constant=(9.0, 0.4), linear=0.2))) == []
    everywhere = peaked(constant=(9.0, 0.05), linear=0.2)
    assert texts(compared(everywhere)) == ["digits: constant at the low edge (0.1)"]


def test_a_single_peak_lr_lies_at_both_edges():
    grid = after(peaked(constant=0.2, linear=0.2), peak_lrs=(0.2,)).following.suite.grids[0]
    assert grid.peak_lrs == (0.1, 0.2, 0.4)


def test_another_optimizer_keeps_its_grid():
    others = []
    for row in ledger({"digits": task(TWO, (0.5, 1.0), (1e-3, 2e-3, 4e-3), 2)}, peaked(constant=9, linear=9), tied=()):
        if row.kind == "cell":
            payload = row.payload | {"optimizer": "adam", "cell": row.key + "/adam", "cohort": "other"}
            others.append(row._replace(key=row.key + "/adam", payload=payload))
    comparison = compared(peaked(constant=0.2, linear=0.2), rows=others)
    choices = tuning.edge_choices(comparison)
    assert [(c.optimizer, c.side, c.ends) for c in choices] == [("adam", "high", (0.004,))]
    sgd = Grid(task="digits", schedules=TWO, peak_lrs=GRID, optimizer=SGD)
    adam = Grid(task="digits", schedules=TWO, peak_lrs=(1e-3, 2e-3, 4e-3), optimizer="adam")
    assert [g.peak_lrs for g in tuning.widen((sgd, adam), choices)] == [GRID, (1e-3, 2e-3, 4e-3, 8e-3)]
    (reason,) = StoppingRule(4).after(Round(Suite("both", (sgd, adam))), comparison).following.reasons
    names = "constant with adam, linear with adam"
    assert reason == f"round 2: digits: {names} at the high edge (0.004): adding 0.008 for all strategies with adam"


def test_a_strategy_in_two_grids_with_other_peak_lrs_is_refused():
    one = Grid(task="digits", schedules=TWO, peak_lrs=GRID, optimizer=SGD, weight_decay=0.0)
    other = Grid(task="digits", schedules=("linear",), peak_lrs=(0.8,), optimizer=SGD, weight_decay=0.0)
    with pytest.raises(InputError, match=r"^tuning digits: linear stands in two grids with other peak LRs"):
        tuning.explicit((one, other), {"digits": None})

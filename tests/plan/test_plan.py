"""From a suite to cells, cohorts and shards; and the trie optimum against the plainest count of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schedules
from bench.contract import Baseline, Data, InputError, Setting, Split, Task
from bench.plan import Grid, Suite
from bench.plan.forecast import Forecast
from bench.plan.plan import build, optimum, updates


def toy(name="toy", train=40, **changes):
    def load():
        def split(n):
            return Split((np.zeros((n, 2), np.float32),), (np.zeros(n, np.int64),))

        return Data(split(train), split(4), split(4))

    settings = {
        "name": name,
        "family": "image",
        "source": "",
        "batch_size": 4,
        "epochs": 10,
        "metric": "accuracy",
        "direction": "max",
        "optimizer": "sgd",
        "weight_decay": 0.0,
        "peak_lrs": (0.1, 0.3),
        "layers": "mlp",
        "load": load,
        "model": None,
        "loss": None,
        "score": None,
        "baseline": lambda data: Baseline("none", 0.0),
    }
    return Task(**(settings | changes))


def planned(*grids, width=512):
    tasks = {g.task: toy(g.task) for g in grids}
    return build(Suite("s", grids), tasks, lambda task, optimizer, cells: "modules", width=width)


def test_cells_are_the_cross_of_everything():
    plan = planned(Grid(task="a", schedules=("cosine", "rex"), budgets=(0.5, 1.0), seeds=3))
    assert len(plan.cells) == 2 * 2 * 2 * 3
    assert len({c.id for c in plan.cells}) == 24
    assert [len({(c.task, c.optimizer, c.seed) for c in cohort.cells}) for cohort in plan.cohorts] == [1, 1, 1]


def test_a_budget_is_rounded_to_updates_and_never_to_none():
    assert [updates(10, b, 10) for b in (1.0, 0.25, 0.333, 1e-9)] == [100, 25, 33, 1]


def test_budgets_of_the_same_updates_are_merged_and_said_so():
    plan = planned(Grid(task="a", schedules=("rex",), budgets=(0.5, 0.501), seeds=1))
    assert {c.total for c in plan.cells} == {50}
    assert len(plan.cells) == 2
    assert plan.notes == ("a: budget 0.5 is 50 updates, as 0.501 is: merged",)


def test_a_wide_cohort_is_split_by_peak_lr_and_said_so():
    plan = planned(Grid(task="a", schedules=("rex", "cosine"), budgets=(0.5, 1.0), seeds=1), width=4)
    assert [{c.peak_lr for c in cohort.cells} for cohort in plan.cohorts] == [{0.1}, {0.3}]
    assert "split by peak LR into 2 cohorts" in plan.notes[0]


def test_a_plan_is_cut_until_each_worker_has_a_cohort_and_what_that_costs_is_said():
    plan = planned(Grid(task="toy", schedules=("constant", "cosine"), peak_lrs=(0.1, 0.2), budgets=(1.0,), seeds=2))
    forecast = Forecast(plan, {"toy": toy()}, {text: schedules.parse(text) for text in ("constant", "cosine")})
    assert forecast.idle_note(2) == ""
    assert plan.cut_for(3)[0] == 2
    looks = [sum(forecast.looks(cohort.cells) for cohort in each.cohorts) for each in (plan, plan.cut_for(3)[1])]
    share = f"{looks[1] / looks[0] - 1:.1%}"
    assert forecast.idle_note(3) == (
        f"3 workers share 2 cohorts, which leaves 1 idle: a new run with --width 2 has 4, for {share} more looks"
    )
    lone = Forecast(plan.cut(1), forecast.tasks, forecast.schedules)
    assert lone.idle_note(9) == "9 workers share 8 cohorts, which leaves 1 idle: each cohort is of one cell"


def test_shards_are_disjoint_and_complete():
    plan = planned(Grid(task="a", schedules=("rex",), seeds=5))
    shards = [plan.shard(i, 3) for i in range(3)]
    assert sorted(c.id for s in shards for c in s.cohorts) == sorted(c.id for c in plan.cohorts)
    with pytest.raises(InputError, match=r"shard 3/3: the shard should lie in 0 .. 2"):
        plan.shard(3, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budgets": (0.0,)}, "budget 0.0"),
        ({"budgets": (-1.0,)}, "budget -1.0"),
        ({"budgets": (math.nan,)}, "budget nan"),
        ({"budgets": (math.inf,)}, "budget inf"),
        ({"budgets": ()}, "at least one"),
        ({"seeds": 0}, "seeds 0"),
        ({"seeds": 1.5}, "seeds 1.5"),
        ({"peak_lrs": (0.0,)}, "peak LR 0.0"),
        ({"peak_lrs": (math.nan,)}, "peak LR nan"),
        ({"weight_decay": -1.0}, "weight decay -1.0"),
        ({"schedules": ()}, "at least one"),
    ],
)
def test_settings_that_mean_nothing_are_refused_in_one_line(change, words):
    with pytest.raises(InputError, match=words) as caught:
        planned(Grid(**({"task": "a", "schedules": ("rex",)} | change)))
    assert "\n" not in str(caught.value)


def test_a_cell_named_twice_is_refused():
    grid = Grid(task="a", schedules=("rex",))
    with pytest.raises(InputError, match="names a cell of task a twice"):
        planned(grid, grid)


def test_identity_depends_on_every_setting_and_on_the_data():
    base = planned(Grid(task="a", schedules=("rex",), budgets=(1.0,), peak_lrs=(0.1,), seeds=1))
    variants = [
        planned(Grid(task="b", schedules=("rex",), budgets=(1.0,), peak_lrs=(0.1,), seeds=1)),
        planned(Grid(task="a", schedules=("cosine",), budgets=(1.0,), peak_lrs=(0.1,), seeds=1)),
        planned(Grid(task="a", schedules=("rex",), budgets=(0.9,), peak_lrs=(0.1,), seeds=1)),
        planned(Grid(task="a", schedules=("rex",), budgets=(1.0,), peak_lrs=(0.2,), seeds=1)),
        planned(Grid(task="a", schedules=("rex",), budgets=(1.0,), peak_lrs=(0.1,), seeds=1, weight_decay=0.1)),
        planned(Grid(task="a", schedules=("rex",), budgets=(1.0,), peak_lrs=(0.1,), seeds=1, optimizer="adamw")),
    ]
    assert len({p.cells[0].id for p in [base, *variants]}) == 7
    assert base.id == planned(Grid(task="a", schedules=("rex",), budgets=(1.0,), peak_lrs=(0.1,), seeds=1)).id


def plainly(traces, peaks):
    """Distinct prefixes of lengths 0 to T-1, counted as a set of tuples."""
    lines = [[(p * s.factor, s.momentum) for s in t] for t, p in zip(traces, peaks, strict=True)]
    return len({tuple(line[:k]) for line in lines for k in range(len(line))})


settings = st.builds(Setting, st.sampled_from([1.0, 0.5, 0.1]), st.sampled_from([None, 0.0, 0.9]))
cells = st.tuples(st.lists(settings, min_size=1, max_size=6), st.sampled_from([0.1, 1.0]))


@given(st.lists(cells, min_size=1, max_size=12))
def test_the_optimum_is_the_number_of_distinct_prefixes(lines):
    traces, peaks = zip(*lines, strict=True)
    assert optimum(traces, peaks) == plainly(traces, peaks)


def test_constant_at_every_budget_is_one_training():
    assert optimum([[Setting(1.0)] * t for t in (1, 5, 10, 25, 50, 100)], [0.1] * 6) == 100

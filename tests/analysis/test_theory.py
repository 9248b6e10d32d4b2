"""The convex last-iterate bound against its closed forms, the formula as written, and a ledger with a known order."""

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schedules
from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.analysis.stats.correlation import kendall, order
from bench.analysis.textbook.theory import POINTS, TIE, Bound, Theory, _of_text, bound, noise_ceiling, reach
from bench.report.textbook import theory as predicted
from schedules.schedule import factors
from tests.analysis.rows import ledger, task


def harmonic(n):
    return math.fsum(1 / i for i in range(1, n + 1))


def as_written(eta, norms, d, gamma):
    """Omega_T(gamma), sum by sum, 1-indexed as in the paper: O(T^2)."""
    total = len(eta)

    def rates(k):
        return math.fsum(eta[s - 1] for s in range(k, total + 1))

    def squares(k):
        return math.fsum(eta[s - 1] ** 2 * norms[s - 1] ** 2 for s in range(k, total + 1))

    third = math.fsum(eta[k - 1] / rates(k + 1) * squares(k) / rates(k) for k in range(1, total))
    return d**2 / (2 * gamma * rates(1)) + gamma / 2 * (squares(1) / rates(1) + third)


def trace(text, total):
    return [s.factor for s in factors(schedules.parse(text), total, 1, 0.1)]


@pytest.mark.parametrize("total", [1, 2, 3, 10, 1000])
def test_a_constant_rate_has_the_harmonic_closed_form(total):
    it = bound([1.0] * total, [3.0] * total, d=2.0)
    assert it.start == pytest.approx(2.0**2 / (2 * total), rel=1e-14)
    assert it.noise == pytest.approx(3.0**2 / 2 * (1 + harmonic(total - 1)), rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(1e-3, 1.0), min_size=1, max_size=30),
    st.floats(0.1, 10.0),
    st.floats(1e-3, 1e3),
    st.randoms(use_true_random=False),
)
def test_the_sums_from_the_end_equal_the_formula_as_written(eta, d, gamma, random):
    norms = [random.uniform(0.1, 5) for _ in eta]
    assert bound(eta, norms, d).at(gamma) == pytest.approx(as_written(eta, norms, d, gamma), rel=1e-11)


@pytest.mark.parametrize("text", ["cosine", "rex", "wsd", "step", "warmup(linear, fraction=0.1)", "onecycle"])
def test_every_schedule_has_the_bound_of_its_factors(text):
    eta = trace(text, 60)
    assert bound(eta).at(0.3) == pytest.approx(as_written(eta, [1.0] * 60, 1.0, 0.3), rel=1e-12)


@pytest.mark.parametrize("total", [20, 50, 100, 200, 400, 1000, 4000])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_wsd_stays_below_the_closed_form_of_theorem_9(total, share):
    start = round(total * (1 - share)) + 1  # T_0, 1-indexed: the update from which the rate falls
    eta = [1.0 if t < start else (total + 1 - t) / (total + 1 - start) for t in range(1, total + 1)]
    t, t0 = total, start
    inside = (
        2 / 3
        + (t + 2 * t0) / (3 * (t + t0))
        + harmonic(t + t0 - 2)
        - harmonic(t - t0 + 1)
        - (t - t0) * (t0 - 1) / (3 * (t - t0 + 2) * (t + t0))
        + 1 / (t - t0) ** 2
        + harmonic(t - t0 - 1) / (t - t0 + 1)
    )
    limit = math.sqrt(4 / (t + t0) * inside)
    assert bound(eta).best <= limit
    assert limit < 1.5 * bound(eta).best  # and it is not met by being far off


def test_our_wsd_is_the_schedule_of_theorem_9():
    eta = [1.0 if t < 81 else (101 - t) / 20 for t in range(1, 101)]
    assert trace("wsd(cooldown=0.2)", 100) == pytest.approx(eta, abs=1e-12)


def test_the_best_peak_lr_is_where_the_bound_is_lowest():
    it = bound(trace("cosine", 200))
    assert it.at(it.gamma) == pytest.approx(it.best, rel=1e-14)
    assert all(it.at(it.gamma * by) > it.best for by in (0.5, 0.9, 1.1, 2.0))
    assert Bound(8.0, 2.0) == (8.0, 2.0)
    assert (Bound(8.0, 2.0).gamma, Bound(8.0, 2.0).best) == (2.0, 8.0)


def test_zeros_at_the_end_are_left_out_and_zeros_within_are_not():
    assert bound([1.0, 0.5, 0.0, 0.0]) == bound([1.0, 0.5])
    assert bound([1.0, 0.0, 0.5]).at(0.7) == pytest.approx(as_written([1.0, 0.0, 0.5], [1.0] * 3, 1.0, 0.7))


@pytest.mark.parametrize(("eta", "norms"), [([], None), ([0.0, 0.0], None), ([1.0, -0.1], None), ([1.0], [1.0, 2.0])])
def test_what_is_no_schedule_is_refused(eta, norms):
    with pytest.raises(ValueError, match="factors"):
        bound(eta, norms)


FOUR = ("constant", "cosine", "linear", "wsd(cooldown=0.2)")


def agreement(order, strategies=FOUR, **more):
    """Theory for a ledger in which strategies end in the order given, the same for every seed."""

    def outcome(name, strategy, budget, peak_lr, seed):
        place = order.index(strategy) if strategy in order else len(order)
        return (v := 0.9 - 0.01 * place + 0.001 * seed), v, v

    rows = ledger({"digits": task(strategies, (1.0,), **more)}, outcome, tied=())
    return Theory(Comparison(Study.of(rows)))


def test_a_ledger_in_the_predicted_order_correlates_perfectly():
    predicted = sorted(FOUR, key=lambda text: bound(trace(text, 600)).best)
    assert predicted[-1] == "constant"  # by a factor of log T: the theory's own headline
    found = agreement(predicted).agreements["digits", 1.0]
    assert [line.strategy for line in found.lines] == predicted
    assert [line.measured for line in found.lines] == [1, 2, 3, 4]
    assert (found.tau.mean, found.tau.half, found.tau.n) == (1.0, 0.0, 3)
    turned = agreement(predicted[::-1]).agreements["digits", 1.0]
    assert turned.tau.mean == -1.0


def test_a_constant_rate_wants_a_lower_peak_than_a_decay():
    lines = {line.strategy: line for line in agreement(FOUR).agreements["digits", 1.0].lines}
    assert lines["constant"].peak_lr < lines["wsd(cooldown=0.2)"].peak_lr < lines["linear"].peak_lr
    assert math.prod(line.peak_lr for line in lines.values()) == pytest.approx(1.0)


def test_what_reacts_or_is_not_known_here_has_no_prediction_and_is_named():
    found = agreement(FOUR, (*FOUR, "plateau(patience=2)", "their own")).agreements["digits", 1.0]
    assert found.left_out == ("plateau(patience=2)", "their own")
    assert agreement(FOUR, ("cosine", "plateau(patience=2)")).agreements == {}


def test_a_task_counts_once_however_many_budgets_it_has():
    def outcome(name, strategy, budget, peak_lr, seed):
        place = FOUR.index(strategy) if name == "digits" else -FOUR.index(strategy)
        return (v := 0.9 - 0.01 * place), v, v

    tasks = {"digits": task(FOUR, (0.25, 0.5, 1.0)), "vowels": task(FOUR, (1.0,))}
    theory = Theory(Comparison(Study.of(ledger(tasks, outcome, tied=()))))
    over, _ = theory.over_tasks()
    assert over.n == 2
    assert [theory.over_tasks(b)[0].n for b in (0.25, 0.5, 1.0)] == [1, 1, 2]
    assert theory.over_tasks(0.1) is None
    assert len(theory.agreements) == 4


def test_tau_is_said_at_each_budget():
    def outcome(name, strategy, budget, peak_lr, seed):
        place = FOUR.index(strategy) * (1 if budget == 1.0 else -1)
        return (v := 0.9 - 0.01 * place), v, v

    it = Comparison(Study.of(ledger({name: task(FOUR, (0.25, 1.0)) for name in "ab"}, outcome, tied=())))
    low, high = (Theory(it).over_tasks(b)[0].mean for b in (0.25, 1.0))
    assert low == -high != 0
    sentence = next(iter(predicted.section(it)))
    assert "at 25 % (2 tasks); " in sentence
    assert "of 1 at 100 % (2 tasks)." in sentence


def test_the_noise_ceiling_holds_the_tau_of_the_true_order():
    """Ranks of noisy values: the tau of the true order with a seed's lies between the two estimates, on average."""
    draw, told, n = np.random.default_rng(0), order(range(8)), 40
    ends, truth = [], []
    for _ in range(n):
        values_NK = np.arange(8.0) + 2 * draw.standard_normal((5, 8))
        costs_NK = [np.argsort(np.argsort(values_K)) + 1.0 for values_K in values_NK]
        ends.append(noise_ceiling(told, costs_NK))
        truth.append(sum(kendall(range(8), costs_K) for costs_K in costs_NK) / 5)
    low, high = np.mean(ends, axis=0)
    assert low < np.mean(truth) < high
    assert high - low < 0.25


def test_noise_alone_has_no_ceiling_to_speak_of_and_one_seed_has_none():
    draw = np.random.default_rng(0)
    lows = [noise_ceiling(order(range(6)), [draw.permutation(6) + 1 for _ in range(8)])[0] for _ in range(50)]
    assert abs(np.mean(lows)) < 0.05
    assert noise_ceiling(order(range(6)), [range(1, 7)]) is None


def test_pairs_that_theory_hardly_tells_apart_tie():
    near = order([1.0, 1.0 + TIE / 2, 1.5], TIE)
    assert (near[0, 1], near[0, 2], near[2, 1]) == (0, -1, 1)
    assert noise_ceiling(near, [[1, 2, 3]] * 2)[0] == pytest.approx(math.sqrt(2 / 3))  # of 3 pairs told, 2 can be had


def test_a_bound_is_of_the_schedule_alone_under_the_usual_optimizer():
    rows = ledger({"digits": task(FOUR, (1.0,))}, tied=())
    for row in [r for r in rows if r.kind == "cell" and r.payload["schedule"] == "constant"]:
        other = row.payload | {"optimizer": "prodigy", "segment": 99}
        averaged = row.payload | {"averaging": "ema(decay=0.99)", "segment": 98}
        for changed in (other, averaged):
            rows.append(row._replace(key=f"{row.key}{changed['segment']}", payload=changed))
    found = Theory(Comparison(Study.of(rows))).agreements["digits", 1.0]
    assert found.left_out == ("constant with ema(decay=0.99)", "constant with prodigy")
    assert {line.strategy.partition(" with ")[0] for line in found.lines} == set(FOUR)


@pytest.mark.parametrize("text", ["wsd(cooldown=0.2)", "warmup(cosine, fraction=0.1)", "step(every=7, gamma=0.5)"])
def test_factors_of_a_long_schedule_are_drawn_densely_enough(text):
    total = 3 * POINTS
    assert _of_text(text, total, 1000, 0.1).best == pytest.approx(bound(factors_of(text, total, 1000)).best, rel=1e-3)


def factors_of(text, total, epoch_steps):
    return [s.factor for s in factors(schedules.parse(text), total, epoch_steps, 0.1)]


def test_the_report_says_the_correlation_and_what_has_no_prediction(tmp_path):
    def outcome(name, strategy, budget, peak_lr, seed):
        place = FOUR.index(strategy) if strategy in FOUR else 9
        return (v := 0.9 - 0.01 * place + 0.001 * seed), v, v

    rows = ledger({name: task((*FOUR, "plateau(patience=2)"), (1.0,)) for name in "ab"}, outcome, tied=())
    it = Comparison(Study.of(rows))
    sentence, about, taus, *tables = predicted.section(it)
    expected, ceiling = Theory(it).over_tasks()
    assert ceiling == (1.0, 1.0)  # all seeds have one order
    assert "the true order would reach 1." in sentence
    assert expected.half == 0  # both tasks have one tau, which says nothing of its width
    assert f"{expected.mean:.2g} on average over 2 tasks, without an interval".replace("-", "−") in sentence
    assert "Nothing is fitted" in about
    assert [row[0].text for row in taus.rows] == ["a", "b"]
    assert tables == []
    assert taus.notes[-1] == "Without a bound: plateau(patience=2)."
    lines = list(csv.DictReader(io.StringIO(predicted.theory_csv(it))))
    assert {(line["task"], line["strategy"]) for line in lines} == {(t, s) for t in "ab" for s in FOUR}
    assert sorted(float(line["predicted_rank"]) for line in lines[:4]) == [1, 2, 3, 4]
    assert {(line["ceiling_low"], line["ceiling_high"]) for line in lines} == {("1.0", "1.0")}


def test_an_interval_of_a_correlation_lies_within_its_range(tmp_path):
    """Two seeds with opposite orders: the t interval is 0 ± 13, which no correlation can be."""

    def outcome(name, strategy, budget, peak_lr, seed):
        place = FOUR.index(strategy) * (1 if seed else -1)
        return (v := 0.9 - 0.01 * place), v, v

    it = Comparison(Study.of(ledger({"a": task(FOUR, (1.0,), seeds=2)}, outcome, tied=())))
    (tau,) = (found.tau for found in Theory(it).agreements.values())
    assert tau.half > 1
    assert reach(tau) == (-1.0, 1.0)
    _, _, taus, *_ = predicted.section(it)
    assert taus.rows[0][1].text.endswith("(−1 to 1)")
    line = next(csv.DictReader(io.StringIO(predicted.theory_csv(it))))
    assert (float(line["tau_low"]), float(line["tau_high"])) == (-1.0, 1.0)


def test_too_few_strategies_have_no_order_and_the_report_says_so():
    it = Comparison(Study.of(ledger({"digits": task(("constant", "cosine"), (1.0,))}, tied=())))
    assert list(predicted.section(it)) == [
        "No task has three strategies with a bound and a rank at one budget, so there is no order to compare."
    ]

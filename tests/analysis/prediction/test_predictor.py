"""Fits, and predictions judged on what was held out: on curves of a known law, with and without noise."""

from itertools import pairwise

import numpy as np
import pytest

from bench.analysis.prediction.course import Course
from bench.analysis.prediction.fit import LossCurve, fit, refit
from bench.analysis.prediction.laws import LAWS
from bench.analysis.prediction.predictor import Predictor
from bench.analysis.prediction.recorded import BINS, Readings, Recorded, open_loop_lrs, points
from bench.analysis.prediction.shape import search
from bench.contract import InputError

NAMES = ("constant", "linear", "cosine", "wsd", "polynomial(power=2)")
TRUTH = {"annealing area": (0.5, 3.0, 0.5, 0.03, 40.0), "functional": (0.5, 3.0, 0.5, 0.02, 0.05, 1.5)}
ANNEALING = LAWS[1]


def losses(lrs, name="annealing area"):
    law = next(law for law in LAWS if law.name == name)
    return law.curve(TRUTH[name], Course(lrs, points(len(lrs))))


def readings(names=NAMES, budgets=(0.5, 1.0), noise=0.002, seeds=4, of=losses):
    """Curves of a task with 10 epochs of 64 updates, which a known law gives, and noise of each seed."""
    draw = np.random.default_rng(1)
    recorded = []
    for budget in budgets:
        for name in names:
            lrs = open_loop_lrs(name, round(640 * budget), 64, 1.0)
            recorded.append(
                Recorded(name, budget, lrs, of(lrs) + noise * draw.normal(size=(seeds, BINS)), tuple(range(seeds)))
            )
    return Readings("task", 1.0, 64, 10.0, tuple(recorded))


@pytest.fixture(scope="module")
def predictor():
    return Predictor(readings(), laws=(ANNEALING,))


@pytest.mark.parametrize("law", LAWS[1:], ids=lambda law: law.name)
def test_a_fit_finds_the_law_of_its_curves(law):
    curves = [r.curve() for r in readings(noise=0.0, of=lambda lrs: losses(lrs, law.name)).recorded]
    fitted = fit(law, curves)
    for curve in curves:
        assert fitted.losses(curve.lrs, curve.points) == pytest.approx(curve.losses, rel=5e-3)
    assert fit(law, curves) == fitted
    assert refit(fitted, curves).cost <= fitted.cost * (1 + 1e-9)


def test_a_fit_needs_losses_above_0():
    with pytest.raises(ValueError, match="losses above 0"):
        fit(ANNEALING, [LossCurve(np.ones(4), np.array([3]), np.array([0.0]))])


def test_held_out_schedules_are_predicted_and_the_error_says_so(predictor):
    assert {(h.schedule, h.budget) for h in predictor.best.held_out} == {(s, b) for s in NAMES for b in (0.5, 1.0)}
    assert predictor.best.error < predictor.spread / 5
    assert predictor.horizon.longer == 2
    assert predictor.horizon.between < predictor.spread / 3
    assert predictor.refusal is None
    assert [o.budget for o in predictor.orders] == [0.5, 1.0]
    for o in predictor.orders:
        assert 0.8 < o.tau <= o.ceiling[1] + 1e-9


def test_a_held_out_schedule_takes_no_part_in_its_own_prediction():
    """Whatever happens to one schedule's losses, its prediction stays as it is."""
    plain = readings(NAMES[:4], budgets=(1.0,))
    moved = tuple(r._replace(losses=r.losses * 1.5) if r.schedule == "wsd" else r for r in plain.recorded)
    one, two = (Predictor(r, laws=(ANNEALING,)) for r in (plain, plain._replace(recorded=moved)))
    first, second = ({h.schedule: h.predicted for h in p.best.held_out} for p in (one, two))
    assert first["wsd"] == pytest.approx(second["wsd"], rel=1e-3)
    assert first["cosine"] != second["cosine"]


def test_intervals_hold_the_truth_at_a_longer_budget(predictor):
    for name in (*NAMES, "wsd(cooldown=0.5)", "rex"):
        prediction = predictor.predict(name, 2.0)
        lrs = open_loop_lrs(name, 1280, 64, 1.0)
        assert prediction.total == 1280
        assert abs(prediction.loss - losses(lrs)[-1]) < prediction.half
        assert prediction.between <= prediction.half
        assert prediction.distance.longer == 2
    assert predictor.predict("constant", 2.0).distance[1:] == (False, False)
    assert predictor.predict("scale(constant, 2)", 2.0).distance.above
    assert predictor.predict("polynomial(power=4)", 1.0).distance.below


def test_losses_that_no_law_explains_are_refused():
    """Levels at random, several times the changes along a curve: what one schedule does says nothing of another."""
    draw = np.random.default_rng(3)
    p = Predictor(
        readings(NAMES[:3], budgets=(0.5,), of=lambda lrs: np.full(BINS, draw.uniform(1, 2))), laws=(ANNEALING,)
    )
    assert p.refusal == "schedules"


def test_no_interval_over_seeds_with_one_seed():
    p = Predictor(readings(NAMES[:3], budgets=(1.0,), seeds=1), laws=(ANNEALING,))
    assert p.horizon is None
    assert p.predict("linear", 1.0).half > 0


def test_the_preferred_shape_never_rises_and_beats_what_was_run(predictor):
    shape = search(predictor.loss, 640, 1.0, knots=4)
    factors = [1.0, *shape.factors]
    assert all(a >= b for a, b in pairwise(factors))
    assert predictor.predict(shape.text, 1.0).loss <= min(predictor.predict(name, 1.0).loss for name in NAMES) + 1e-3


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Predictor(readings(NAMES[:2])), "only constant, linear can be fitted at peak LR 1; 3 or more are"),
        (lambda: Predictor(readings(of=lambda lrs: losses(lrs) - 2)), "a training loss is 0 or below"),
        (lambda: Predictor(readings()).predict("cosine", 0.1), "budget 0.1 is below those that were fitted, from 0.5"),
        (lambda: open_loop_lrs("plateau", 10, 5, 1.0), r"plateau cannot be predicted: it reacts to training \(loss\)"),
        (lambda: open_loop_lrs("cosin", 10, 5, 1.0), r"unknown schedule 'cosin' \(did you mean cosine\?\)"),
    ],
)
def test_bad_input_is_one_line(act, message):
    with pytest.raises(InputError, match=message) as error:
        act()
    assert "\n" not in str(error.value)

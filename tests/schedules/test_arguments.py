"""Bad settings: one line each, before anything trains; and what the decorator refuses at import."""

import pytest

import schedules
from bench.contract import InputError
from schedules.arguments import Share, fit
from schedules.schedule import schedule

REFUSED = [
    ("wsd(cooldown=2)", "schedule wsd: cooldown should be a number in (0, 1], not 2"),
    ("wsd(cooldown=0)", "schedule wsd: cooldown should be a number in (0, 1], not 0"),
    ("wsd(cooldown=1e999)", "schedule wsd: cooldown should be a number in (0, 1], not inf"),
    ("wsd(cooldown=True)", "schedule wsd: cooldown should be a number in (0, 1], not True"),
    ("wsd(cooldown='0.2')", "schedule wsd: cooldown should be a number in (0, 1], not '0.2'"),
    ("wsd(cooldown=[0.2])", "schedule wsd: cooldown should be a number in (0, 1], not (0.2,)"),
    ("wsd(cooldown=None)", "schedule wsd: cooldown should be a number in (0, 1], not None"),
    ("wsd(shape='square')", "shape should be 'linear' or 'sqrt' or 'cosine' or 'mirror' or 'power' or 'exp', not"),
    ("wsd(0.2)", "it is called as wsd(*, cooldown=0.2, shape='linear', power=2.0, ratio=0.1)"),
    ("wsd(cool=0.2)", "unexpected keyword argument 'cool'"),
    ("step(every=0)", "schedule step: every should be a number in (0, 1e+09], not 0"),
    ("step(gamma=1.5)", "schedule step: gamma should be a number in (0, 1], not 1.5"),
    ("exponential(staircase=1)", "schedule exponential: staircase should be True or False, not 1"),
    ("cosine(floor=1)", "schedule cosine: floor should be a number in [0, 1), not 1"),
    ("onecycle(div=0.5)", "schedule onecycle: div should be a number in [1, 1e+09], not 0.5"),
    ("plateau(patience=1.5)", "schedule plateau: patience should be a whole number in [0, inf), not 1.5"),
    ("plateau(patience=True)", "schedule plateau: patience should be a whole number in [0, inf), not True"),
    ("plateau(patience=-1)", "schedule plateau: patience should be a whole number in [0, inf), not -1"),
    ("inverse_sqrt(tau=1" + "0" * 400 + ")", "schedule inverse_sqrt: tau should be a number in (0, 1e+09]"),
    ("warmup(cosine)", "schedule warmup: give its length as epochs=... or as fraction=..., one of the two"),
    ("warmup(cosine, epochs=1, fraction=0.1)", "one of the two"),
    ("warmup(cosine, epochs=0)", "schedule warmup: epochs should be a number in (0, 1e+09] or None, not 0"),
    ("warmup(3, epochs=1)", "schedule warmup: inner should be a schedule, not 3"),
    ("warmup(epochs=1)", "missing a required argument: 'inner'"),
    ("warmup(cosine, epochs=1, first='0')", "a number in [0, 1) or '1/W' or '1/(W+1)', not '0'"),
    ("stages(cosine, [1])", "schedule stages: parts should be a list, each a schedule, not cosine"),
    ("stages([cosine, 1], [0.5, 0.5])", "schedule stages: parts should be a list, each a schedule, not (cosine, 1)"),
    ("stages([cosine, rex], [0.5])", "schedule stages: 2 stages need as many shares, not 1"),
    ("stages([cosine, rex], [0.5, 0.5], scales=[1])", "schedule stages: 2 stages need as many scales, not 1"),
    ("stages([cosine, rex], [0.5, 0.4])", "schedule stages: shares should sum to 1, not to 0.9"),
    ("stages([], [])", "schedule stages: shares should sum to 1, not to 0"),
    ("stages([cosine, wsd(cooldown=3)], [0.5, 0.5])", "schedule wsd: cooldown"),
    (
        "stages([hypergradient], [1], scales=[5e-324])",
        "schedule stages: scales should be a list, each a number in [1e-09, 1e+09] or None, not (5e-324,)",
    ),
    ("multistep(5)", "schedule multistep: at should be a list, each a number in (0, 1e+09], not 5"),
    ("multistep([0])", "schedule multistep: at should be a list, each a number in (0, 1e+09], not (0,)"),
    ("piecewise([0.5], [0.1, 0.2])", "schedule piecewise: 1 points need as many factors, not 2"),
    ("piecewise([0.5, 0.4], [0.1, 0])", "schedule piecewise: at should ascend, by 1e-9 at least, not be [0.5, 0.4]"),
    ("piecewise([0.5, 0.5], [0.1, 0])", "at should ascend"),
    ("piecewise([0.5], [1.5])", "schedule piecewise: factors should be a list, each a number in [0, 1], not (1.5,)"),
    ("tanh(begin=-51)", "schedule tanh: begin should be a number in [-50, 50], not -51"),
    ("hyperbolic(floor=0)", "schedule hyperbolic: floor should be a number in (0, 1), not 0"),
    ("chebyshev(levels=2.5)", "schedule chebyshev: levels should be a whole number in [0, 30], not 2.5"),
    ("restarts(mult=0.5)", "schedule restarts: mult should be a number in [1, 1000], not 0.5"),
    ("cyclic(every=0)", "schedule cyclic: every should be a number in [1e-06, 1e+09], not 0"),
    ("cooldown(cosine, fraction=0)", "schedule cooldown: fraction should be a number in (0, 1], not 0"),
    ("chain([])", "schedule chain: name one schedule at least, as in chain([cosine, step])"),
    ("scale(cosine)", "missing a required argument: 'by'"),
    ("noise(cosine, limit=1)", "schedule noise: limit should be a number in (0, 1), not 1"),
    ("noise(cosine, seed=0.5)", "schedule noise: seed should be a whole number in [0, inf), not 0.5"),
    ("cosin", "unknown schedule 'cosin' (did you mean cosine?)"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_a_bad_setting_is_told_in_one_line(text, words):
    with pytest.raises(InputError) as error:
        schedules.parse(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
@pytest.mark.parametrize("hint", [float, Share, Share | None], ids=str)
def test_what_is_not_finite_is_no_number(value, hint):
    with pytest.raises(InputError, match="x should be a number"):
        fit("mine", "x", value, hint)


def test_a_first_parameter_with_another_name_is_refused_at_import():
    with pytest.raises(TypeError, match=r"mine\(time, \.\.\.\): the first parameter is one of progress, epoch, clock"):

        @schedule(paper="none")
        def mine(time: float) -> float:
            return time


def test_a_curve_over_the_clock_has_to_say_its_horizon():
    with pytest.raises(TypeError, match="say the horizon"):

        @schedule(paper="none")
        def mine(clock: object) -> float:
            return 1.0

    @schedule(paper="none", horizon="absolute")
    def yours(clock: object) -> float:
        return clock.step / 4

    assert yours.horizon == yours().horizon == "absolute"
    assert yours().at(2) == (0.5,)


@pytest.mark.parametrize(
    ("text", "horizon", "needs"),
    [
        ("constant", "none", set()),
        ("step", "absolute", set()),
        ("wsd", "relative", set()),
        ("plateau", "none", {"loss"}),
        ("warmup(constant, epochs=1)", "absolute", set()),
        ("warmup(step, fraction=0.1)", "relative", set()),
        ("warmup(cosine, epochs=1)", "relative", set()),
        ("warmup(plateau, epochs=1)", "absolute", {"loss"}),
        ("noam", "absolute", set()),
        ("hyperbolic", "relative", set()),
        ("piecewise([0.5], [0.1])", "relative", set()),
        ("cooldown(plateau)", "relative", {"loss"}),
        ("chain([constant, scale(step, 0.5)])", "absolute", set()),
        ("chain([step, noise(cosine), plateau])", "relative", {"loss"}),
        ("floor(constant, 0.1)", "none", set()),
        ("stages([constant, warmup(plateau, epochs=1)], [0.5, 0.5])", "relative", {"loss"}),
    ],
)
def test_horizon_and_needs_follow_from_what_is_inside(text, horizon, needs):
    it = schedules.parse(text)
    assert (it.horizon, it.needs) == (horizon, needs)

"""Values worked out from the papers' formulas, as decimals, apart from the code that they judge.

exponential   torch.optim.lr_scheduler.ExponentialLR: lr0 gamma^e
step          torch.optim.lr_scheduler.StepLR: lr0 gamma^floor(e / every)
polynomial    arXiv:1606.00915, the 'poly' policy: lr0 (1 - t/T)^power
linear        arXiv:1905.04753: lr0 (1 - t/T)
cosine        arXiv:1608.03983, equation 5: min + (max - min) (1 + cos(pi t/T)) / 2
inverse_sqrt  arXiv:2106.04560: lr0 / sqrt(1 + e / tau)
rex           arXiv:2107.04197: lr0 (1 - p) / (1/2 + (1 - p)/2)
wsd           arXiv:2404.06395 (hold, then fall); arXiv:2405.18392: linear and 1 - sqrt cooldowns
onecycle      arXiv:1708.07120, with the cosine halves and the settings of torch.optim.lr_scheduler.OneCycleLR
plateau       torch.optim.lr_scheduler.ReduceLROnPlateau, its documented rule, by hand
warmup        arXiv:1706.02677, section 2.2: linear, (t + 1)/W of the first rate
stages        by hand

Written in the project's first month, with 40-digit decimal arithmetic. Beside each formula stands a mistake that has
been made with it (in public code, where so said); its values have to be caught by the same numbers.
"""

from math import ceil, cos, pi, sqrt

import pytest

import schedules
from bench.contract import Clock, Signals
from schedules.schedule import factors

GOLDEN = {  # text: ({point: factor}, a mistake)
    "constant": ({0: 1, 0.5: 1, 0.99: 1}, lambda x: 1 - x),
    "exponential": (
        {0: 1, 0.5: 0.9949874371066200, 1: 0.99, 10: 0.9043820750088045, 30: 0.7397003733882804},
        lambda e: 0.99 ** (e + 1),  # an epoch too early
    ),
    "exponential(gamma=0.5, staircase=True)": ({0: 1, 0.99: 1, 1: 0.5, 1.99: 0.5, 2: 0.25}, lambda e: 0.5**e),
    "step": (
        {0: 1, 4.99: 1, 5: 0.1, 9.99: 0.1, 10: 0.01, 15: 0.001},
        lambda e: 0.1 ** ceil(e / 5),  # falls right after the start
    ),
    "polynomial(power=0.9)": (
        {0: 1, 0.1: 0.9095325760829622, 0.5: 0.5358867312681466, 0.9: 0.1258925411794167},
        lambda x: 1 - x**0.9,
    ),
    "linear": ({0: 1, 0.25: 0.75, 0.9: 0.1}, lambda x: 1 - 1.1 * x),  # horizon T - 1 for T = 11: zero too early
    "linear(floor=0.2)": ({0: 1, 0.5: 0.6, 0.75: 0.4}, lambda x: max(0.2, 1 - x)),  # clipped, not aimed
    "cosine": (
        {0: 1, 0.1: 0.9755282581475768, 0.25: 0.8535533905932738, 0.5: 0.5, 0.75: 0.1464466094067262},
        lambda x: cos(pi * x / 2),  # a quarter of the period
    ),
    "cosine(floor=0.1)": (
        {0: 1, 0.25: 0.8681980515339464, 0.5: 0.55, 0.75: 0.2318019484660536},
        lambda x: 0.1 + (1 + cos(pi * x)) / 2,  # floor added, peak not lowered
    ),
    "inverse_sqrt": (
        {0: 1, 0.5: 0.8164965809277260, 1: 0.7071067811865475, 2: 0.5773502691896258, 8: 0.3333333333333333},
        lambda e: 1 / (1 + sqrt(e)),
    ),
    "inverse_sqrt(tau=5)": (
        {1: 0.9128709291752769, 5: 0.7071067811865475, 20: 0.4472135954999579},
        lambda e: 1 / sqrt(1 + 5 * e),
    ),
    "rex": (
        {0: 1, 0.1: 0.9473684210526316, 0.25: 0.8571428571428571, 0.5: 0.6666666666666667, 0.75: 0.4}
        | {0.9: 0.1818181818181818, 0.99: 0.0198019801980198},
        lambda x: (1 - x) / (0.1 + 0.9 * (1 - x)),  # 0.1 and 0.9: the most copied public code
    ),
    "wsd": ({0: 1, 0.8: 1, 0.85: 0.75, 0.9: 0.5, 0.95: 0.25}, lambda x: min(1, (1 - x) / 0.8)),  # share held, not left
    "wsd(shape='sqrt')": (
        {0.8: 1, 0.81: 0.7763932022500210, 0.85: 0.5, 0.9: 0.2928932188134525, 0.95: 0.1339745962155614},
        lambda x: sqrt(min(1, (1 - x) / 0.2)),  # sqrt(r) is not 1 - sqrt(1 - r)
    ),
    "wsd(shape='cosine')": (
        {0.8: 1, 0.85: 0.8535533905932738, 0.9: 0.5, 0.95: 0.1464466094067262},
        lambda x: (1 + cos(pi * x)) / 2 if x > 0.8 else 1,  # the cosine of the whole budget
    ),
    "onecycle": (
        {0: 0.04, 0.1: 0.28, 0.15: 0.52, 0.3: 1, 0.5: 0.8117456539497630, 0.65: 0.500002, 0.9: 0.0495193679865262},
        lambda x: (1 + cos(pi * (x - 0.3) / 0.7)) / 2,  # one cosine for both sides
    ),
    "onecycle(rise=0.5, div=10, final_div=2, anneal='linear')": (
        {0: 0.1, 0.25: 0.55, 0.5: 1, 0.75: 0.525},
        lambda x: 0.1 + 1.8 * x if x < 0.5 else 1 - (x - 0.5),  # final_div of the peak, not of the first rate
    ),
}


@pytest.mark.parametrize("text", GOLDEN)
def test_a_curve_has_the_values_of_its_paper(text):
    points, mistake = GOLDEN[text]
    for point, factor in points.items():
        assert schedules.parse(text).at(point)[0] == pytest.approx(factor, rel=0, abs=1e-14), point
    assert max(abs(mistake(point) - factor) for point, factor in points.items()) > 1e-3


MOMENTUM = {0: 0.95, 0.1: 0.925, 0.15: 0.9, 0.3: 0.85, 0.5: 0.8688255099070633, 0.65: 0.9, 0.9: 0.9450484433951210}


def test_momentum_goes_the_other_way():
    it = schedules.parse("onecycle")
    for point, momentum in MOMENTUM.items():
        setting, _ = it(None, Clock(round(100 * point), 100, 1, 0.1), None)
        assert setting.momentum == pytest.approx(momentum, rel=0, abs=1e-14)
    assert schedules.parse("onecycle(momentum=False)")(None, Clock(0, 9, 1, 0.1), None)[0].momentum is None


SEQUENCES = {  # text: (factors of 8 updates in epochs of 2, a mistake)
    "warmup(linear, epochs=2)": (
        [0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25],
        [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25],  # another convention: the first update does nothing
    ),
    "warmup(linear, epochs=2, first=0)": (
        [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25],
        [0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25],
    ),
    "warmup(linear, epochs=2, first=0.2)": (
        [0.2, 0.4, 0.6, 0.8, 1, 0.75, 0.5, 0.25],
        [0.2, 0.45, 0.7, 0.95, 1, 0.75, 0.5, 0.25],  # 1/W a step on top
    ),
    "warmup(linear, epochs=2, first='1/(W+1)')": (
        [0.2, 0.4, 0.6, 0.8, 1, 0.75, 0.5, 0.25],
        [0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25],
    ),
    "warmup(linear, fraction=0.25)": (
        [0.5, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6],
        [0.5, 1, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125],  # a clock that does not start after the warmup
    ),
    "warmup(step(every=1, gamma=0.5), epochs=1)": (
        [0.5, 1, 1, 1, 0.5, 0.5, 0.25, 0.25],
        [0.5, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125],
    ),
    "stages([constant, linear], [0.5, 0.5])": (
        [1, 1, 1, 1, 1, 0.75, 0.5, 0.25],
        [1, 1, 1, 1, 0.5, 0.375, 0.25, 0.125],  # the clock of the whole budget
    ),
    "stages([linear, step(every=1)], [0.25, 0.75], scales=[1, 0.5])": (
        [1, 0.5, 0.5, 0.5, 0.05, 0.05, 0.005, 0.005],
        [1, 0.5, 0.25, 0.25, 0.025, 0.025, 0.0025, 0.0025],  # scales on top of one another
    ),
}


@pytest.mark.parametrize("text", SEQUENCES)
def test_a_combinator_gives_the_sequence_worked_out_by_hand(text):
    expected, mistake = SEQUENCES[text]
    trace = [setting.factor for setting in factors(schedules.parse(text), 8, 2, 0.1)]
    assert trace == pytest.approx(expected, rel=0, abs=1e-14)
    assert mistake != pytest.approx(expected, abs=1e-3)


def test_a_stage_hands_its_own_peak_lr_on():
    seen = []

    class Spy:
        text, needs, horizon, init = "spy", frozenset(), "none", lambda self: None

        def __call__(self, state, clock, signals):
            seen.append(clock)
            return schedules.parse("constant")(state, clock, signals)

    factors(schedules.stages([Spy(), Spy()], [0.75, 0.25], scales=[1, 0.5]), 4, 2, 0.1)
    assert seen == [Clock(0, 3, 2, 0.1), Clock(1, 3, 2, 0.1), Clock(2, 3, 2, 0.1), Clock(0, 1, 2, 0.05)]


WATCHED = {  # text: (factor in each epoch, a mistake), for the mean losses below
    "plateau(patience=1)": (
        [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01],
        [1, 1, 1, 0.1, 0.01, 0.1, 0.01, 0.001, 0.001],  # a cut at `patience` bad epochs, not beyond
    ),
    "plateau(patience=1, rest=1)": (
        [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1],  # the epoch at 0.71 does not count
        [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01],
    ),
    "plateau(patience=0, gamma=0.5, floor=0.2)": (
        [1, 1, 1, 0.5, 0.25, 0.2, 0.2, 0.2, 0.2],
        [1, 1, 1, 0.5, 0.25, 0.125, 0.0625, 0.0625, 0.03125],
    ),
    "plateau(patience=1, margin=0.4)": (
        [1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001],
        [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01],
    ),
}
MEANS = [1.0, 0.7, 0.7, 0.69995, 0.71, 0.8, 0.6, 0.6, 0.6]  # 0.69995 is not 0.0001 better than 0.7


@pytest.mark.parametrize("text", WATCHED)
def test_plateau_cuts_by_the_mean_loss_of_an_epoch(text):
    it, state, trace = schedules.parse(text), schedules.parse(text).init(), []
    for step in range(2 * len(MEANS)):
        loss = MEANS[step // 2] + (0.5 if step % 2 else -0.5)  # a single batch says little
        setting, state = it(state, Clock(step, 99, 2, 0.1), Signals(loss, 1.0))
        trace.append(setting.factor)
    expected, mistake = WATCHED[text]
    assert trace[::2] == trace[1::2] == pytest.approx(expected, rel=0, abs=1e-14)
    assert mistake != pytest.approx(expected, abs=1e-3)


INSIDE = {  # text: factors of 8 updates in epochs of 1 that all have the loss 1
    "plateau(patience=0, gamma=0.5)": [1, 1, 0.5, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64],
    # the watch begins after the warmup
    "warmup(plateau(patience=0, gamma=0.5), epochs=2)": [0.5, 1, 1, 1, 0.5, 1 / 4, 1 / 8, 1 / 16],
    # each stage has a watch of its own
    "stages([plateau(patience=0, gamma=0.5), plateau(patience=1)], [0.5, 0.5])": [1, 1, 0.5, 1 / 4, 1, 1, 1, 0.1],
}


@pytest.mark.parametrize("text", INSIDE)
def test_a_combinator_keeps_the_state_of_what_is_inside(text):
    it, state, trace = schedules.parse(text), schedules.parse(text).init(), []
    for step in range(8):
        setting, state = it(state, Clock(step, 8, 1, 0.1), Signals(1.0, 1.0))
        trace.append(setting.factor)
    assert trace == INSIDE[text]


EQUAL = [  # the same mathematics, so the same bits: such cells share a member
    ("linear", "polynomial"),
    ("linear", "rex(beta=1)"),
    ("linear", "wsd(cooldown=1)"),
    ("linear", "stages([linear], [1])"),
    ("step(every=1, gamma=0.7)", "exponential(gamma=0.7, staircase=True)"),
    ("stages([constant, cosine], [0.5, 0.5])", "stages([step, cosine], [0.5, 0.5], scales=[1, 1])"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_mathematics_gives_equal_bits(one, other):
    assert factors(schedules.parse(one), 997, 200, 0.1) == factors(schedules.parse(other), 997, 200, 0.1)


@pytest.mark.parametrize("shape", ["linear", "sqrt", "cosine"])
@pytest.mark.parametrize("percent", [2, 7, 20, 29, 57, 90])
def test_wsd_holds_exactly_until_the_cooldown(shape, percent):
    for total in (100, 300, 12_300):
        trace = factors(schedules.parse(f"wsd(cooldown={percent / 100}, shape='{shape}')"), total, 10, 0.1)
        held = total - total * percent // 100 + 1
        assert [s.factor for s in trace[:held]] == [1.0] * held
        assert trace[held].factor < 1


@pytest.mark.parametrize("every", [0.1, 0.2, 0.3, 0.7, 1, 3])
def test_a_step_falls_on_the_update_that_its_decimals_say(every):
    trace = factors(schedules.parse(f"step(every={every}, gamma=0.5)"), 1000, 10, 0.1)
    assert [s.factor for s in trace] == [0.5 ** (t // round(10 * every)) for t in range(1000)]

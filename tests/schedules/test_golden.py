"""Values worked out from the papers' formulas, as decimals, apart from the code that they judge.

exponential   torch.optim.lr_scheduler.ExponentialLR: lr0 gamma^e
step          torch.optim.lr_scheduler.StepLR: lr0 gamma^floor(e / every)
multistep     torch.optim.lr_scheduler.MultiStepLR: lr0 gamma^(milestones reached)
piecewise     optax's two schedules of that name: b_i <= t holds; start + (end - start) u; end + (start - end) (1 + cos
              pi u)/2; the spline by hand from Fritsch and Butland (1984): (y0 + y1)/2 + h (d0 - d1)/8 in mid-segment
polynomial    arXiv:1606.00915, the 'poly' policy: lr0 (1 - t/T)^power; arXiv:2004.05909: lr0 (1 - t^k/T^k)^N;
              optlrschedule's sqrt family: lr0 sqrt(1 - x^2)^a
linear        arXiv:1905.04753: lr0 (1 - t/T)
cosine        arXiv:1608.03983, equation 5: min + (max - min) (1 + cos(pi t/T)) / 2
              arXiv:2004.05909: cos(pi t^k/T^k); optlrschedule, optax: (1 - a) ((1 + cos(pi t/T)) / 2)^exponent + a
inverse_sqrt  arXiv:2106.04560: lr0 / sqrt(1 + e / tau)
inverse_time  LRBench's INV: k0 (1 + gamma t)^(-p)
noam          arXiv:1706.03762, equation 3: d^(-1/2) min(s^(-1/2), s W^(-3/2)), over its peak
power         arXiv:2408.13359, equation 7: min(eta_max, beta a n^b)
rex           arXiv:2107.04197: lr0 (1 - p) / (1/2 + (1 - p)/2)
uba           arXiv:2505.24452 as implemented: 2 (1 + cos) / (2 phi + (2 - phi) (1 + cos))
tanh          arXiv:1806.01593 in timm: (1 - tanh(lb (1 - t/T) + ub t/T)) / 2; LRBench's SIG: 1 / (1 + exp(-g (t - l)))
hyperbolic    arXiv:2407.15200 in Axect/HyperbolicLR: lr0 + (lr0 - inf) (h(x) - h(0)), lr0 (lr0 / inf)^(h(x) - h(0))
chebyshev     arXiv:2103.01338 in pytorch_optimizer: 1 / ((M + m)/2 - (M - m)/2 cos((t + 1/2) pi / T)), times m;
              order: interlace(s_T, 2T - 1 - s_T)
wsd           arXiv:2404.06395 (hold, then fall); arXiv:2405.18392: linear and 1 - sqrt cooldowns, square, and
              mirror: 2 linear - cosine; timm: 1 - u^power, (r^u - r) / (1 - r)
onecycle      arXiv:1708.07120, with the cosine halves and the settings of torch.optim.lr_scheduler.OneCycleLR
cyclic        arXiv:1506.01186; LRBench's TRIEXP, SIN2, COS2
restarts      arXiv:1608.03983, equation 5, T_i = T_mult^i T_0, with timm's cycle_decay; LRBench's SINRSWEXP
plateau       torch.optim.lr_scheduler.ReduceLROnPlateau, its documented rule, by hand
warmup        arXiv:1706.02677, section 2.2: linear, (t + 1)/W of the first rate; optlrschedule: (1 - cos(pi u))/2, u^p,
              1 - exp(-g u); transformers: 1 - sqrt(1 - u)
cooldown      arXiv:2106.04560: rsqrt times linear; arXiv:2408.13359, equation 8: f * power(N - N_decay)
stages, chain, scale, floor   by hand

Written in the project's first month, with 40-digit decimal arithmetic. Beside each formula stands a mistake that has
been made with it (in public code, where so said); its values have to be caught by the same numbers.
"""

from math import ceil, cos, exp, pi, sin, sqrt, tanh

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
    "multistep([3, 6, 6])": ({0: 1, 2.99: 1, 3: 0.1, 5.99: 0.1, 6: 0.001}, lambda e: 0.1 ** ((e > 3) + 2 * (e > 6))),
    "piecewise([0.5, 0.75], [0.1, 0.02])": (
        {0: 1, 0.49: 1, 0.5: 0.1, 0.74: 0.1, 0.75: 0.02, 0.99: 0.02},
        lambda x: 0.1 ** (x >= 0.5) * 0.02 ** (x >= 0.75),  # factors on top of one another
    ),
    "piecewise([0, 0.2, 1], [0.25, 1, 0], between='linear')": (
        {0: 0.25, 0.1: 0.625, 0.2: 1, 0.6: 0.5},
        lambda x: x / 0.2 if x < 0.2 else (1 - x) / 0.8,  # the rise from 0
    ),
    "piecewise([0.9], [0.1], between='cosine')": (
        {0: 1, 0.3: 0.775, 0.45: 0.55, 0.95: 0.1},
        lambda x: 0.1 + 0.45 * (1 + cos(pi * x / 0.9)),  # climbs again after the end
    ),
    "piecewise([0.3, 0.6, 1], [0.8, 0.2, 0], between='spline')": (
        {0.15: 0.9375, 0.3: 0.8, 0.45: 0.5 - 0.3 / 8 * 3 / 17, 0.8: 0.1 - 0.4 / 8 * 14 / 17},
        lambda x: 1 - x / 1.5 if x < 0.3 else 1.4 - 2 * x if x < 0.6 else 0.5 - x / 2,  # straight lines
    ),
    "polynomial(power=0.9)": (
        {0: 1, 0.1: 0.9095325760829622, 0.5: 0.5358867312681466, 0.9: 0.1258925411794167},
        lambda x: 1 - x**0.9,
    ),
    "polynomial(k=3)": ({0: 1, 0.5: 0.875, 0.9: 0.271}, lambda x: (1 - x) ** 3),
    "polynomial(power=0.5, k=2)": (
        {0: 1, 0.1: 0.9949874371066200, 0.5: 0.8660254037844386, 0.9: 0.4358898943540674},
        lambda x: sqrt(1 - x),
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
    "cosine(exponent=2)": (
        {0.1: 0.9516553824444452, 0.25: 0.7285533905932738, 0.5: 0.25, 0.75: 0.0214466094067262},
        lambda x: (1 + cos(pi * x) ** 2) / 2,  # the square inside
    ),
    "cosine(k=2)": (
        {0: 1, 0.25: 0.9903926402016152, 0.5: 0.8535533905932738, 0.75: 0.4024548389919359},
        lambda x: (1 + cos(pi * x)) ** 2 / 4,  # the power outside
    ),
    "inverse_sqrt": (
        {0: 1, 0.5: 0.8164965809277260, 1: 0.7071067811865475, 2: 0.5773502691896258, 8: 0.3333333333333333},
        lambda e: 1 / (1 + sqrt(e)),
    ),
    "inverse_sqrt(tau=5)": (
        {1: 0.9128709291752769, 5: 0.7071067811865475, 20: 0.4472135954999579},
        lambda e: 1 / sqrt(1 + 5 * e),
    ),
    "inverse_time(tau=2, power=0.75)": (
        {0: 1, 1: 0.7377879464668811, 2: 0.5946035575013605, 10: 0.2608474300122146},
        lambda e: 1 / (1 + e**0.75 / 2),
    ),
    "inverse_time(tau=2, staircase=True)": ({0: 1, 1.99: 1, 2: 0.5, 3.99: 0.5, 4: 1 / 3}, lambda e: 1 / (1 + e / 2)),
    "power": (
        {0: 1, 0.5: 1, 1: 1, 2: 0.7022224378689986, 4: 0.4931163522466796, 10: 0.3090295432513591},
        lambda e: (1 + e) ** -0.51,  # no hold
    ),
    "rex": (
        {0: 1, 0.1: 0.9473684210526316, 0.25: 0.8571428571428571, 0.5: 0.6666666666666667, 0.75: 0.4}
        | {0.9: 0.1818181818181818, 0.99: 0.0198019801980198},
        lambda x: (1 - x) / (0.1 + 0.9 * (1 - x)),  # 0.1 and 0.9: the most copied public code
    ),
    "uba": (
        {0: 1, 0.25: 0.9209914264407282, 0.5: 2 / 3, 0.75: 0.2554791617945659, 0.9: 0.0477743618543817},
        lambda x: 1 - x,  # (1 - x)^phi: public code that cites the paper
    ),
    "uba(phi=0.5)": (
        {0.25: 0.9588709389996283, 0.5: 0.8, 0.75: 0.4069827195369571},
        lambda x: (1 - 0.5 * x) ** 2,  # likewise
    ),
    "uba(phi=5)": (
        {0.25: 0.6998232724433921, 0.5: 0.2857142857142857, 0.75: 0.0642216713768326},
        lambda x: (1 + cos(pi * x)) / (5 - 3 * (1 + cos(pi * x))),
    ),
    "tanh": (
        {0: 0.9999991684719723, 0.5: 0.9820137900379084, 0.7: 0.5, 0.9: 0.0179862099620916},
        lambda x: (1 - tanh(-7 * x + 3 * (1 - x))) / 2,  # the ends exchanged: it rises
    ),
    "tanh(begin=-3, end=2)": (  # the sigmoid with g = 10, l = 0.6
        {0: 0.9975273768433652, 0.5: 0.7310585786300049, 0.6: 0.5, 0.9: 0.0474258731775668},
        lambda x: 1 / (1 + exp(5 * (x - 0.6))),  # a tangent is twice as steep
    ),
    "chebyshev": (
        {0: 0.8456374740316355, 0.124: 0.8456374740316355, 0.125: 0.0504605530543780, 0.25: 0.1156518341850140}
        | {0.375: 0.0809496490923009, 0.5: 0.3844617946236161, 0.625: 0.0543508942041676}
        | {0.75: 0.1914944746990292, 0.875: 0.0633797215726656},
        lambda x: (1 + cos(pi * (8 * x + 0.5) / 8)) / 2,  # the roots, not their inverses, as in pytorch_scheduler
    ),
    "chebyshev(levels=2, condition=5, order='falling')": (
        {0: 0.8678740440857458, 0.25: 0.4475007482063740, 0.5: 0.2655783714906777, 0.75: 0.2062808787703940},
        lambda x: 2 / (6 - 4 * cos(pi * 4 * x / 4)),  # the roots of the other kind: no half
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
    "wsd(shape='mirror')": (
        {0.8: 1, 0.85: 0.6464466094067262, 0.9: 0.5, 0.95: 0.3535533905932738},
        lambda x: (1 + cos(pi * (x - 0.8) / 0.2)) / 2 if x > 0.8 else 1,
    ),
    "wsd(shape='power')": ({0.8: 1, 0.85: 0.9375, 0.9: 0.75, 0.95: 0.4375}, lambda x: min(1, (1 - x) / 0.2) ** 2),
    "wsd(shape='power', power=3)": (
        {0.8: 1, 0.85: 0.984375, 0.9: 0.875, 0.95: 0.578125},
        lambda x: min(1, (1 - x) / 0.2) ** 3,
    ),
    "wsd(shape='exp')": (
        {0.8: 1, 0.85: 0.5137125835448323, 0.9: 0.2402530733520421, 0.95: 0.0864754900043248},
        lambda x: 0.1 ** max(0, (x - 0.8) / 0.2),  # ends at a tenth, not at 0
    ),
    "cyclic(every=8, low=0.25)": (
        {0: 0.25, 1: 0.4375, 4: 1, 6: 0.625, 8: 0.25, 12: 1},
        lambda e: 0.25 + 0.75 * (1 - abs(e / 4 % 2 - 1)) / 2 ** (e // 8),  # triangular2
    ),
    "cyclic(every=8, gamma=0.5)": (
        {0: 0.1, 4: 1, 6: 0.55, 8: 0.1, 12: 0.55, 20: 0.325},
        lambda e: (0.1 + 0.9 * (1 - abs(e / 4 % 2 - 1))) / 2 ** (e // 8),  # the bottom halved, too
    ),
    "cyclic(rate=0.9)": (
        {1: 0.505, 2: 0.829, 5: 0.3657205, 6: 0.5782969},
        lambda e: 0.1 + 0.9 * (1 - abs(e / 2 % 2 - 1)) * 0.9 ** (e // 4),  # rate a cycle
    ),
    "cyclic(every=2, shape='sine', gamma=0.5)": (
        {0.5: 0.7363961030678928, 1: 1, 2.5: 0.4181980515339464, 3: 0.55, 5: 0.325},
        lambda e: 0.1 + 0.9 * sin(pi * e / 2) ** 2 / 2 ** (e // 2),  # that is the cosine
    ),
    "cyclic(every=2, shape='cosine', gamma=0.5, begin='top')": (
        {0: 1, 0.5: 0.55, 1: 0.1, 1.5: 0.325, 2: 0.55, 2.5: 0.325},
        lambda e: 0.1 + 0.9 * (1 + cos(pi * e)) / 2 / 2 ** (e // 2),  # halved at the top
    ),
    "cyclic(every=5, rise=0.2, low=0)": ({0.5: 0.5, 1: 1, 3: 0.5, 4: 0.25}, lambda e: 1 - abs(e / 2.5 % 2 - 1)),
    "restarts(every=2, mult=2, low=0.1, gamma=0.5)": (
        {0: 1, 1: 0.55, 2: 0.5, 3: 0.4414213562373095, 5: 0.1585786437626905, 6: 0.25, 10: 0.175},
        lambda e: 0.1 + 0.9 * (1 + cos(pi * e / 2 % pi)) / 2 / 2 ** (e // 2),  # cycles of one length
    ),
    "restarts(every=1, shape='sine', rate=0.9)": (
        {0: 1, 0.5: 0.6708203932499369, 1: 0.9, 1.5: 0.6037383539249432},
        lambda e: sin(pi / 2 * (1 - e % 1)),
    ),
    "restarts(every=4, shape='linear', low=0.2, rise=0.25)": (
        {0: 0.2, 0.5: 0.6, 1: 1, 2.5: 0.6, 4: 0.2, 5: 1},
        lambda e: 0.2 + 0.8 * (1 - e / 4 % 1),
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
    assert schedules.parse("chain([onecycle, constant])")((None, None), Clock(30, 100, 1, 0.1))[0].momentum == 0.85
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
    "warmup(linear, epochs=2, shape='cosine')": (
        [0.1464466094067262, 0.5, 0.8535533905932738, 1, 1, 0.75, 0.5, 0.25],
        [0, 0.1464466094067262, 0.5, 0.8535533905932738, 1, 0.75, 0.5, 0.25],
    ),
    "warmup(linear, epochs=2, first=0.2, shape='cosine')": (
        [0.2, 0.3171572875253810, 0.6, 0.8828427124746190, 1, 0.75, 0.5, 0.25],
        [0.2, 0.2, 0.5, 0.8535533905932738, 1, 0.75, 0.5, 0.25],  # clipped
    ),
    "warmup(linear, epochs=2, shape='sqrt')": (
        [0.1339745962155614, 0.2928932188134525, 0.5, 1, 1, 0.75, 0.5, 0.25],
        [0.5, 0.7071067811865475, 0.8660254037844386, 1, 1, 0.75, 0.5, 0.25],  # sqrt(u) is not 1 - sqrt(1 - u)
    ),
    "warmup(linear, epochs=2, shape='polynomial')": (
        [0.0625, 0.25, 0.5625, 1, 1, 0.75, 0.5, 0.25],
        [0.4375, 0.75, 0.9375, 1, 1, 0.75, 0.5, 0.25],
    ),
    "warmup(linear, epochs=2, shape='exponential', growth=2)": (
        [0.3934693402873666, 0.6321205588285577, 0.7768698398515702, 0.8646647167633873, 1, 0.75, 0.5, 0.25],
        [0.4550547, 0.7310586, 0.8984650, 1, 1, 0.75, 0.5, 0.25],  # normed to reach 1, which is not what was published
    ),
    "noam(warmup=2)": (
        [0.25, 0.5, 0.75, 1, 0.8944271909999159, 0.8164965809277260, 0.7559289460184544, 0.7071067811865475],
        [0.25, 0.5, 0.75, 1, 1, 0.8944271909999159, 0.8164965809277260, 0.7559289460184544],  # counted from the peak
    ),
    "hyperbolic(bound=8, floor=0.5)": (
        [
            1,
            0.9635053462468282,
            0.9260224635164075,
            0.8872045095440181,
            0.8464957952952544,
            0.8029196242099916,
            0.7544872981077807,
            0.6958343489083326,
        ],
        [1, 0.9375, 0.875, 0.8125, 0.75, 0.6875, 0.625, 0.5625],  # bound = budget: a straight line
    ),
    "hyperbolic(bound=8, floor=0.01, log=True)": (
        [
            1,
            0.7145315092788418,
            0.5059293262490642,
            0.3538490534301383,
            0.2432109819512175,
            0.1628090330052115,
            0.1042195497111890,
            0.0607207875360238,
        ],
        [1, 0.9277, 0.8535, 0.7767, 0.6961, 0.6098, 0.5139, 0.3977],  # not in the exponent
    ),
    "hyperbolic(bound=2, floor=0.5)": (  # a budget beyond the bound
        [1, 0.9375, 0.875, 0.8125, 0.75, 0.6875, 0.625, 0.5625],
        [1, 0.875, 0.75, 0.625, 0.5, 0.5, 0.5, 0.5],
    ),
    "cooldown(inverse_sqrt, fraction=0.5)": (
        [
            1,
            0.8164965809277260,
            0.7071067811865475,
            0.6324555320336759,
            0.5773502691896258,
            0.4008918628686366,
            0.25,
            0.1178511301977579,
        ],
        [
            1,
            0.8164965809277260,
            0.7071067811865475,
            0.6324555320336759,
            0.5773502691896258,
            0.4330127018922193,
            0.2886751345948129,
            0.1443375672974065,
        ],  # standing still
    ),
    "cooldown(power(exponent=1), fraction=0.5, freeze=True)": (
        [1, 1, 1, 2 / 3, 0.5, 0.375, 0.25, 0.125],
        [1, 1, 1, 2 / 3, 0.5, 0.3, 1 / 6, 1 / 14],  # not standing still
    ),
    "chain([linear, step(every=2, gamma=0.5)])": (
        [1, 0.875, 0.75, 0.625, 0.25, 0.1875, 0.125, 0.0625],
        [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5],  # the last one alone
    ),
    "scale(linear, 0.5)": (
        [0.5, 0.4375, 0.375, 0.3125, 0.25, 0.1875, 0.125, 0.0625],
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.375, 0.25, 0.125],
    ),
    "floor(linear, 0.2)": ([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.2]),
    "floor(linear, 0.3, clip=True)": (
        [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.3, 0.3],
        [1, 0.9125, 0.825, 0.7375, 0.65, 0.5625, 0.475, 0.3875],  # aimed
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
    # the watch ends where the LR starts to fall
    "cooldown(plateau(patience=0, gamma=0.5), fraction=0.5, freeze=True)": [
        1,
        1,
        0.5,
        0.25,
        1 / 8,
        3 / 32,
        2 / 32,
        1 / 32,
    ],
    "chain([plateau(patience=0, gamma=0.5), plateau(patience=1)])": [
        1,
        1,
        0.5,
        0.025,
        0.0125,
        0.000625,
        0.0003125,
        0.000015625,
    ],
    # each stage has a watch of its own
    "stages([plateau(patience=0, gamma=0.5), plateau(patience=1)], [0.5, 0.5])": [1, 1, 0.5, 1 / 4, 1, 1, 1, 0.1],
}


@pytest.mark.parametrize("text", INSIDE)
def test_a_combinator_keeps_the_state_of_what_is_inside(text):
    it, state, trace = schedules.parse(text), schedules.parse(text).init(), []
    for step in range(8):
        setting, state = it(state, Clock(step, 8, 1, 0.1), Signals(1.0, 1.0))
        trace.append(setting.factor)
    assert trace == pytest.approx(INSIDE[text], rel=1e-14, abs=0)


EQUAL = [  # the same mathematics, so the same bits: such cells share a member
    ("linear", "polynomial"),
    ("linear", "rex(beta=1)"),
    ("linear", "wsd(cooldown=1)"),
    ("linear", "stages([linear], [1])"),
    ("step(every=1, gamma=0.7)", "exponential(gamma=0.7, staircase=True)"),
    ("linear", "cooldown(constant, fraction=1)"),
    ("wsd(shape='exp')", "cooldown(constant, shape='exp')"),
    ("wsd", "wsd(shape='linear')"),
    ("cosine", "cosine(exponent=1, k=1)"),
    ("cosine", "uba(phi=2)"),
    ("cosine(floor=0.1)", "floor(cosine, 0.1)"),
    ("exponential(gamma=0.7)", "chain([exponential(gamma=0.7)])"),
    ("step(every=2, gamma=0.7)", "multistep([2, 4], gamma=0.7)"),
    ("constant", "floor(scale(constant, 1), 0.5)"),
    ("constant", "piecewise([], [])"),
    ("constant", "multistep([])"),
    ("stages([constant, cosine], [0.5, 0.5])", "stages([step, cosine], [0.5, 0.5], scales=[1, 1])"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_mathematics_gives_equal_bits(one, other):
    assert factors(schedules.parse(one), 997, 200, 0.1) == factors(schedules.parse(other), 997, 200, 0.1)


NEAR = [  # the same mathematics by another way
    ("inverse_sqrt(tau=3)", "inverse_time(tau=3, power=0.5)"),
    ("wsd(shape='sqrt')", "wsd(shape='power', power=0.5)"),
    ("wsd(shape='cosine')", "piecewise([0.8, 1], [1, 0], between='cosine')"),
    (
        "onecycle(rise=0.1, div=32, final_div=1, anneal='linear', momentum=False)",
        "piecewise([0, 0.1, 1], [0.03125, 1, 0.03125], between='linear')",
    ),
    ("stages([cosine(floor=0.1), constant], [0.9, 0.1], scales=[1, 0.1])", "piecewise([0.9], [0.1], between='cosine')"),
]


@pytest.mark.parametrize(("one", "other"), NEAR)
def test_equal_mathematics_by_another_way_agrees(one, other):
    first, second = ([s.factor for s in factors(schedules.parse(t), 1000, 200, 0.1)] for t in (one, other))
    assert first == pytest.approx(second, rel=0, abs=1e-12)


@pytest.mark.parametrize("shape", ["linear", "sqrt", "cosine", "mirror", "power", "exp"])
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


@pytest.mark.parametrize("every", [0.1, 0.2, 0.3, 0.7, 1, 3])
@pytest.mark.parametrize("mult", [1, 2, 3])
def test_a_restart_falls_on_the_update_that_its_decimals_say(every, mult):
    trace = factors(schedules.parse(f"restarts(every={every}, mult={mult}, shape='linear')"), 1000, 10, 0.1)
    begins, length = [0], round(10 * every)
    while begins[-1] + length < 1000:
        begins.append(begins[-1] + length)
        length *= mult
    tops = [t for t, setting in enumerate(trace) if setting.factor > 1 - 1e-9]
    assert tops == begins
    if every > 0.1:  # cycles of one update have no other
        assert all(trace[t - 1].factor < 0.6 for t in begins[1:])

"""The closed-loop rules, worked out by hand from their papers; beside each, a mistake that the same numbers catch.

greedy          arXiv:2512.14527 as documented in transformers: by gamma after more than `patience` losses
polyak          arXiv:2002.10542: gamma = min((f - f*) / (c ||g||^2), gamma_b)
hypergradient   arXiv:1703.04782, SGD-HD: alpha = alpha + beta g_t . g_(t-1)
refined         arXiv:2310.07831: eta_t = w_t (w_(t+1) + ... + w_T), w = median(G)^-2, over the largest

`plateau` stands in test_golden.py. Beside torch and transformers, greedy stands in test_libraries.py.
"""

import numpy as np
import pytest

import schedules
from bench.contract import Clock, InputError, Signals
from schedules.schedule import factors
from tests.schedules.examples import recorded


def driven(text, seen, peak_lr=0.1):
    it, trace = schedules.parse(text), []
    state = it.init()
    for step, signals in enumerate(seen):
        setting, state = it(state, Clock(step, len(seen), 4, peak_lr), signals)
        trace.append(setting.factor)
    return trace


def told(*losses):
    return [Signals(loss, 1.0) for loss in losses]


GREEDY = {  # text: (losses, factors, a mistake)
    "greedy(patience=1, gamma=0.5)": (
        [9, 8, 7, 6, 6, 6, 5, 5, 5],
        [1, 1, 2, 2, 4, 4, 2, 2, 2],  # 9 is the first new lowest; after 9 and 8 it rises, after 7 and 6 again
        [1, 2, 4, 8, 16, 8, 4, 8, 4],  # a change at `patience`, not beyond
    ),
    "greedy(patience=0, gamma=0.5, hold=1)": (
        [9, 8, 7, 7, 7, 7],
        [1, 2, 2, 4, 4, 2],  # 8 and the first repeated 7 are within the rest after a rise
        [1, 2, 4, 8, 4, 2],
    ),
    "greedy(patience=0, gamma=0.5, rest=2)": (
        [9, 9, 1, 1, 9, 9],
        [1, 2, 1, 1, 1, 0.5],  # the fall to 1 is not seen
        [1, 2, 1, 2, 1, 0.5],
    ),
    "greedy(patience=0, gamma=0.5, low=0.4, high=1.5)": (
        [9, 8, 8, 8, 8, 7],
        [1, 1.5, 1.5, 0.75, 0.4, 0.4],
        [1, 2, 4, 2, 1, 0.5],  # no bounds
    ),
    "greedy(patience=0, gamma=0.5, low=0.5, reset=2)": (
        [3, 3, 3, 3, 5, 5],
        [1, 2, 1, 0.5, 1, 2],  # two cuts that end at 0.5: the peak, and 5 is a first loss again
        [1, 2, 1, 0.5, 0.5, 0.5],
    ),
    "greedy(patience=0, gamma=0.5, window=2)": (
        [9, 1, 8, 3, 8],
        [1, 2, 4, 8, 4],  # of the means 9, 5, 4.5, 5.5, 5.5
        [1, 2, 4, 2, 1],
    ),
    "greedy(patience=0, gamma=0.5, margin=0.5)": ([9, 8.75, 8.25, 8], [1, 2, 1, 2], [1, 2, 4, 8]),
}


@pytest.mark.parametrize("text", GREEDY)
def test_greedy_follows_its_rule(text):
    losses, expected, mistake = GREEDY[text]
    assert driven(text, told(*losses)) == expected
    assert mistake != expected


POLYAK = {  # text: ({(loss, gradient norm): factor}, a mistake); the peak is 0.1
    "polyak": (
        {(1, 1): 1, (1, 5): 0.8, (0.5, 10): 0.1, (2, 20): 0.1, (0, 3): 0, (0, 0): 1, (-1, 3): 0},
        lambda f, g: min(f / (0.5 * g * 0.1 + 1e-9), 1),  # the norm, not its square
    ),
    "polyak(f_star=0.5, c=0.2)": (
        {(1, 1): 1, (1, 10): 0.25, (0.5, 3): 0, (0.4, 3): 0, (2.5, 20): 0.25},
        lambda f, g: min(f / (0.2 * g**2 * 0.1), 1),  # without f*
    ),
}


@pytest.mark.parametrize("text", POLYAK)
def test_polyak_has_the_step_of_its_paper(text):
    expected, mistake = POLYAK[text]
    for (loss, norm), factor in expected.items():
        assert driven(text, [Signals(loss, norm)]) == pytest.approx([factor], rel=1e-14, abs=0)
    assert any(abs(mistake(*at) - factor) > 1e-3 for at, factor in expected.items())
    assert driven("polyak", [Signals(1e-300, 1e200)]) == [0.0]  # no overflow


DOTS = [0.0, -3.0, 2.0, 6.0, -20.0, 1.0]
HYPER = {  # text: (factors at a peak of 0.1, a mistake)
    "hypergradient(beta=0.01)": (
        [1, 0.7, 0.9, 1.5, 0, 0.1],  # 1.5 - 2 is below 0
        [1, 0.97, 0.99, 1.05, 0.85, 0.86],  # beta of the factor, not of the LR
    ),
    "hypergradient(beta=0.01, high=1.2)": ([1, 0.7, 0.9, 1.2, 0, 0.1], [1, 1.2, 1.1, 0.5, 1.2, 1.1]),  # the other sign
}


@pytest.mark.parametrize("text", HYPER)
def test_hypergradient_moves_by_the_inner_product(text):
    expected, mistake = HYPER[text]
    assert driven(text, [Signals(1.0, 1.0, grad_dot=dot) for dot in DOTS]) == pytest.approx(expected, abs=1e-14)
    assert mistake != pytest.approx(expected, abs=1e-3)


def test_hypergradient_takes_what_overflowed_for_its_bounds():
    dots = [0.0, float("inf"), float("-inf"), float("nan"), 1.0]
    seen = [Signals(1.0, 1.0, grad_dot=dot) for dot in dots]
    assert driven("hypergradient(beta=0.01, high=2)", seen) == pytest.approx([1, 2, 0, 0, 0.1])


# ------------------------------------------------------------------------------------------------ refined


NORMS = [1.0, 2.0, 2.0, 4.0]
REFINED = {  # settings: (factors, a mistake)
    # weights 1, 1/4, 1/4, 1/16, 1/16: products 5/8, 3/32, 1/32, 1/256
    "": ([1, 3 / 20, 1 / 20, 1 / 160], [1, 1 / 10, 1 / 20, 1 / 40]),  # without the weight of the update itself
    # weights 1, 1/2, 1/2, 1/4, 1/4: products 3/2, 1/2, 1/4, 1/16
    ", rule='adam'": ([1, 1 / 3, 1 / 6, 1 / 24], [1, 3 / 20, 1 / 20, 1 / 160]),
    # medians of three, padded 1 | 1 2 2 4 | 2: 1 2 2 2; weights 1, 1/4, 1/4, 1/4, 1/4: products 1, 3/16, 1/8, 1/16
    ", tau=0.75": ([1, 3 / 16, 1 / 8, 1 / 16], [1, 3 / 20, 1 / 20, 1 / 160]),
}


@pytest.fixture
def trace(tmp_path):
    return recorded(tmp_path / "run.npz", [NORMS, [3.0] * 4])


@pytest.mark.parametrize("settings", REFINED)
def test_refined_has_the_values_of_its_algorithm(trace, settings):
    expected, mistake = REFINED[settings]
    mine = [s.factor for s in factors(schedules.parse(f"refined('{trace}'{settings})"), 4, 2, 0.1)]
    assert mine == pytest.approx(expected, rel=1e-14)
    assert mistake != pytest.approx(expected, abs=1e-3)


def test_refined_by_equal_norms_is_linear_at_any_budget(trace):
    for total in (3, 4, 7, 100):
        mine = factors(schedules.parse(f"refined('{trace}', segment=1)"), total, 2, 0.1)
        assert [s.factor for s in mine] == pytest.approx([1 - t / total for t in range(total)], abs=1e-14)


def test_another_budget_lies_between_the_updates_of_the_run(trace):
    eight = [s.factor for s in factors(schedules.parse(f"refined('{trace}')"), 8, 2, 0.1)]
    assert eight[::2] == pytest.approx(REFINED[""][0], rel=1e-14)
    assert eight[1::2] == pytest.approx([23 / 40, 1 / 10, 9 / 320, 1 / 320], rel=1e-14)


def test_the_norms_are_part_of_the_name(trace):
    text = schedules.parse(f"refined('{trace}')").text
    assert schedules.parse(text).text == text
    assert schedules.parse(f"refined('{trace}', segment=1)").text.partition("digest")[2] not in text
    recorded(trace, [[*NORMS[:3], 4.0000005], [3.0] * 4])
    with pytest.raises(InputError, match="is not the trace meant: its digest is"):
        schedules.parse(text)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "is no trace, such as"),
        (lambda path: path.write_text("norms"), "is no trace, such as"),
        (lambda path: np.savez(path, grad_norm=NORMS), "is no trace, such as"),
        (lambda path: recorded(path, [[1.0, 0.0]]), "holds a gradient norm that is 0 or not finite"),
        (lambda path: recorded(path, [[1.0, np.nan]]), "holds a gradient norm that is 0 or not finite"),
        (lambda path: recorded(path, [[1.0, 2.0]], step=3), r"segment 0 .* is no run from update 0; these are: \[\]"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path, make, words):
    make(tmp_path / "run.npz")
    with pytest.raises(InputError, match=words) as error:
        schedules.parse(f"refined('{tmp_path / 'run.npz'}')")
    assert "\n" not in str(error.value)


def test_a_segment_that_is_not_there_is_refused_with_those_that_are(trace):
    with pytest.raises(InputError, match=r"segment 2 of .* is no run from update 0; these are: \[0, 1\]"):
        schedules.parse(f"refined('{trace}', segment=2)")

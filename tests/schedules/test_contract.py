"""Rules that every schedule of the catalogue follows."""

import inspect
import io
import json
import math
import random
from itertools import pairwise
from types import NoneType
from typing import Annotated, Literal, get_args, get_origin

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import schedules
from bench.contract import Clock, Schedule, Setting, Signals
from schedules.schedule import factors, pack, unpack
from schedules.spec import names, parse
from tests.schedules.examples import EPOCH_STEPS, EXAMPLES, FOLDER, HIGHEST, RUNS, T, recorded, run, signals

BORROWED = {"torch", "timm", "transformers"}

every_example = pytest.mark.parametrize("text", EXAMPLES)
every_open_loop = pytest.mark.parametrize("text", [t for t in EXAMPLES if not schedules.parse(t).needs])
every_closed_loop = pytest.mark.parametrize("text", [t for t in EXAMPLES if schedules.parse(t).needs])
every_name = pytest.mark.parametrize("name", schedules.CATALOGUE)


@every_name
def test_the_catalogue_has_examples_of_each(name):
    assert any(name == text.partition("(")[0] for text in EXAMPLES)


@every_name
def test_a_docstring_has_formula_source_and_doctest(name):
    factory = schedules.CATALOGUE[name]
    assert factory.__name__ == name
    assert "factor" in factory.formula
    assert " = " in factory.formula
    assert ">>>" not in factory.formula
    assert factory.paper
    assert ">>> " in factory.__doc__
    assert factory.horizon in ("none", "relative", "absolute", "as given")


@every_example
def test_a_built_schedule_follows_the_protocol(text):
    schedule = schedules.parse(text)
    assert isinstance(schedule, Schedule)
    assert schedule.horizon in ("none", "relative", "absolute")
    assert schedule.needs <= {"loss", "grad_norm", "grad_dot", "control"}
    setting, _ = schedule(schedule.init(), Clock(0, T, EPOCH_STEPS, 0.1), Signals(1.0, 1.0))
    assert isinstance(setting, Setting)


@every_example
def test_text_parses_back_and_is_canonical(text):
    schedule = schedules.parse(text)
    assert schedule.text == text
    assert schedules.parse(schedule.text) == schedule
    assert str(schedule) == schedule.text


def test_defaults_and_spelling_do_not_change_a_schedule():
    same = ["wsd", "wsd()", "wsd( cooldown = 2e-1 )", "wsd(cooldown=0.2, shape='linear')"]
    assert {schedules.parse(text).text for text in same} == {"wsd"}
    assert schedules.parse("step(every=3)") == schedules.parse("step(every=3.0)") != schedules.parse("step")
    assert [s.text for s in schedules.parse_list("cosine, wsd(cooldown=1.0)")] == ["cosine", "wsd(cooldown=1)"]


@every_example
def test_factors_are_finite_and_never_negative_and_one_at_the_peak(text):
    trace = [setting.factor for setting in run(schedules.parse(text))[0]]
    highest = HIGHEST.get(text, 1)
    assert all(0 <= factor <= highest * (1 + 1e-8) for factor in trace)
    assert max(trace) >= 0.99 * highest if "noise" in text else max(trace) == pytest.approx(highest, rel=1e-8)
    assert text in HIGHEST or max(trace) == 1


@every_example
def test_a_factor_never_jumps_beyond_its_declared_slope(text):
    trace = [setting.factor for setting in run(schedules.parse(text))[0]]
    steepest = max(abs(a - b) for a, b in pairwise(trace)) * T
    assert steepest <= EXAMPLES[text] * (1 + 1e-9)
    if EXAMPLES[text] < math.inf:
        assert steepest >= 0.9 * EXAMPLES[text], "the declared slope is too generous to catch anything"


@every_open_loop
def test_the_order_of_asking_does_not_matter(text):
    schedule = schedules.parse(text)
    steps = random.Random(0).sample(range(T), 40)
    trace = factors(schedule, T, EPOCH_STEPS, 0.1)
    for step in steps:
        assert schedule(schedule.init(), Clock(step, T, EPOCH_STEPS, 0.1), None)[0] == trace[step]


@every_open_loop
def test_open_loop_ignores_signals(text):
    schedule = schedules.parse(text)
    assert run(schedule)[0] == factors(schedule, T, EPOCH_STEPS, 0.1)


@every_closed_loop
def test_closed_loop_is_pure(text):
    schedule = schedules.parse(text)
    settings_, states = run(schedule)
    seen = signals()
    for step in reversed(range(T)):
        setting, following = schedule(states[step], Clock(step, T, EPOCH_STEPS, 0.1), seen[step])
        assert setting == settings_[step]
        assert step == T - 1 or following == states[step + 1]


def through_json(packed):
    return json.loads(json.dumps(packed))


def through_torch(packed):
    file = io.BytesIO()
    torch.save(packed, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@every_example
@pytest.mark.parametrize("channel", [through_json, through_torch])
def test_a_state_survives_saving(text, channel):
    schedule = schedules.parse(text)
    for state in run(schedule)[1][:: T // 8]:
        again = unpack(schedule.init(), channel(pack(state)))
        assert again == state
        assert repr(again) == repr(state)  # the types, too, and which of the equal zeros


@every_closed_loop
def test_resuming_at_any_step_changes_no_bit(text):
    schedule, total = schedules.parse(text), 60
    whole, states = run(schedule, total, 5)
    assert len({s.factor for s in whole}) > 1, "nothing happens in this example"
    for start in range(total):
        state = unpack(schedule.init(), through_json(pack(states[start])))
        assert run(schedule, total, 5, state, start)[0] == whole[start:]


@every_example
@pytest.mark.parametrize("total", [1, 2, 10**10])
def test_budgets_of_one_update_and_of_ten_billion(text, total):
    schedule = schedules.parse(text)
    if BORROWED & names(parse(text)):  # which are stepped through all that lies before
        total = min(total, T)
    for epoch_steps in (1, 7, 10**4):
        for step in sorted({0, total // 3, total // 2, total - 1}):
            clock = Clock(step, total, epoch_steps, 0.1)
            (factor, _), _ = schedule(schedule.init(), clock, Signals(1.0, 1.0))
            assert 0 <= factor <= max(1, HIGHEST.get(text, 1))


# ------------------------------------------------------- any settings that the annotations allow, by Hypothesis


def values(hint, schedule=None, size=1):
    """What `hint` allows, as it says itself; lists have that size."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Schedule:
        return schedule
    if origin is tuple:
        return st.lists(values(inner[0], schedule), min_size=size, max_size=size)
    if origin is Annotated and inner[0] is int:
        return st.integers(int(inner[1].low), 20)
    if origin is Annotated:
        low, high, ends = inner[1]
        return st.floats(low, high, exclude_min=ends[0] == "(", exclude_max=ends[1] == ")")
    if origin is Literal:
        return st.sampled_from(inner)
    if hint is str:  # of a file
        return st.just(str(TRACE))
    if hint is bool:
        return st.booleans()
    return st.one_of(*(values(one, schedule, size) for one in inner if one is not NoneType))


TRACE = recorded(FOLDER / "many.npz", RUNS[:1] * 21)  # a segment for each whole number that is drawn


@st.composite
def built(draw, name, inner=None):
    """A schedule of that name, each of its settings given or left out."""
    factory, size = schedules.CATALOGUE[name], draw(st.integers(1, 3))
    chosen = {
        k: draw(values(p.annotation, inner, size))
        for k, p in inspect.signature(factory).parameters.items()
        if p.default is p.empty or draw(st.booleans())
    }
    if name == "piecewise":  # points that ascend
        chosen["at"] = sorted(draw(st.lists(st.integers(0, 20), min_size=size, max_size=size, unique=True)))
        chosen["at"] = [point / 20 for point in chosen["at"]]
    if name == "stages":  # shares that sum to 1
        weights = draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))
        chosen["shares"] = [weight / sum(weights) for weight in weights]
    if name == "warmup":  # one length, not two
        chosen.pop("epochs" if "fraction" in chosen else "fraction", None)
        chosen = {"epochs": 1} | chosen if "fraction" not in chosen else chosen
    chosen.pop("digest", None)  # which is the file's to say
    for k in {"by", "scales"} & set(chosen):  # heights above the peak are allowed, but not looked at here
        chosen[k] = [min(1.0, v) for v in chosen[k]] if k == "scales" else min(1.0, chosen[k])
    return factory(**chosen)


def takes_schedules(factory):
    return any("Schedule" in str(p.annotation) for p in inspect.signature(factory).parameters.values())


COMBINATORS = {name for name, factory in schedules.CATALOGUE.items() if takes_schedules(factory)}


def anything():
    simple = [built(name) for name in schedules.CATALOGUE if name not in COMBINATORS | BORROWED]
    around = sorted(COMBINATORS)
    return st.recursive(
        st.one_of(*simple), lambda inner: st.one_of(*(built(name, inner) for name in around)), max_leaves=4
    )


def test_the_combinators_are_known_by_their_settings():
    assert {"warmup", "cooldown", "stages", "chain", "scale", "floor", "noise"} == COMBINATORS


@settings(max_examples=300, deadline=None)
@given(anything(), st.sampled_from([1, 2, 3, 10, 997, 10**10]), st.sampled_from([1, 3, 100]), st.data())
def test_any_settings_give_a_sound_schedule(schedule, total, epoch_steps, data):
    assert schedules.parse(schedule.text) == schedule
    assert schedules.parse(schedule.text).text == schedule.text
    step = data.draw(st.integers(0, total - 1))
    state = unpack(schedule.init(), pack(schedule.init()))
    (factor, momentum), _ = schedule(state, Clock(step, total, epoch_steps, 0.1), Signals(1.0, 1.0))
    assert 0 <= factor <= 2 ** schedule.text.count("noise(")
    assert momentum is None or 0 <= momentum < 1

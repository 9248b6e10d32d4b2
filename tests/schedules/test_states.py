"""A closed-loop schedule of one's own is saved and restored at every update of its trial, and then bit for bit."""

from types import SimpleNamespace

import pytest

import schedules
from bench.contract import Clock, InputError, Signals
from bench.ledger import checkpoint
from bench.train.decisions import Decisions

HEAD = """
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

class Point(NamedTuple):
    x: float = 0.0
    y: float = 0.0

class Odd(tuple):
    pass

class Level(IntEnum):
    low = 1

@dataclass(frozen=True)
class Kept:
    x: float = 0.0

class f:
    needs = frozenset({"loss"})
    def init(self):
        return INIT
    def __call__(self, state, clock, seen):
        return 1 / (1 + clock.step), NEXT
"""


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def built(init, following, head=HEAD):
        (tmp_path / "mine.py").write_text(head.replace("INIT", init).replace("NEXT", following))
        return schedules.parse("mine.py:f")

    return built


def types(state):
    return type(state).__name__, [types(part) for part in state] if isinstance(state, tuple) else repr(state)


SOUND = {
    "grows from ()": ("()", "(*state[-3:], seen.loss)"),
    "None, then a tuple": ("None", "(clock.step, seen.loss)"),
    "nests otherwise each time": ("0", "(state if isinstance(state, int) else 1, (seen.loss,) * (clock.step % 3))"),
    "a tuple, then None": ("(1.0,)", "None if clock.step % 2 else (seen.loss,)"),
    "names from the start": ("Point()", "Point(seen.loss, clock.step)"),
    "names inside what grows": ("(Point(), ())", "(Point(seen.loss), (*state[1][-2:], seen.loss))"),
    "whether": ("False", "seen.loss < 1.5"),
    "not a number": ("float('nan')", "float('nan')"),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_state_of_any_shape_is_resumed_to_the_bit(build, tmp_path, case):
    it = build(*SOUND[case])
    cell = _cell(it)
    whole = Decisions([cell], {cell.schedule: it}, 5)
    path = tmp_path / "it.pt"
    for step in range(12):
        checkpoint.save(path, whole.state())
        again = Decisions([cell], {cell.schedule: it}, 5)
        again.load(checkpoint.load(path))
        assert types(again.states[0]) == types(whole.states[0])
        seen = Signals(2 - step / 12, 1.0)
        assert again.ask(0, step, seen) == whole.ask(0, step, seen) is not None
        assert types(again.states[0]) == types(whole.states[0])


def _cell(it):
    return SimpleNamespace(schedule=it.text, total=12, peak_lr=0.1)


UNSOUND = {
    "np.float64": ("0.0", "np.float64(seen.loss)", "is of numpy.float64, make it a float(...)"),
    "np.float64 in a tuple": ("(0.0,)", "(np.float64(seen.loss),)", "is of numpy.float64, make it a float(...)"),
    "np.int64": ("0", "np.int64(3)", "is of numpy.int64, make it a float(...)"),
    "text": ("'a'", "state", "'a' is of str"),
    "a set": ("frozenset()", "state", "is of frozenset"),
    "a dict": ("{}", "state", "{} is of dict"),
    "a dataclass": ("Kept()", "state", "Kept(x=0.0) is of"),
    "an enum": ("0", "Level.low", "Level"),
    "a tuple of another kind": ("Odd((1.0,))", "state", "a snapshot would give back (1.0,)"),
    "names that come later": ("None", "Point(seen.loss)", "names only where those of init() have them"),
    "names that go": ("Point()", "(1.0, 2.0)", "names only where those of init() have them"),
    "deeper each time": ("()", "(state,)", "its tuples lie more than 20 deep"),
    "larger than 64 bits": ("1", "state * 2", "has more than 64 bits"),
    "thousands of digits": ("1", "(10**5000,)", "has more than 64 bits"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_a_state_that_cannot_be_restored_is_refused_in_one_line(build, case):
    init, following, words = UNSOUND[case]
    with pytest.raises(InputError) as error:
        build(init, following)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert "mine.py:f" in str(error.value)


def test_init_gives_one_state(build):
    head = HEAD.replace("return INIT", "self.n = getattr(self, 'n', 0) + 1; return self.n")
    with pytest.raises(InputError, match=r"not pure: init\(\) gave two states"):
        build("", "state", head)


def test_what_the_trial_cannot_reach_fails_its_cell_alone_and_leaves_a_state_that_saves(build, tmp_path):
    it = build("0.0", "np.float64(1.0) if seen.loss > 50 else seen.loss")
    cell = _cell(it)
    asked = Decisions([cell], {cell.schedule: it}, 5)
    assert asked.ask(0, 0, Signals(1.0, 1.0)) is not None
    assert asked.ask(0, 1, Signals(99.0, 1.0)) is None
    assert "is of numpy.float64" in asked.failed[0][1]
    checkpoint.save(tmp_path / "it.pt", asked.state())
    assert checkpoint.load(tmp_path / "it.pt")["states"] == [1.0]


@pytest.mark.parametrize("momentum", ["'high'", "1.0", "-0.1", "float('nan')"])
def test_a_momentum_is_a_number_below_one(build, momentum):
    head = HEAD.replace("return 1 / (1 + clock.step)", f"return Setting(1.0, {momentum})")
    head = f"from bench.contract import Setting\n{head}"
    with pytest.raises(InputError, match=r"a number from 0 to below 1, or None"):
        build("0.0", "state", head)


def test_clock_of_the_trial_is_a_clock(build):
    it = build("()", "(*state, seen.loss)[-2:]")
    assert it(it.init(), Clock(0, 9, 3, 0.1), Signals(1.0, 1.0)) == ((1.0, None), (1.0,))

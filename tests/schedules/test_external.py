"""Schedules from a user's file or package: given on the command line, tried out, refused in one line if unsound.

`tests/test_contributing.py` trains one beside built-in ones, by one command and in worker processes.
"""

import re

import pytest

import schedules
from bench.cli import main
from bench.contract import Clock, InputError, Schedule
from bench.runner.config import RunConfig, prepare
from schedules import external, reference
from schedules.schedule import factors
from schedules.spec import parse

MINE = '''
from dataclasses import dataclass
from typing import NamedTuple

from schedules.arguments import Positive
from schedules.schedule import schedule


def plain(progress, k=3, *, low=0.0):
    return max(low, (1 - progress) ** k)


def staircase(epoch, every=2):
    return 0.5 ** (epoch // every)


def counted(clock):
    return 1 - clock.step / clock.total


def flat():
    return 0.5


@schedule(paper="mine")
def decorated(progress, *, tau: Positive = 1.0):
    """A curve.

        factor = 1 / (1 + x / tau)
    """
    return 1 / (1 + progress / tau)


class Memory(NamedTuple):
    scale: float = 1.0
    best: float = 9.0


@dataclass(frozen=True)
class shy:
    gamma: float = 0.9
    needs = frozenset({"loss"})

    def init(self):
        return Memory()

    def __call__(self, memory, clock, seen):
        scale = memory.scale if seen.loss < memory.best else memory.scale * self.gamma
        return scale, Memory(scale, seen.loss)
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A file of one's own in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


def trace(text, total=8):
    return [s.factor for s in factors(schedules.parse(text), total, 2, 0.1)]


@pytest.mark.parametrize(
    ("text", "expected", "horizon"),
    [
        ("mine.py:plain", [(1 - t / 8) ** 3 for t in range(8)], "relative"),
        ("mine.py:plain(1)", [1 - t / 8 for t in range(8)], "relative"),
        ("mine.py:plain(k=1, low=0.5)", [max(0.5, 1 - t / 8) for t in range(8)], "relative"),
        ("mine.py:staircase(every=1)", [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125], "absolute"),
        ("./mine.py:counted", [1 - t / 8 for t in range(8)], "relative"),
        ("mine.py:flat", [0.5] * 8, "relative"),
        ("mine.py:decorated(tau=2)", [1 / (1 + t / 16) for t in range(8)], "relative"),
        ("warmup(mine.py:flat, epochs=1)", [0.25] + [0.5] * 7, "relative"),
        ("stages([mine.py:flat, 'mine.py:plain'(k=1)], [0.5, 0.5])", [0.5] * 4 + [1, 0.75, 0.5, 0.25], "relative"),
    ],
)
def test_a_function_in_a_file_is_a_schedule(mine, text, expected, horizon):
    it = schedules.parse(text)
    assert isinstance(it, Schedule)
    assert (trace(text), it.horizon) == (expected, horizon)
    assert re.search(r"mine\.py:[a-z]+@[0-9a-f]{8}", it.text)
    assert schedules.parse(it.text).text == it.text
    assert trace(it.text) == expected


def test_a_class_in_a_file_is_a_closed_loop(mine):
    it = schedules.parse("mine.py:shy(gamma=0.5)")
    assert it.needs == {"loss"}
    assert it.text.endswith("(gamma=0.5)")
    state = it.init()
    for loss, factor in ((3.0, 1.0), (4.0, 0.5), (2.0, 0.5)):
        setting, state = it(state, Clock(0, 9, 3, 0.1), schedules.schedule.Signals(loss, 1.0))
        assert setting.factor == factor


def test_a_list_mixes_them_with_the_built_in_ones(mine):
    texts = [s.text for s in schedules.parse_list("cosine, mine.py:plain(k=2), warmup(mine.py:flat, epochs=1), rex")]
    assert [re.sub("@[0-9a-f]{8}", "", text) for text in texts] == [
        "cosine",
        "mine.py:plain(k=2)",
        "warmup(mine.py:flat, epochs=1)",
        "rex",
    ]


def test_what_stands_in_quotes_is_left_alone():
    assert parse("torch('a:b', \"it's c:d\", e='f.py:g(')").args == ("a:b", "it's c:d")
    assert parse("f.py:g").name == "f.py:g"
    assert parse("'my file.py:g'(1)").args == (1,)


def test_a_name_with_a_blank_goes_in_quotes(mine):
    mine.rename("my own.py")
    it = schedules.parse("'my own.py:flat'")
    assert it.text.startswith("'my own.py:flat@")
    assert schedules.parse(it.text).text == it.text
    assert schedules.parse(f"warmup({it.text}, epochs=1)").text == f"warmup({it.text}, epochs=1)"


def test_two_versions_of_a_file_are_two_schedules(mine):
    before = schedules.parse("mine.py:flat").text
    mine.write_text(MINE.replace("return 0.5", "return 0.25"))
    after = schedules.parse("mine.py:flat").text
    assert before != after
    assert trace(after) == [0.25] * 8
    with pytest.raises(InputError, match=r"mine.py has changed, its digest is [0-9a-f]{8} now, not [0-9a-f]{8}"):
        schedules.parse(before)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that offers a schedule."""
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "__init__.py").write_text("")
    (tmp_path / "mypkg" / "mymod.py").write_text(MINE)
    (tmp_path / "mypkg-1.dist-info").mkdir()
    (tmp_path / "mypkg-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mypkg\nVersion: 1\n")
    (tmp_path / "mypkg-1.dist-info" / "entry_points.txt").write_text(
        f"[{external.GROUP}]\nfalling = mypkg.mymod:plain\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    reference.installed.cache_clear()
    yield
    reference.installed.cache_clear()


def test_a_package_offers_schedules(package):
    it = schedules.parse("warmup(falling(k=1), epochs=1)")
    assert re.fullmatch(r"warmup\(mypkg\.mymod:plain@[0-9a-f]{8}\(k=1\), epochs=1\)", it.text)
    assert schedules.parse(it.text).text == it.text
    assert schedules.parse("falling(k=1)").text == schedules.parse("mypkg.mymod:plain(k=1)").text
    with pytest.raises(InputError, match=r"unknown schedule 'faling' \(did you mean falling\?\).*falling, floor"):
        schedules.parse("faling")


def test_what_a_package_hands_on_bears_the_digest_of_where_it_is_defined(package, tmp_path):
    (tmp_path / "front").mkdir()
    (tmp_path / "front" / "__init__.py").write_text("from front.inner import plain\n")
    (tmp_path / "front" / "inner.py").write_text(MINE)
    before = schedules.parse("front:plain").text
    (tmp_path / "front" / "inner.py").write_text(MINE + "\n")
    assert schedules.parse("front:plain").text != before


UNSOUND = [
    ("def f(progress): return 0.5 - progress", "it gave -0.0"),
    ("def f(progress): return float('nan') if progress > 0.5 else 1.0", "it gave nan at update 31 of 60: a factor is"),
    ("def f(progress): return 1 / (0.5 - progress) ** 2", "it raised at update 30 of 60: ZeroDivisionError"),
    ("def f(progress): return 'high'", "it gave high at update 0 of 1: a factor is a finite number and not negative"),
    ("def f(progress): return None", "it gave None at update 0 of 1: a factor is a finite number"),
    ("import random\ndef f(progress): return random.random()", "it is not pure: asked twice at update"),
    (
        "n = 0\ndef f(progress):\n    global n\n    n += 1\n    return 1 / n",
        "it is not pure: asked twice at update 0 of 1",
    ),
    ("def f(time): return 1.0", "f(time, ...): the first parameter is one of progress, epoch, clock"),
    ("def f(progress, **others): return 1.0", "its settings should be named, not taken as *args or **kwargs"),
    ("def f(progress, k): return 1.0", "missing a required argument: 'k'"),
    ("from math import sqrt as f", "schedule mine.py:f"),
    ("f = 3", "it should be a function of progress, epoch, clock, or a class with init() and __call__()"),
    ("class f: pass", "it should be a function of progress, epoch, clock, or a class with init() and __call__()"),
    ("def g(progress): return 1.0", "mine.py has no f"),
    ("def f(progress) return 1.0", "schedule file mine.py, line 1: "),
    ("import nothing_there", "schedule file mine.py: ModuleNotFoundError: No module named 'nothing_there'"),
    (
        "from schedules.schedule import schedule\n@schedule(paper='')\ndef f(time): return 1.0",
        "schedule file mine.py: TypeError: f(time, ...): the first parameter is one of progress, epoch, clock",
    ),
    (
        "class f:\n    def init(self): return []\n    def __call__(self, state, clock, seen): return 1.0, state",
        "its state is [], and should be None or numbers in (named) tuples",
    ),
    (
        "class f:\n    n = 0\n    def init(self): return 0\n    def __call__(self, state, clock, seen):\n"
        "        self.n += 1\n        return 1.0, self.n",
        "it is not pure",
    ),
    (
        "class f:\n    def init(self): return None\n    def __call__(self, state, clock, seen): return 1.0",
        "it raised at update 0 of 1: TypeError",
    ),
]


@pytest.mark.parametrize(("source", "words"), UNSOUND)
def test_an_unsound_one_is_refused_by_the_rule_it_breaks(mine, source, words, capsys):
    mine.write_text(source + "\n")
    assert main.main(["plan", "smoke", "--tasks", "linreg", "--schedules", "cosine, mine.py:f"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line
    assert "mine.py" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gone.py:f", "schedule gone.py:f: file gone.py is not there"),
        ("nothing.there:f", "schedule nothing.there:f: ModuleNotFoundError"),
        ("nothing:f", "schedule nothing:f: there is no module nothing; a file is my_file.py:name"),
        ("math:sqrt", "schedule math:sqrt: there is no module math"),
        ("mine.py:plain(k=1, m=2)", "unexpected keyword argument 'm'; it is called as mine.py:plain(k=3, *, low=0.0)"),
        ("mine.py:decorated(tau=-1)", "schedule decorated: tau should be a number in (0, 1e+09], not -1"),
        ("mine.py:plain(k='3')", "it raised at update 0 of 1: TypeError"),
    ],
)
def test_a_wrong_name_or_setting_is_told_in_one_line(mine, text, words):
    with pytest.raises(InputError) as error:
        schedules.parse(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_what_goes_wrong_at_a_real_budget_only_is_found_before_training(mine, capsys):
    """The probe cannot know every budget; the plan asks for every update of every cell."""
    total = prepare(RunConfig(suite="smoke", tasks="linreg", schedules="constant", seeds=1)).plan.cells[0].total
    mine.write_text(f"def f(clock): return -1.0 if clock[:2] == ({total - 1}, {total}) else 1.0\n")
    assert main.main(["plan", "smoke", "--tasks", "linreg", "--schedules", "mine.py:f", "--seeds", "1"]) == 2
    assert f"it gave -1.0 at update {total - 1} of {total}" in capsys.readouterr().err


def test_another_version_of_a_file_is_another_plan(mine):
    order = RunConfig(suite="smoke", tasks="linreg", schedules="cosine, mine.py:plain", seeds=1)
    before = prepare(order).plan
    assert prepare(order).plan.id == before.id
    mine.write_text(MINE + "\n")
    after = prepare(order).plan
    assert {c.id for c in after.cells} & {c.id for c in before.cells} == {
        c.id for c in before.cells if c.schedule == "cosine"
    }

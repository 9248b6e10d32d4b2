"""Bad input: one clear line, exit code 2, no traceback, and nothing that was recorded is lost."""

import json
import os
import shutil
import signal
import sys

import pytest

from bench import suites
from bench.cli import main
from bench.ledger import ledger, paths
from bench.plan import Grid, Suite
from bench.preempt import SIGNALS
from tests.runs import launch


@pytest.fixture
def refuse(capsys):
    """`glideslope run` with bad arguments; the one line that comes out on standard error."""

    def refuse(*arguments):
        try:
            code = main.main(["run", *map(str, arguments)])
        except SystemExit as end:  # argparse
            code = end.code
        said = capsys.readouterr()
        assert code == 2, said
        lines = said.err.strip().splitlines()
        assert len(lines) == 1, lines
        return lines[0]

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield refuse
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        pytest.param(("smoke", "--seeds", "some"), marks=pytest.mark.faults),
        pytest.param(("smoke", "--budgets", "nan"), marks=pytest.mark.faults),
    ],
)
def test_the_script_ends_with_code_2_and_no_traceback(arguments):
    done = launch(*arguments, check=False)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_accelerate_adds_no_traceback_of_ours():
    """Its own it adds, unless told to be quiet; and it turns any code into 1."""
    launcher = (sys.executable, "-m", "accelerate.commands.launch", "--cpu", "-q")
    done = launch("smoke", "--tasks", "digit", launcher=launcher, check=False)
    assert done.returncode != 0
    assert "unknown task 'digit' (did you mean digits?)" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], ["unknown suite 'nothing'", "core", "smoke"]),
        (["smoke", "--tasks", "digit"], ["unknown task 'digit'", "did you mean digits?"]),
        (["smoke", "--schedules", "cosin"], ["unknown schedule 'cosin'", "did you mean cosine?"]),
        (["smoke", "--schedules", "wsd(cool=1)"], ["wsd", "cool", "cooldown"]),
        (["smoke", "--schedules", "wsd(cooldown=2)"], ["cooldown", "2"]),
        (["smoke", "--schedules", "cosine("], ["cannot read"]),
        (["smoke", "--budgets", "0"], ["budget 0.0"]),
        (["smoke", "--budgets", "-1"], ["budget -1.0"]),
        (["smoke", "--budgets=-1"], ["budget -1.0"]),
        (["smoke", "--budgets", "nan"], ["budget nan"]),
        (["smoke", "--budgets", "half"], ["'half' should be numbers"]),
        (["smoke", "--seeds", "0"], ["seeds 0"]),
        (["smoke", "--seeds", "some"], ["--seeds"]),
        (["smoke", "--peak-lrs", "0"], ["peak LR 0.0"]),
        (["smoke", "--workers", "0"], ["--workers 0"]),
        (["smoke", "--shard", "2/2"], ["shard 2/2"]),
        (["smoke", "--engine", "magic"], ["magic", "stacked"]),
        (["smoke", "--tasks", "grammar", "--engine", "magic"], ["magic"]),
        (["not_there.py"], ["not_there.py is not there"]),
    ],
)
def test_one_line_says_what_was_wrong(refuse, tmp_path, arguments, words):
    line = refuse(*arguments, "--out", tmp_path / "out")
    for word in words:
        assert word in line
    assert not (tmp_path / "out").exists()


SUITE = "from bench.plan import Grid, Suite\n\ndef suite():\n    return Suite({})\n"
GRID = SUITE.format("'mine', (Grid(task='digits', {}),)")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def suite(:\n", "line 1"),
        ("import nothing_there\n", "ModuleNotFoundError"),
        ("def other():\n    pass\n", "suite"),
        ("def suite():\n    return 3\n", "should return a bench.plan.Suite"),
        ("suite = 3\n", "has no function suite()"),
        ("\0", "source code string cannot contain null bytes"),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
        ("def suite():\n    raise SystemExit('no')\n", "SystemExit: no"),
        ("def suite():\n    raise ValueError('first\\nsecond')\n", "ValueError: first"),
        (SUITE.format("'mine', ()"), "its grids should be a tuple of one Grid or more, not ()"),
        (SUITE.format("'mine', Grid(task='digits', schedules=('rex',))"), "its grids should be a tuple"),
        (
            SUITE.format("3, (Grid(task='digits', schedules=('rex',)),)"),
            "its name and reference should be texts",
        ),
        (SUITE.format("'mine', (Grid(task='digits', schedules=('rex',)),), tune=0.5"), "tune should be a whole number"),
        (GRID.format("schedules='cosine'"), "schedules of a Grid should be a tuple such as ('cosine', 'rex'), not"),
        (GRID.format("schedules=(3,)"), "schedules of a Grid should be a tuple"),
        (GRID.format("schedules=()"), "schedules of a Grid should be a tuple"),
        (GRID.format("schedules=('rex',), budgets=0.5"), "budgets of a Grid should be a tuple such as (0.1, 0.5)"),
        (GRID.format("schedules=('rex',), budgets=('0.5',)"), "budgets of a Grid should be a tuple"),
        (GRID.format("schedules=('rex',), peak_lrs=0.1"), "peak_lrs of a Grid should be a tuple"),
        (GRID.format("schedules=('rex',), averagings='none'"), "averagings of a Grid should be a tuple"),
        (GRID.format("schedules=('rex',), seeds='3'"), "seeds of a Grid should be a whole number"),
        (GRID.format("schedules=('rex',), seeds=True"), "seeds of a Grid should be a whole number"),
        (GRID.format("schedules=('rex',), weight_decay='0'"), "weight_decay of a Grid should be a number"),
        (GRID.format("schedules=('rex',), optimizer=3"), "optimizer of a Grid should be a text"),
        (GRID.format("schedules=('rex',), budgets=(0.1, -1)").replace("digits", "linreg"), "budget -1"),
    ],
)
def test_a_broken_suite_file(refuse, tmp_path, source, words):
    (tmp_path / "mine.py").write_text(source)
    line = refuse(tmp_path / "mine.py", "--out", tmp_path / "out")
    assert "mine.py" in line or words.startswith("budget")
    assert words in line


def test_lists_in_a_suite_file_are_as_good_as_tuples(tmp_path):
    lists = "schedules=['rex'], budgets=[0.5], peak_lrs=[1], averagings=['none']"
    (tmp_path / "mine.py").write_text(SUITE.format(f"'mine', [Grid(task='digits', {lists})]"))
    tuples = Grid(task="digits", schedules=("rex",), budgets=(0.5,), peak_lrs=(1,), averagings=("none",))
    assert suites.load(str(tmp_path / "mine.py")) == Suite("mine", (tuples,))


def test_an_out_that_cannot_be_written(refuse, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot write to" in refuse("smoke", "--out", tmp_path / "file" / "out")


LITTLE = ("smoke", "--tasks", "linreg", "--schedules", "constant,cosine", "--budgets", "0.1", "--seeds", 1)


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    launch(*LITTLE, "--out", out)
    return out


@pytest.fixture
def finished(run_once, tmp_path):
    return shutil.copytree(run_once, tmp_path / "out")


def test_an_out_of_another_plan_is_left_alone(finished, refuse):
    before = [f.read_bytes() for f in paths.parts(finished)]
    line = refuse(*LITTLE[:-1], 2, "--out", finished)
    assert "belongs to another plan" in line
    assert [f.read_bytes() for f in paths.parts(finished)][: len(before)] == before


def test_a_corrupt_line_in_the_middle_is_named(finished, refuse):
    part = max(paths.parts(finished), key=lambda f: f.stat().st_size)
    lines = part.read_bytes().split(b"\n")
    lines[1] = lines[1][: len(lines[1]) // 2]
    part.write_bytes(b"\n".join(lines))
    before = part.read_bytes()
    assert f"{part.name}, line 2" in refuse(*LITTLE, "--out", finished)
    assert part.read_bytes() == before


@pytest.mark.faults
def test_a_torn_last_line_is_repaired_and_replayed(finished):
    whole = {r.key: r.payload for r in ledger.read(finished) if r.kind != "attempt"}
    part = max(paths.parts(finished), key=lambda f: f.stat().st_size)
    last = json.loads(part.read_bytes().split(b"\n")[-2])
    assert last["kind"] == "cohort"
    os.truncate(part, part.stat().st_size - 9)
    done = launch(*LITTLE, "--out", finished)
    assert "cut off in the middle of a write" in done.stdout
    assert {r.key: r.payload for r in ledger.read(finished) if r.kind != "attempt"} == whole


def test_report_on_a_directory_without_a_ledger(tmp_path, capsys):
    assert main.main(["report", str(tmp_path)]) == 2
    assert "holds no ledger" in capsys.readouterr().err

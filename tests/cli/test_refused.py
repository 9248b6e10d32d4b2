"""`plan`, `submit --dry-run` and `run` refuse the same things, with the same line, before anything is written."""

import math
import shlex
from dataclasses import fields, replace

import pytest

import tasks
from bench.cli import main
from bench.ledger.deposit import deposit
from bench.ledger.ledger import Ledger
from bench.ledger.rows import TaskFacts
from bench.runner import run_dir
from bench.runner.config import RunConfig, prepare
from tasks.synthetic.problems import quadratic
from tests.analysis import rows
from tests.runs import attempt

COMMANDS = (("plan",), ("submit", "--dry-run"), ("run", "--workers", "1"))
FEW = ("--schedules", "constant", "--seeds", "1")


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """The line with which all three commands refuse these arguments."""
    monkeypatch.chdir(tmp_path)

    def refused(*arguments):
        before, lines = sorted(tmp_path.rglob("*")), set()
        for command in COMMANDS:
            try:
                code = main.main([*command, *arguments])
            except SystemExit as end:  # argparse
                code = end.code
            out, err = capsys.readouterr()
            assert (code, out) == (2, ""), (command, out, err)
            (line,) = err.splitlines()
            lines.add(line.replace(f"glideslope {command[0]} --help", "HELP"))
            assert sorted(tmp_path.rglob("*")) == before
        (line,) = lines
        return line.removeprefix("glideslope: ")

    return refused


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nothing"], "unknown suite 'nothing'"),
        ([""], "unknown suite ''"),
        (["smoke", "--tasks", "digit"], "unknown task 'digit' (did you mean digits?)"),
        (["smoke", "--tasks", ""], "cannot read ''"),
        (["smoke", "--tasks", "quadratic(3)"], "task quadratic: too many positional arguments"),
        (["smoke", "--schedules", ""], "cannot read ''"),
        (["smoke", "--schedules", "cosin"], "unknown schedule 'cosin' (did you mean cosine?)"),
        (["smoke", "--budgets", ""], "argument --budgets: '' should be numbers"),
        (["smoke", "--budgets", "0"], "budget 0.0 on "),
        (["smoke", "--budgets", "inf"], "budget inf on "),
        (["smoke", "--budgets", "nan"], "budget nan on "),
        (["smoke", "--budgets", "1e300"], "budget 1e+300 on linreg: that is more than 100,000,000 updates"),
        (["smoke", "--budgets", "0.1,1e7"], "budget 1e+07 on linreg: that is more than 100,000,000 updates"),
        (["smoke", "--peak-lrs", ""], "argument --peak-lrs: '' should be numbers"),
        (["smoke", "--peak-lrs", "-1"], "peak LR -1.0 on "),
        (["smoke", "--peak-lrs", "inf"], "peak LR inf on "),
        (["smoke", "--seeds", "0"], "seeds 0 on "),
        (["smoke", "--seeds", "-3"], "seeds -3 on "),
        (["smoke", "--seeds", "1000000000"], "seeds 1000000000 on linreg: give 100,000 at most"),
        (["smoke", "--tune", "-1"], "--tune -1: give a number of widenings, 0 to 32"),
        (["smoke", "--tune", "1000000"], "--tune 1000000: give a number of widenings, 0 to 32"),
        (["smoke", "--tune", "often"], "argument --tune: invalid int value: 'often'"),
        (["smoke", "--until", "bored", "--at-most", "8"], "unknown choice 'bored'"),
        (["smoke", "--until", "decided"], "--until decided and --at-most N go together"),
        (["smoke", "--at-most", "8"], "--until decided and --at-most N go together"),
        (["smoke", "--until", "decided", "--at-most", "2"], "--at-most 2: the run starts with 2 seeds; give more"),
        (["smoke", "--until", "decided", "--at-most", "200000"], "seeds 200000 on linreg: give 100,000 at most"),
        (
            ["smoke", "--tasks", "linreg, scenes", "--until", "decided", "--at-most", "8"],
            "tasks start with different numbers of seeds (1 of scenes, 2 of linreg); give --seeds N",
        ),
        (["smoke", "--width", "0"], "--width 0: give 1 or more"),
        (["smoke", "--width", "-2"], "--width -2: give 1 or more"),
        (["smoke", "--workers", "-1"], "--workers -1: give 1 or more"),
        (["smoke", "--accumulate", "0"], "0 micro-batches to accumulate: give 1 or more"),
        (["smoke", "--accumulate", "7"], "has no equal parts for"),
        (["smoke", "--snapshot-seconds", "nan"], "--snapshot-seconds nan: give 0 or more"),
        (["smoke", "--snapshot-seconds", "-1"], "--snapshot-seconds -1.0: give 0 or more"),
        (["smoke", "--engine", "stacked", "--precision", "bf16"], "the stacked engine has no "),
        (["smoke", "--out", ""], "argument --out: the name is empty"),
        (["smoke", "--data", ""], "argument --data: the name is empty"),
        (["absent[1] ä.py"], "suite file absent[1] ä.py is not there"),
        (["smoke", "--schedules", "absent[1].py:mine"], "cannot read "),
        (
            ["smoke", "--schedules", "'absent [1].py:mine'"],
            "schedule absent [1].py:mine: file absent [1].py is not there",
        ),
    ],
)
def test_arguments_that_mean_nothing(refused, arguments, line):
    few = ("--tasks", "linreg") if "--tasks" not in arguments and arguments[0] == "smoke" else ()
    assert line in refused(*arguments, *few)


GOOD = quadratic()


@pytest.mark.parametrize(
    ("setting", "wrong", "words"),
    [
        ("layers", "cnn", "layers is 'cnn'; it should be one of mlp, conv1d, conv2d, "),
        ("layers", None, "layers is None; it should be one of mlp"),
        ("direction", "up", "direction is 'up'; it should be one of max, min"),
        (
            "family",
            "sound",
            "it should be one of image, detection, text, speech, language, table, tunnel",
        ),
        ("batch_size", 0, "batch_size is 0; it should be a whole number, 1 or more"),
        ("batch_size", -1, "batch_size is -1; it should be a whole number"),
        ("batch_size", 2.0, "batch_size is 2.0; it should be a whole number"),
        ("batch_size", True, "batch_size is True; it should be a whole number"),
        ("batch_size", 10**6, "a batch of 1000000 is more than the "),
        ("epochs", math.nan, "epochs is nan; it should be a finite number above 0"),
        ("epochs", 0, "epochs is 0; it should be a finite number above 0"),
        ("epochs", math.inf, "epochs is inf; it should be a finite number above 0"),
        ("epochs", "10", "epochs is '10'; it should be a finite number above 0"),
        ("epochs", 1e12, "budget 0.25 on bad: that is more than 100,000,000 updates"),
        ("eval_epochs", 0, "eval_epochs is 0; it should be a finite number above 0"),
        ("eval_epochs", -0.5, "eval_epochs is -0.5; it should be a finite number above 0"),
        ("weight_decay", -0.1, "weight_decay is -0.1; it should be a finite number, 0 or more"),
        ("weight_decay", math.nan, "weight_decay is nan; it should be a finite number, 0 or more"),
        ("peak_lrs", (), "peak_lrs is (); it should be one or more finite numbers above 0, ascending"),
        ("peak_lrs", (0.3, 0.1), "peak_lrs is (0.3, 0.1); it should be one or more finite numbers above 0, ascending"),
        ("peak_lrs", (0.1, 0.1), "peak_lrs is (0.1, 0.1); it should be one or more"),
        ("peak_lrs", (0.0, 0.1), "peak_lrs is (0.0, 0.1); it should be one or more"),
        ("peak_lrs", 0.1, "peak_lrs is 0.1; it should be one or more"),
        ("clip", 0.0, "clip is 0.0; it should be None or a finite number above 0"),
        ("clip", math.nan, "clip is nan; it should be None or a finite number above 0"),
        ("metric", "", "metric is ''; it should be a text"),
        ("metric", "other", "its metric is 'other', and its score gives "),
        ("metric", "accuracy", "direction is 'min'; it should be max, for its metric is accuracy"),
        ("optimizer", "sgdd", "unknown optimizer 'sgdd'"),
        ("optimizer", "sgd(momentum=2)", "sgd: momentum is a number from 0 to below 1, not 2"),
        ("model", None, "model is None; it should be a function"),
        ("prepare", 3, "prepare is 3; it should be None or a function"),
        ("model", lambda: 3, "task bad, tried on 4 examples: AttributeError"),
        ("score", lambda output, target: 1.0, "its metric is 'excess', and its score gives float"),
        ("score", lambda output, target: target[7], "task bad, tried on 4 examples: IndexError: "),
    ],
)
def test_a_task_that_means_nothing(refused, monkeypatch, setting, wrong, words):
    monkeypatch.setitem(tasks.CATALOGUE, "bad", lambda: replace(GOOD, name="bad", **{setting: wrong}))
    line = refused("smoke", "--tasks", "bad", *FEW)
    assert words in line
    assert "bad" in line or setting == "optimizer"


@pytest.mark.parametrize("out", ["file", "file/out", "link"])
def test_an_out_that_is_no_folder(refused, tmp_path, out):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    assert refused("smoke", "--tasks", "linreg", *FEW, "--out", out).startswith(f"cannot write to {out}: ")


def test_an_out_of_another_plan_names_what_differs(refused, tmp_path):
    few = ("smoke", "--tasks", "linreg", "--out", "out")
    prepared = prepare(RunConfig(suite="smoke", tasks="linreg", schedules="constant,cosine", seeds=3))
    book = Ledger(tmp_path / "out", attempt(time="2026-09-21T14:13:20Z", fingerprint="f"))
    book.append("plan", prepared.plan.id, prepared.row().payload())
    book.close()

    def line(*more):
        return refused(*few, *more).partition("): ")[2].partition("; give another --out, the settings it was begun")[0]

    assert line("--schedules", "constant,cosine", "--seeds", "2") == "seeds of linreg: [0, 1, 2] there, [0, 1] here"
    changed = line("--schedules", "constant", "--seeds", "3", "--budgets", "0.1")
    assert changed == (
        "schedules of linreg: ['constant', 'cosine'] there, ['constant'] here; "
        "budgets of linreg: [0.1, 0.25] there, [0.1] here"
    )
    assert line("--schedules", "constant,cosine", "--tasks", "quadratic") == "it has linreg and lacks quadratic"
    same = ("--schedules", "constant,cosine", "--seeds", "3")
    assert line(*same, "--averagings", "ema") == "averagings of linreg: ['none'] there, ['ema(decay=0.99)'] here"
    assert line(*same, "--optimizers", "adamw", "--peak-lrs", "0.1").startswith("peak LRs of linreg: ")
    assert line(*same, "--precision", "bf16").startswith("engine of linreg: ")
    more = line("--seeds", "2", "--schedules", "constant", "--budgets", "1", "--peak-lrs", "0.1,0.2")
    assert more.endswith("; 1 more settings differ")


VALUES = {int: (1, 2), float: (1.0, 2.0), str: ("a", "b"), list: (["a"], ["b"]), dict: ({"a": 1}, {"a": 2})}
"""Two values of each type of a fact of a task."""


@pytest.mark.parametrize("field", sorted({f.name for f in fields(TaskFacts)} - run_dir.WORDS))
def test_every_setting_of_a_task_that_differs_is_named(field):
    row = prepare(RunConfig(suite="smoke", tasks="linreg", schedules="constant", seeds=1)).row()
    kind = type(getattr(row.tasks["linreg"], field))
    old, new = (replace(row, tasks={"linreg": replace(row.tasks["linreg"], **{field: v})}) for v in VALUES[kind])
    title = run_dir.TITLES.get(field, field.replace("_", " "))
    a, b = VALUES[kind]
    assert run_dir.differing(old, new) == f"{title} of linreg: {a} there, {b} here"
    assert "combined" in run_dir.differing(old, old)


@pytest.mark.parametrize(("field", "values"), [("reference", ("a", "b")), ("seed_looks", ((), (4, 6)))])
def test_what_a_plan_declared_is_named(field, values):
    row = prepare(RunConfig(suite="smoke", tasks="linreg", schedules="constant", seeds=1)).row()
    text = run_dir.differing(*(replace(row, **{field: value}) for value in values))
    assert text == f"{run_dir.TITLES.get(field, field)}: {values[0]} there, {values[1]} here"


def test_a_shard_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in ("plan", "run"):
        assert main.main([command, "smoke", "--tasks", "linreg", "--shard", "2/2"]) == 2
        assert capsys.readouterr().err == "glideslope: shard 2/2: the shard should lie in 0 .. 1\n"


def test_what_is_no_task(refused, monkeypatch):
    monkeypatch.setitem(tasks.CATALOGUE, "bad", lambda: 3)
    assert refused("smoke", "--tasks", "bad") == "task bad: its function should return a bench.contract.Task, not 3"


def test_a_task_that_means_nothing_is_not_listed(monkeypatch, capsys):
    monkeypatch.setitem(tasks.CATALOGUE, "bad", lambda: replace(GOOD, name="bad", layers="cnn"))
    assert main.main(["list", "tasks"]) == 2
    assert "task bad: layers is 'cnn'" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------- the other commands


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what is no run's directory, and one that is: `run [1] ä`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "ledger").write_text("x")
    (tmp_path / "bad" / "ledger").mkdir(parents=True)
    (tmp_path / "bad" / "ledger" / "part-000.jsonl").write_bytes(b"\xff\xfe\n\n")
    for name in ("run [1] ä", "taken"):
        deposit(tmp_path / name, rows.ledger({"digits": rows.task(("constant", "cosine"), (1.0,))}, tied=()))
    (tmp_path / "taken" / "figures").write_text("x")
    return tmp_path


READERS = ("report", "status", "publish")
NONE = "holds no ledger: give the --out directory of a run"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        *((f"{command} {at}", f"{at} {NONE}") for command in READERS for at in ("file", "folder", "flat")),
        *((f"{command} ''", "argument DIR: the name is empty") for command in READERS),
        *((f"{command} bad", "part-000.jsonl, line 1: not a row") for command in READERS),
        ("report taken", "cannot use taken/figures: "),
        ("publish 'run [1] ä' --final", "--final publishes the report: give it with --report"),
        ("claims file --out page.md", f"file {NONE}"),
        ("claims 'run [1] ä' --out ''", "argument --out: the name is empty"),
        ("claims 'run [1] ä' --out folder", "cannot use folder: "),
        ("claims 'run [1] ä' --out page.md --costs absent", "absent should be a table with the columns"),
        ("import folder --out out", "folder is not there: give the file to import"),
        ("import '' --out out", "argument FILE: the name is empty"),
        ("import file --out ''", "argument --out: the name is empty"),
        ("import file --out out", "file is no llama-csv"),
        ("recommend --task digits --epochs nan", "--epochs nan: give a number above 0"),
        ("recommend --task digits --epochs inf", "--epochs inf: give a number above 0"),
        ("recommend --task digits --epochs 0", "--epochs 0: give a number above 0"),
        ("recommend --task digits --epochs 3 --ledger flat", f"flat {NONE}"),
        ("recommend --task digits --epochs 3 --ledger ''", "argument --ledger: the name is empty"),
        ("recommend --task '[bold]' --epochs 3", "cannot read '[bold]'"),
        ("recommend --family '' --epochs 3", "no family ''"),
        ("compare 'run [1] ä' file", f"file {NONE}"),
        ("compare flat 'run [1] ä'", f"flat {NONE}"),
        ("conform --out ''", "argument --out: the name is empty"),
        ("list schedules --page folder", "--page folder: Is a directory"),
        ("list schedules --page ''", "argument --page: the name is empty"),
        ("run smoke --tasks linreg --assigned absent:0", "cannot read absent"),
        ("run smoke --tasks linreg --assigned file:0", "file is no list of cohorts that `glideslope submit` wrote"),
        ("plan smoke --tasks linreg --assigned folder:0", "cannot read folder"),
        ("plan smoke --tasks linreg --shard 0/0", "'0/0' should be i/n, such as 0/8"),
        ("plan smoke --tasks mnist --data absent", "--data absent: no such folder"),
        ("submit smoke --dry-run --cpus nan", "invalid int value: 'nan'"),
        ("submit smoke --dry-run --retries -1", "--retries -1: give 0 or more"),
    ],
)
def test_no_command_ends_in_a_traceback(place, capsys, words, line):
    try:
        code = main.main(shlex.split(words))
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert line in err


@pytest.mark.parametrize("value", ["offline", "dryrun", "disabled", "shared", "nonsense", ""])
def test_publishing_goes_online(place, monkeypatch, capsys, value):
    monkeypatch.setenv("WANDB_MODE", value)
    line = f"glideslope: WANDB_MODE is {value!r}, and runs are to be written online: unset it, or set it to online\n"
    assert main.main(["publish", "run [1] ä"]) == 2
    assert capsys.readouterr() == ("", line)
    few = ["smoke", "--tasks", "linreg", "--schedules", "constant", "--seeds", "1", "--wandb", "online"]
    for command in (["plan"], ["run", "--out", "out"], ["submit", "--dry-run"]):
        assert main.main([*command, *few]) == 2
        assert capsys.readouterr() == ("", line)
    assert not (place / "out").exists()


def test_a_run_without_wandb_asks_for_no_mode(monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "nonsense")
    few = ["smoke", "--tasks", "linreg", "--schedules", "constant", "--seeds", "1"]
    assert main.main(["plan", *few]) == 0
    assert main.main(["plan", *few, "--wandb", "offline"]) == 2
    assert "written offline: unset it, or set it to offline" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["INIT_TIMEOUT", "BASE_URL", "FINISH_TIMEOUT"])
def test_a_variable_that_wandb_does_not_take_is_one_line(place, monkeypatch, capsys, name):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv(f"WANDB_{name}", "x")
    assert main.main(["publish", "run [1] ä"]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert f"wandb does not take its settings: WANDB_{name} (" in err


@pytest.mark.parametrize(
    "name", ["run [1] ä", "[red]", "run [bold] x", "x [/red]", "[/]", "a\\[b]", ":smile:", "{x} %s"]
)
def test_a_path_is_printed_as_it_is(tmp_path, monkeypatch, capsys, name):
    """No name is markup, an emoji or a format."""
    monkeypatch.chdir(tmp_path)
    deposit(tmp_path / name, rows.ledger({"digits": rows.task(("constant", "cosine"), (1.0,))}, tied=()))
    assert main.main(["report", name]) == 0
    assert capsys.readouterr().out.endswith(f"Report: {name}/report.html\n")

"""The command line besides `run`: what it lists, plans and says."""

import inspect
import subprocess
import sys

import pytest

import schedules
import tasks
from bench import cli
from bench.suites import SUITES
from tests.runs import ROOT, launch


def said(capsys, *arguments):
    assert cli.main(list(arguments)) == 0
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")


def test_the_schedules_are_listed_with_paper_and_horizon(capsys):
    text = said(capsys, "list", "schedules")
    for name, factory in schedules.CATALOGUE.items():
        assert name in text
        assert factory.paper.split()[0] in text
    for words in ("relative", "absolute", "as given"):
        assert words in text


def test_the_long_list_has_every_formula_setting_and_paper(capsys):
    text = " ".join(said(capsys, "list", "schedules", "--long").replace("│", " ").split())
    for name, factory in schedules.CATALOGUE.items():
        assert name in text
        for words in (*factory.formula.splitlines(), factory.paper):
            assert " ".join(words.split()) in text
        for setting in inspect.signature(factory).parameters.values():
            assert f"{setting.name} = " in text or f"{setting.name}: " in text
    assert "cooldown = 0.2: a number in (0, 1]" in text
    assert "shape = 'linear': 'linear' or 'sqrt'" in text


@pytest.mark.parametrize("more", [(), ("--long",)])
def test_the_lists_of_schedules_fit_a_hundred_columns(capsys, monkeypatch, more):
    monkeypatch.setenv("COLUMNS", "100")
    text = said(capsys, "list", "schedules", *more)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text


@pytest.mark.parametrize("more", [("--long",), ("--page", "page.html")])
def test_only_schedules_have_a_long_list_and_a_page(capsys, more):
    assert cli.main(["list", "tasks", *more]) == 2
    assert "schedules" in capsys.readouterr().err


def test_the_tasks_are_listed_with_their_metric_and_baseline(capsys):
    text = said(capsys, "list", "tasks")
    for name in tasks.CATALOGUE:
        assert name in text
        assert tasks.parse(name).metric in text


def test_the_suites_are_listed(capsys):
    text = said(capsys, "list", "suites")
    assert all(name in text for name in SUITES)


def test_a_plan_says_what_sharing_saves_and_what_it_costs(capsys):
    text = said(capsys, "plan", "smoke", "--tasks", "linreg", "--schedules", "constant", "--peak-lrs", "0.1")
    # Budgets of 10 and 25 of 100 updates, two seeds: constant LR is one run of 25 looks a seed.
    assert "4 cells in 2 cohorts: 70 cell-steps in 50 looks (29% saved" in " ".join(text.split())
    for word in ("disk", "memory", "time"):
        assert word in text


def test_a_plan_trains_nothing_and_writes_nothing(tmp_path, capsys):
    said(capsys, "run", "smoke", "--tasks", "linreg", "--plan", "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_help_says_what_each_command_is_for():
    done = subprocess.run([sys.executable, "-m", "bench.cli", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    for command in ("run", "plan", "report", "import", "recommend", "compare", "submit", "status", "list", "conform"):
        assert command in done.stdout


FROZEN = (
    "suite --out --tasks --schedules --budgets --peak-lrs --seeds --engine --workers --data-parallel "
    "--precision --accumulate --compile --width --snapshot-seconds --data --extend --wandb --shard --assigned --plan"
)


def test_the_options_of_run_are_these():
    """A new one needs a reason: what is not an option of the command is a line in a suite file."""
    parser = cli.Parser(add_help=False)
    cli.run_arguments(parser)
    assert [(a.option_strings or [a.dest])[0] for a in parser._actions] == FROZEN.split()


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("report", "directory"),
        ("import", "file --out --format"),
        ("recommend", "--task --family --epochs --ledger --long"),
        ("compare", "first second"),
    ],
)
def test_the_options_of_the_commands_that_read_ledgers_are_these(command, options):
    parser = next(a for a in cli.parser()._actions if a.dest == "command").choices[command]
    names = [(a.option_strings or [a.dest])[0] for a in parser._actions]
    assert names == ["-h", *options.split()]


def test_accelerate_that_starts_one_process_of_several_is_told_of(tmp_path):
    launcher = (sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")
    few = ("smoke", "--tasks", "linreg", "--schedules", "constant", "--budgets", "0.1", "--seeds", 1, "--workers", 1)
    done = launch(*few, "--out", tmp_path / "out", launcher=launcher)
    assert "torchrun --nproc_per_node 2 bench/run.py" in done.stdout


def test_stacked_batch_norm_under_data_parallelism_is_refused_before_anything_is_written(tmp_path):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    few = ("smoke", "--tasks", "digits(model='cnn')", "--schedules", "constant", "--seeds", 1, "--engine", "stacked")
    done = launch(*few, "--data-parallel", "--out", tmp_path / "out", launcher=torchrun, check=False)
    assert "has BatchNorm, which --data-parallel trains with --engine modules only" in done.stderr
    assert not (tmp_path / "out").exists()

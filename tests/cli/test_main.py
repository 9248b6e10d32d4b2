"""The command line besides `run`: what it lists, plans and says."""

import inspect
import re
import subprocess
import sys

import pytest

import schedules
import tasks
from bench.cli import main, run
from bench.cli.options import Parser
from bench.contract import InputError
from bench.strategies import averagings, optimizers
from bench.suites import SUITES
from bench.tracking.background import opened
from bench.tracking.writer import RunWriter
from tests.runs import ROOT, launch


def said(capsys, *arguments):
    assert main.main(list(arguments)) == 0
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


@pytest.mark.parametrize("wrong", [("suites", "--long"), ("data", "--long"), ("tasks", "--page", "page.html")])
def test_not_everything_has_a_long_list_and_a_page(capsys, wrong):
    assert main.main(["list", *wrong]) == 2
    assert "schedules" in capsys.readouterr().err


def test_the_tasks_are_listed_with_their_metric_and_baseline(capsys):
    text = said(capsys, "list", "tasks")
    for name in tasks.CATALOGUE:
        assert name in text
        assert tasks.parse(name).metric in text


@pytest.mark.parametrize("columns", [40, 80])
def test_a_task_is_a_line_with_its_whole_name(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = said(capsys, "list", "tasks").splitlines()
    for line, name in zip(lines[1:], tasks.CATALOGUE, strict=False):
        assert line.startswith(f"{tasks.parse(name).name} ")
    assert len(lines) == len(tasks.CATALOGUE) + 4
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)


def test_the_long_list_of_tasks_has_data_and_chance(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = said(capsys, "list", "tasks", "--long")
    for name in tasks.CATALOGUE:
        task = tasks.parse(name)
        for words in (f"{task.name}: {task.family}", task.chance, task.source, task.optimizer, task.metric):
            assert words in text
    assert "…" not in text


CATALOGUES = ("tasks", "schedules", "optimizers", "averagings", "suites", "data", "tasks --long", "schedules --long")


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize("what", CATALOGUES)
def test_nothing_of_a_list_is_cut(capsys, monkeypatch, what, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = said(capsys, "list", *what.split())
    assert "…" not in text
    if what == "schedules --long":
        letters = "".join(filter(str.isalnum, text))
        assert all("".join(filter(str.isalnum, made.paper)) in letters for made in schedules.CATALOGUE.values())


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
    commands = (
        "run",
        "plan",
        "report",
        "import",
        "recommend",
        "predict",
        "compare",
        "submit",
        "status",
        "list",
        "conform",
    )
    for command in commands:
        assert command in done.stdout


FROZEN = (
    "suite --out --tasks --schedules --reference --optimizers --averagings --budgets --epochs --batch-size "
    "--weight-decays --peak-lrs --seeds --engine --workers "
    "--data-parallel --precision --accumulate --compile --width --data --snapshot-seconds --keep --extend --tune "
    "--until --at-most --wandb --shard --assigned --plan"
)


def test_the_options_of_run_are_these():
    """A new one needs a reason: what is not an option of the command is a line in a suite file."""
    parser = Parser(add_help=False)
    run.arguments(parser)
    assert [(a.option_strings or [a.dest])[0] for a in parser._actions] == FROZEN.split()


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("report", "directory"),
        ("import", "file --out --format"),
        ("recommend", "--task --family --epochs --ledger --long"),
        ("predict", "directory --task --schedules --budgets --peak-lr --best --measured --out"),
        ("compare", "first second"),
    ],
)
def test_the_options_of_the_commands_that_read_ledgers_are_these(command, options):
    parser = next(a for a in main.parser()._actions if a.dest == "command").choices[command]
    names = [(a.option_strings or [a.dest])[0] for a in parser._actions]
    assert names == ["-h", *options.split()]


@pytest.mark.faults
def test_accelerate_that_starts_one_process_of_several_is_told_of(tmp_path):
    launcher = (sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")
    few = ("smoke", "--tasks", "linreg", "--schedules", "constant", "--budgets", "0.1", "--seeds", 1, "--workers", 1)
    done = launch(*few, "--out", tmp_path / "out", launcher=launcher)
    assert "torchrun --nproc_per_node 2 bench/run.py" in done.stdout


@pytest.mark.faults
def test_stacked_batch_norm_under_data_parallelism_is_refused_before_anything_is_written(tmp_path):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    few = ("smoke", "--tasks", "digits(model='cnn')", "--schedules", "constant", "--seeds", 1, "--engine", "stacked")
    done = launch(*few, "--data-parallel", "--out", tmp_path / "out", launcher=torchrun, check=False)
    assert "has BatchNorm, which --data-parallel trains with --engine modules only" in done.stderr
    assert not (tmp_path / "out").exists()


def test_no_line_promises_a_package_that_no_index_has():
    """Glideslope is on no index: `pip install glideslope[...]` can't work, and what an extra holds has names."""
    files = [*(ROOT / "bench").rglob("*.py"), *(ROOT / "tasks").rglob("*.py"), *(ROOT / "schedules").rglob("*.py")]
    files += [ROOT / "README.md", ROOT / "SLURM/README.md", ROOT / "CONTRIBUTING.md"]
    for path in files:
        assert not re.search(r"install\S*\s+['\"]?glideslope", path.read_text()), path


@pytest.mark.parametrize(
    ("name", "wheel"),
    [
        ("schedulefree_sgd", "schedulefree"),
        ("prodigy", "prodigyopt"),
        ("momo", "momo-opt"),
        ("dadapt_sgd", "dadaptation"),
    ],
)
def test_an_optimizer_whose_package_is_absent_names_what_pip_installs(monkeypatch, name, wheel):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=f"pip install {wheel}$"):
        optimizers.parse(name)


def test_publish_without_a_key_recommends_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr("wandb.login", lambda **how: False)
    monkeypatch.setattr("wandb.setup", lambda settings: None)
    with pytest.raises(InputError, match=r"no W&B key: `wandb login` once, or set WANDB_API_KEY$"):
        RunWriter(None)  # of publish
    with pytest.raises(InputError, match=r"or set WANDB_API_KEY, or choose --wandb offline$"):
        opened(tmp_path, "online", None).__enter__()  # of run


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["plann"], "unknown command 'plann' (did you mean plan?); there are: run, plan, "),
        (["run", "smoke", "--engine", "stakced"], "unknown choice 'stakced' (did you mean stacked?)"),
        (["list", "task"], "unknown choice 'task' (did you mean tasks?)"),
        (["plan", "cor"], "unknown suite 'cor' (did you mean core?)"),
        (["plan", "cor"], "one of your own: a Python file with a function suite(), my_suite.py"),
        (["plan", "--tasks", "Cifar"], "unknown task 'Cifar' (did you mean cifar10 or cifar100?)"),
        (["plan", "--tasks", "Cifar"], "one of your own: my_task.py:function, as in CONTRIBUTING.md"),
        (["plan", "--schedules", "COSINE"], "unknown schedule 'COSINE' (did you mean cosine?)"),
        (["plan", "--schedules", "COSINE"], "one of your own: my_file.py:function"),
        (["recommend", "--family", "imge", "--epochs", "3"], "no family 'imge' (did you mean image?)"),
        (["import", "x.csv", "--out", "y", "--format", "llama"], "unknown choice 'llama' (did you mean llama-csv?)"),
    ],
)
def test_an_unknown_name_gets_the_nearest_and_the_way_to_bring_ones_own(capsys, words, line):
    try:
        code = main.main(words)
    except SystemExit as end:
        code = end.code
    err = capsys.readouterr().err
    assert code == 2
    assert line in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("parse", "text", "line"),
    [
        (optimizers.parse, "adan", "unknown optimizer 'adan' (did you mean adam"),
        (averagings.parse, "emaa", "unknown averaging 'emaa' (did you mean ema?)"),
    ],
)
def test_unknown_optimizers_and_averagings_get_the_nearest(parse, text, line):
    with pytest.raises(InputError, match=re.escape(line)):
        parse(text)

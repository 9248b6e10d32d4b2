"""`bench.run`, `bench.load` and `bench.recommend`: the command line from Python."""

import argparse
import csv
import html
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from io import StringIO
from unittest.mock import Mock

import pytest
import torch
from rich.console import Console

import bench
import schedules
from bench.api import options, results
from bench.api import run as api_run
from bench.cli import main
from bench.cli import run as command
from bench.preempt import PREEMPTED, Flag
from bench.report import write
from bench.runner import pool, session
from tests.runs import ROOT

SUITE = bench.Suite(
    "own",
    [bench.Grid(task="quadratic", schedules=["constant", "cosine"], budgets=[0.05], peak_lrs=[0.2, 0.4], seeds=2)],
)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return bench.run(SUITE, out=tmp_path_factory.mktemp("own"), workers=1, progress=False)


def test_an_import_is_light():
    code = "import sys, bench; dir(bench); sys.exit(bool({'torch', 'numpy', 'rich', 'typing'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT).returncode == 0


def test_every_public_name_is_there_and_no_other():
    assert {"run", "load", "recommend", "audit", "Suite"} <= set(dir(bench))
    for name in bench.PLACES:
        assert getattr(bench, name).__doc__
    with pytest.raises(AttributeError, match="'recomend'"):
        bench.recomend


def test_the_options_are_those_of_the_command_line():
    parser = argparse.ArgumentParser(add_help=False)
    command.arguments(parser)
    there = {action.dest for action in parser._actions if action.option_strings}
    assert options.RunOptions.__annotations__.keys() == there - set(api_run.ALONE)


def test_values_of_python_are_words_of_the_command_line():
    given = {
        "tasks": ["digits", "digits(model='cnn')"],
        "schedules": [schedules.wsd(cooldown=0.3), "cosine"],
        "seeds": 5,
    }
    given |= {"budgets": (0.1, 1), "peak_lrs": 1e-07, "extend": True, "compile": False, "tune": True, "out": None}
    words = "--tasks|digits, digits(model='cnn')|--schedules|wsd(cooldown=0.3), cosine|--seeds|5|--budgets|0.1,1"
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    usual = parser.parse_args([*words.split("|"), "--peak-lrs", "1e-7", "--extend", "--tune"])
    assert options.parsed(command.arguments, given) == usual
    assert options.parsed(command.arguments, {"tune": False}).tune == 0


def test_a_run_is_that_of_the_command_line(result, tmp_path, capsys):
    suite = tmp_path / "own.py"
    suite.write_text(
        f"from bench.plan import *\nfrom bench.plan import Primary\n\n\ndef suite():\n    return {SUITE!r}\n"
    )
    assert main.main(["run", str(suite), "--out", str(result.directory)]) == 0
    assert "all 8 cells are in" in capsys.readouterr().out


def test_a_kept_model_is_exported_as_by_the_command_line(tmp_path, capsys):
    given = {"tasks": "linreg", "schedules": "constant", "budgets": [0.05], "peak_lrs": [0.1], "seeds": 1, "workers": 1}
    kept = bench.run(**given, keep="best", out=tmp_path / "out", progress=False)
    strict = torch.are_deterministic_algorithms_enabled()
    assert kept.export("linreg", tmp_path / "a", format="torch-export") == tmp_path / "a"
    assert torch.are_deterministic_algorithms_enabled() == strict
    assert "as in the ledger to the last bit" in capsys.readouterr().out
    assert (tmp_path / "a" / "model.pt2").exists()
    (own,) = (tmp_path / "out" / "weights").glob("*.safetensors")
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == own.read_bytes()
    with pytest.raises(bench.InputError, match="has no task 'digits'"):
        kept.export("digits", tmp_path / "c")
    with pytest.raises(bench.InputError, match="unknown option 'sed'"):
        kept.export("linreg", tmp_path / "c", sed=1)
    assert not (tmp_path / "c").exists()


def test_rows_are_those_of_the_tables(result):
    assert len(result.cells) == 8
    assert {row["status"] for row in result.cells} == {"done"}
    assert {(row["strategy"], row["peak_lr"], row["seed"]) for row in result.cells} >= {("cosine", 0.4, 1)}
    with (result.directory / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in result.table] == lines


def test_a_frame_has_the_same_rows(result, monkeypatch):
    frame = result.frame("cells")
    assert frame["final"].tolist() == [row["final"] for row in result.cells]
    assert list(result.frame().columns) == list(result.table[0])
    with pytest.raises(bench.InputError, match="'table' or 'cells'"):
        result.frame("rows")
    monkeypatch.setattr(results, "find_spec", lambda name: None)
    with pytest.raises(bench.InputError, match="needs polars or pandas: pip install polars"):
        result.frame()


def test_polars_comes_first(result, monkeypatch):
    class Polars:
        @staticmethod
        def DataFrame(rows, infer_schema_length):  # noqa: N802
            return "polars", len(rows)

    monkeypatch.setattr(results, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "polars", Polars)
    assert result.frame("cells") == ("polars", 8)


def test_a_terminal_shows_what_the_command_prints(result):
    console = Console(width=100, record=True, file=StringIO())
    console.print(result)
    shown = console.export_text()
    assert result.answer.split(":")[0] in shown
    assert re.search(r"quadratic +constant 0.4", shown)
    assert re.search(r"quadratic +constant 0.4", str(result))
    assert "8 of 8 cells" in repr(result)


def test_a_notebook_shows_the_page(result):
    text = result._repr_html_()
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', text)[1])
    assert page == result.report.read_text() == (result.directory / "report.html").read_text()
    assert html.escape(result.answer) in text.partition("<iframe")[0]


def test_the_page_is_written_where_there_is_none_or_an_older_one(result, monkeypatch, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(result.directory / "ledger", copy / "ledger")
    tries = result.comparison.study.tries
    monkeypatch.setattr(write, "write", lambda folder, found: (folder.name, found.comparison.study.tries == tries))
    assert bench.load(str(copy)).report == ("copy", True)
    (copy / "report.html").touch()
    assert bench.load(copy).report == copy / "report.html"
    os.utime(copy / "report.html", (0, 0))
    assert bench.load(copy).report == ("copy", True)


def test_a_run_leaves_the_process_as_it_was(result):
    import torch

    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], torch.get_rng_state().tolist()
    threads = torch.get_num_threads()
    thread = threading.Thread(  # where no signal can be handled
        target=bench.run, args=(SUITE,), kwargs={"out": result.directory / "again", "workers": 1, "progress": False}
    )
    thread.start()
    thread.join()
    assert [row["final"] for row in bench.load(result.directory / "again").cells] == [r["final"] for r in result.cells]
    assert ([signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], torch.get_rng_state().tolist()) == before
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_ends_the_call_as_python_does(monkeypatch, tmp_path, number, error):
    def stopped(config, prepared, group, flag, console):
        signal.raise_signal(number)
        return PREEMPTED if flag else 0

    monkeypatch.setattr(session, "run_rounds", stopped)
    with pytest.raises(error):
        bench.run(SUITE, out=tmp_path, progress=False)


def test_a_second_interrupt_ends_the_call_and_not_the_process(monkeypatch, tmp_path):
    def interrupted(config, prepared, group, flag, console):
        signal.raise_signal(signal.SIGINT)
        assert flag
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(session, "run_rounds", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.run(SUITE, out=tmp_path, progress=False)


def test_no_worker_outlives_an_interrupt():
    process, pipe = Mock(), Mock()
    workers = pool.Pool([], None, 1, Flag(), Mock(bar=nullcontext()))
    workers.waiting.append("a cohort")

    def start():
        workers.busy[pipe] = process, None
        raise KeyboardInterrupt

    workers._start_worker = start
    with pytest.raises(KeyboardInterrupt):
        workers.run()
    process.terminate.assert_called_once()
    pipe.close.assert_called_once()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"schedule": "cosine"}, "unknown option 'schedule' (did you mean schedules?)"),
        ({"plan": True}, "unknown option 'plan'"),
        ({"seeds": "some"}, "argument --seeds: invalid int value: 'some'"),
        ({"seeds": True}, "argument --seeds: invalid int value: 'True'"),
        ({"budgets": ["x"]}, "'x' should be numbers with commas between"),
        ({"budgets": {0.1, 0.2}}, "budgets={"),
        ({"compile": 1}, "compile=1: give True or False"),
        ({"workers": 0}, "--workers 0: give 1 or more"),
        ({"engine": "fast"}, "unknown choice 'fast'"),
        ({"tasks": "digit"}, "unknown task 'digit' (did you mean digits?)"),
        ({"suite": "smok"}, "unknown suite 'smok' (did you mean smoke?)"),
        ({"suite": bench.Suite("own", ())}, "its grids should be a tuple of one Grid or more"),
        (
            {"suite": bench.Suite("own", [bench.Grid(task="digits", schedules="cosine")])},
            "schedules of a Grid should be",
        ),
    ],
    ids=str,
)
def test_bad_input_is_refused_in_one_line(given, line, tmp_path):
    with pytest.raises(bench.InputError, match=re.escape(line)) as error:
        bench.run(**{"suite": "smoke", "out": tmp_path / "out", "progress": False} | given)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_cells_are_not_trained_into_a_ledger_of_audited_ones(tmp_path):
    facts = {"task": "birds", "strategy": "cosine", "peak_lr": 0.1, "seed": 0, "epochs": 1, "epoch_steps": 5}
    bench.audit(tmp_path, **facts, metric="loss")
    with pytest.raises(bench.InputError, match=r"belongs to another plan \(suite audit"):
        bench.run(SUITE, out=tmp_path, progress=False)


def test_a_folder_without_a_ledger_is_no_result(tmp_path):
    with pytest.raises(bench.InputError, match="holds no ledger"):
        bench.load(tmp_path)


def test_no_recommendation_is_none_and_says_what_is_missing(tmp_path, result):
    advice = bench.recommend(task="quadratic", epochs=1, ledger=[result.directory])
    assert (advice.outcome, advice.strategy, advice.peak_lr) == ("not enough data", None, None)
    for given, line in (({}, "--task --family is required"), ({"task": "vowel"}, "did you mean vowels")):
        with pytest.raises(bench.InputError, match=line):
            bench.recommend(epochs=1, ledger=result.directory, **given)
    with pytest.raises(bench.InputError, match="--epochs 0: give a number above 0"):
        bench.recommend(task="vowels", epochs=0)

"""`glideslope predict` on a run whose losses a known law gives: its words, its figure, its refusals."""

import csv
import shutil

import numpy as np
import pytest
import scipy.stats

from bench.analysis.prediction import predictor
from bench.analysis.prediction.course import Course
from bench.analysis.prediction.laws import LAWS, annealing_area
from bench.analysis.prediction.recorded import open_loop_lrs
from bench.cli import main
from bench.ledger import paths
from bench.ledger.deposit import deposit
from tests.analysis.rows import ledger, task

NAMES = ("constant", "linear", "cosine", "wsd", "plateau(patience=2)")
LAW = (0.5, 3.0, 0.5, 0.03, 40.0)


@pytest.fixture(autouse=True)
def one_law(monkeypatch):
    """One law is enough here, and three times as fast."""
    monkeypatch.setattr(predictor.Predictor.__init__, "__defaults__", (LAWS[1:2],))
    monkeypatch.setattr(predictor, "REPLICAS", 3)
    monkeypatch.setenv("COLUMNS", "120")


def run(directory, names=NAMES, budgets=(0.5, 1.0), traces=True, law=LAW, broken=(), **facts):
    """A run of two seeds whose cells have each their own segment, with traces of a law's losses."""
    rows = ledger(
        {"digits": task(names, budgets, peak_lrs=(0.1,), seeds=2, **facts)}, lambda *_: (0.9, 0.9, 0.9), tied=()
    )
    deposit(directory, rows)
    cells = [row.payload for row in rows if row.kind == "cell"]
    for cohort in {cell["cohort"] for cell in cells} if traces else ():
        own = sorted((cell for cell in cells if cell["cohort"] == cohort), key=lambda cell: cell["segment"])
        columns = {"segment": [], "step": [], "lr": [], "loss": [], "grad_norm": []}
        for cell in own:
            steps, name = np.arange(cell["total"]), cell["schedule"]
            lrs = open_loop_lrs("rex" if name.startswith("plateau") else name, cell["total"], 30, 0.1)
            losses = annealing_area(law, Course(lrs / 0.1, steps)) + 0.01 * (cell["seed"] - 0.5)
            losses[3] = np.nan if name in broken else losses[3]
            for column, values in zip(columns, (steps * 0 + cell["segment"], steps, lrs, losses, losses), strict=True):
                columns[column].append(values)
        path = paths.trace(directory, cohort)
        path.parent.mkdir(exist_ok=True)
        np.savez(path, **{name: np.concatenate(values) for name, values in columns.items()})
    return directory


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return run(tmp_path_factory.mktemp("run") / "usual")


def output(capsys, *arguments, code=0):
    assert main.main(["predict", *map(str, arguments)]) == code
    printed = capsys.readouterr()
    return printed.err.strip() if code == 2 else " ".join(printed.out.split())


def test_predictions_stand_beside_what_was_held_out_and_measured(usual, tmp_path, capsys):
    more = run(tmp_path / "more", ("constant", "rex", "linear"), budgets=(2.0,))
    text = output(capsys, usual, "--schedules", "rex, linear", "--budgets", "1,2", "--measured", more, "--best", 3)
    assert "Held out: predicted / measured (annealing area)" in text
    assert "Each schedule was held out in turn" in text
    assert "not fitted, as their LRs differ between seeds: plateau(patience=2)" in text
    assert "At 200 %: 2 times as long as the longest fitted run; LRs within the fitted ones." in text
    assert "4 of 4 measured losses" not in text  # rex at 1 was not run
    assert "3 of 3 measured losses lie within the interval." in text
    assert text.count("law prefers, at budget") == 2
    assert "glideslope run --tasks digits --schedules 'constant, piecewise([0.3333, 0.6667, 1], [" in text
    assert (usual / "figures" / "prediction-digits.svg").stat().st_size > 10_000


def test_a_law_that_fails_predicts_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(predictor.Trial, "error", 9.0)
    text = output(capsys, run(tmp_path / "run", NAMES[:3], budgets=(1.0,)), code=1)
    assert "No prediction for digits: the best law is off by 9.000 on schedules that were held out" in text
    assert "Predicted final training loss" not in text


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--schedules", "plateau"), "plateau cannot be predicted: it reacts to training (loss), so its LRs are known"),
        (("--schedules", "wsdd"), "unknown schedule 'wsdd' (did you mean wsd?)"),
        (("--budgets", "0.1"), "digits: budget 0.1 is below those that were fitted, from 0.5 on"),
        (("--budgets", "nan"), "--budgets nan: give numbers above 0"),
        (("--peak-lr", "0.3"), "digits was not run at peak LR 0.3; there are 0.1"),
        (("--task", "vowels"), "has no task vowels; it has digits"),
        (("--best", "1"), "--best 1: give 2 to 20 knots"),
        (("--measured", "absent"), "absent"),
    ],
)
def test_bad_options_are_one_line(usual, capsys, options, line):
    text = output(capsys, usual, *options, code=2)
    assert text.startswith("glideslope: ")
    assert line in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"traces": False}, "has no traces: published results have the ledger alone; run its suite here"),
        ({"names": NAMES[:1]}, "digits: only constant can be fitted at peak LR 0.1; 3 or more are needed"),
        (
            {"budgets": (0.05, 0.1)},
            "digits in RUN cannot be fitted: its budgets have 60 updates at most, 128 are needed",
        ),
        ({"broken": NAMES}, "digits in RUN: no cell of an open-loop schedule has a whole trace"),
        ({"law": (-2.0, 3.0, 0.5, 0.03, 40.0)}, "digits: a training loss is 0 or below"),
    ],
)
def test_runs_that_do_not_suffice_are_one_line(tmp_path, capsys, changes, line):
    directory = run(tmp_path / "run", **({"budgets": (0.5,)} | changes))
    text = output(capsys, directory, code=2)
    assert line.replace("RUN", str(directory)) in text
    assert "\n" not in text


def test_recommend_predicts_beyond_the_recorded_budgets(usual, capsys):
    assert main.main(["recommend", "--task", "digits", "--epochs", "30", "--ledger", str(usual)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "this is predicted, not measured: by the annealing area law, " in text
    assert main.main(["recommend", "--task", "digits", "--epochs", "20", "--ledger", str(usual)]) == 0
    assert "predicted" not in capsys.readouterr().out


def test_the_report_shows_predicted_and_measured_order_by_budget(usual, tmp_path, capsys):
    directory = tmp_path / "run"
    shutil.copytree(usual, directory)
    output(capsys, directory)
    with (directory / "prediction.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["schedule"], line["budget"]) for line in lines[:2]] == [("constant", "0.5"), ("linear", "0.5")]
    own = [line for line in lines if line["budget"] == "1.0"]
    predicted, measured = ([float(line[column]) for line in own] for column in ("predicted", "measured"))
    tau = scipy.stats.kendalltau(predicted, measured).statistic
    assert [float(line["tau"]) for line in own] == pytest.approx([tau] * 4)  # both seeds have the same order
    assert main.main(["report", str(directory)]) == 0
    (row,) = [line for line in (directory / "table.md").read_text().splitlines() if "| annealing area |" in line]
    assert f"{tau:.3f} of 1.000 to 1.000" in row
    old = (directory / "prediction.csv").read_text()
    (directory / "prediction.csv").write_text(old.replace(f",{lines[0]['cells']},", ",3,"))
    assert main.main(["report", str(directory)]) == 0
    assert f"fitted when 3 of its {lines[0]['cells']} cells were done" in (directory / "table.md").read_text()
    (directory / "prediction.csv").write_text("task\nx\n")
    capsys.readouterr()
    assert main.main(["report", str(directory)]) == 2
    assert "prediction.csv is no table of predictions" in capsys.readouterr().err


def test_predictions_of_other_tasks_stay(tmp_path, capsys):
    directory = run(tmp_path / "run", NAMES[:3])
    path = directory / "prediction.csv"
    output(capsys, directory)
    before = path.read_text()
    path.write_text(before + before.split("\n", 1)[1].replace("digits", "other"))
    both = path.read_text()
    output(capsys, directory, "--task", "digits")
    assert sorted(path.read_text().splitlines()) == sorted(both.splitlines())

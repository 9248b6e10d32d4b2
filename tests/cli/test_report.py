"""The commands that read ledgers: what they take, and what they say of bad input."""

import random

import pytest

from bench.analysis import recommendation
from bench.analysis.stats.intervals import Interval
from bench.cli import main
from bench.ledger.deposit import deposit
from bench.report.sections.recommendation import resolved_value
from tests.analysis.rows import ledger, reached, task
from tests.analysis.test_published import SMALL
from tests.runs import ROOT

CORE = str(ROOT / "results" / "core")
FEW = ("constant", "step", "cosine")


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def said(capsys, *arguments, code=0):
    assert main.main(list(map(str, arguments))) == code
    done = capsys.readouterr()
    return done.out if code == 0 else done.err


def test_published_logs_are_imported_and_reported(tmp_path, capsys):
    file = tmp_path / "small.csv"
    file.write_text(SMALL)
    assert "7 published cells" in said(capsys, "import", file, "--out", tmp_path / "out")
    text = " ".join(said(capsys, "report", tmp_path / "out").split())
    assert "Not tested: these are published runs with one seed each" in text
    assert "Sharing" not in text
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("import", "absent.csv", "--out", "x"), "absent.csv is not there"),
        (("import", __file__, "--out", "x"), "is no llama-csv"),
        (("report", "absent"), "absent holds no ledger"),
        (("recommend", "--task", "digits", "--epochs", "9", "--ledger", "absent"), "absent holds no ledger"),
        (("recommend", "--task", "digitz", "--epochs", "9"), "did you mean digits?"),
        (("recommend", "--family", "sound", "--epochs", "9"), "no family 'sound': there are detection, image"),
        (("recommend", "--task", "digits", "--epochs", "-1"), "--epochs -1: give a number above 0"),
        (("compare", "absent", "other"), "absent holds no ledger"),
        (("compare", CORE, "absent"), "absent holds no ledger"),
    ],
)
def test_bad_input_is_told_in_one_line(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    text = said(capsys, *arguments, code=2)
    assert says in text
    assert len(text.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("recommend", "--task", "digits", "--epochs", "20", "--ledger"), ("compare", CORE)]
)
def test_a_ledger_without_a_row_is_told_in_one_line(tmp_path, capsys, arguments):
    (tmp_path / "empty" / "ledger").mkdir(parents=True)
    (tmp_path / "empty" / "ledger" / "part-000.jsonl").write_text("")
    text = said(capsys, *arguments, tmp_path / "empty", code=2)
    assert len(text.splitlines()) == 1
    assert str(tmp_path / "empty") in text


# -------------------------------------------------------------------------------------------------- recommend


def held(directory, *, seeds=3, budgets=(0.5, 1.0), keep=lambda cell: True, outcome=reached, name="digits", **more):
    deposit(directory, ledger({name: task(FEW, budgets, seeds=seeds, **more)}, outcome, tied=(), keep=keep))
    return directory


def clear(name, strategy, budget, peak_lr, seed):
    final = 0.5 + 0.1 * FEW.index(strategy) + 0.001 * seed - 0.1 * abs(peak_lr - 0.1)
    return final, final, final


def test_a_clear_best_is_recommended_with_its_evidence(tmp_path, capsys):
    at = held(tmp_path / "out", outcome=clear)
    text = " ".join(said(capsys, "recommend", "--task", "digits", "--epochs", 18, "--ledger", at).split())
    assert text.startswith(f"digits, 20 epochs: cosine at peak LR 0.1 ended best, 0.701 ± 0.003 (3 seeds, {at})")
    assert "clearly better than all others" in text
    assert "not enough data" not in text.lower()


def test_what_is_within_noise_is_named_beside_the_best(tmp_path, capsys):
    at = held(tmp_path / "out", outcome=lambda *cell: (0.5, 0.9 + 0.01 * hash_of(*cell), 0.9))
    text = " ".join(said(capsys, "recommend", "--task", "digits", "--epochs", 20, "--ledger", at).split())
    assert "not distinguishable from it" in text


def hash_of(name, strategy, budget, peak_lr, seed):
    return random.Random(f"{strategy}{seed}").gauss(0, 1)


@pytest.mark.parametrize(
    ("epochs", "more", "says"),
    [
        (20, {"seeds": 2}, "n = 2 seeds, 3 or more are needed"),
        (100, {}, "the nearest budget is 20 epochs, off by a factor of 5"),
        (20, {"keep": lambda cell: cell["schedule"] == "step"}, "only one strategy was run"),
        (20, {"keep": lambda cell: False}, "no ledger at hand has a result on digits"),
    ],
)
def test_too_little_data_is_told_as_such(tmp_path, capsys, epochs, more, says):
    at = held(tmp_path / "out", **more)
    text = " ".join(said(capsys, "recommend", "--task", "digits", "--epochs", epochs, "--ledger", at).split())
    assert text.startswith("Not enough data")
    assert says in text


def test_a_budget_off_by_two_exactly_is_near_enough(tmp_path, capsys):
    at = held(tmp_path / "out", outcome=clear)
    assert "ended best" in said(capsys, "recommend", "--task", "digits", "--epochs", 40, "--ledger", at)


def test_the_nearest_budget_with_most_seeds_answers_and_a_family_has_mean_ranks(tmp_path, capsys):
    few = held(tmp_path / "few", outcome=clear, budgets=(0.9, 1.0))
    many = held(tmp_path / "many", outcome=clear, seeds=5)
    other = held(tmp_path / "other", outcome=clear, name="mnist5k")
    text = said(capsys, "recommend", "--family", "image", "--epochs", 20, "--ledger", few, many, other)
    text = " ".join(text.split())
    assert f"(5 seeds, {many})" in text.split("mnist5k")[0]
    assert "Over 2 tasks of family image, by mean rank among 3 strategies: cosine (1.0), step (2.0)" in text


def test_ledgers_at_hand_are_found_and_a_broken_one_is_left_out_with_a_note(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recommendation, "RESULTS", tmp_path / "results")
    held(tmp_path / "runs" / "mine", outcome=clear)
    broken = tmp_path / "results" / "core" / "ledger"
    broken.mkdir(parents=True)
    (broken / "part-000.jsonl").write_text("no row\nno row\n")
    text = " ".join(said(capsys, "recommend", "--task", "digits", "--epochs", 20).split())
    assert "(3 seeds, runs/mine)" in text
    assert "is left out" in text


def test_the_same_cells_in_two_ledgers_count_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recommendation, "RESULTS", tmp_path / "results")
    held(tmp_path / "runs" / "core", outcome=clear, seeds=5)
    held(tmp_path / "results" / "core", outcome=clear, seeds=5)
    held(tmp_path / "results" / "more", outcome=clear, seeds=6)
    notes = []
    assert list(recommendation.at_hand([], notes)) == [tmp_path / "results" / "more"]
    assert notes == [f"{name} is left out: all its cells are in {tmp_path}/results/more" for name in (
        f"{tmp_path}/results/core", "runs/core"
    )]  # fmt: skip
    notes.clear()
    same = recommendation.at_hand([tmp_path / "runs" / "core", tmp_path / "results" / "core"], notes)
    assert list(same) == [tmp_path / "runs" / "core"]


def test_a_family_is_ranked_over_the_tasks_that_have_strategies_in_common(tmp_path, capsys):
    """Digits and mnist5k suffice, whatever the third task ran."""
    one, two = held(tmp_path / "one", outcome=clear), held(tmp_path / "two", outcome=clear, name="mnist5k")
    three = tmp_path / "three"
    odd = task(("rex", "wsd"), (1.0,))
    deposit(three, ledger({"cifar10": odd}, lambda name, s, *cell: (0.5, 0.5 + 0.1 * (s == "wsd"), 0.5), tied=()))
    text = said(capsys, "recommend", "--family", "image", "--epochs", 20, "--ledger", one, two, three)
    text = " ".join(text.split())
    assert text.startswith(
        "Over 2 tasks of family image (not cifar10, which ran others), by mean rank among 3 strategies: cosine (1.0), "
        "step (2.0), constant (3.0)."
    )


@pytest.mark.parametrize("what", [("--task", "digits"), ("--family", "image")])
def test_an_answer_is_twelve_lines_at_most(monkeypatch, capsys, what):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(ROOT)
    text = said(capsys, "recommend", *what, "--epochs", 20)
    assert len(text.splitlines()) <= 12
    assert "--long shows" in text
    assert len(said(capsys, "recommend", *what, "--epochs", 20, "--long").splitlines()) > 20


def test_the_digits_show_what_the_word_says():
    """0.004 ± 0.004 is no reason to call a strategy worse: where it is one, the digits that make it one are shown."""
    assert resolved_value(Interval(0.0041, 0.0039, 3)) == "0.0041 ± 0.0039"
    assert resolved_value(Interval(0.0039, 0.0041, 3)) == "0.0039 ± 0.0041"
    assert resolved_value(Interval(-0.00401, 0.00399, 3)) == "−0.00401 ± 0.00399"
    assert resolved_value(Interval(0.004, 0.004, 3)) == "0.004 ± 0.004"
    assert resolved_value(Interval(3.1e-7, 2.9e-7, 3)) == "3.1e−07 ± 2.9e−07"
    assert resolved_value(Interval(0.0, 0.0, 3)) == "0.000 ± 0"
    assert resolved_value(None) == "–"


@pytest.mark.parametrize("width", [80, 100])
def test_a_recommendation_fits_the_terminal(tmp_path, monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    at = held(tmp_path / "out", name="digits(model='cnn')")
    text = said(capsys, "recommend", "--task", "digits(model='cnn')", "--epochs", 20, "--ledger", at)
    assert max(map(len, text.splitlines())) <= max(width, len(str(at)) + 90)
    assert "…" not in text


# ---------------------------------------------------------------------------------------------------- compare


def test_the_same_bits_are_no_difference_in_so_many_payloads(tmp_path, capsys):
    first, second = held(tmp_path / "a"), held(tmp_path / "b")
    text = said(capsys, "compare", first, second)
    assert text.startswith("No difference in 54 payloads: every cell in common ended with the same bits.")
    assert "Only in" not in text


def test_a_cell_that_moved_within_noise_is_told_and_nothing_is_significant(tmp_path, capsys):
    def other(name, strategy, budget, peak_lr, seed):
        control, final, best = reached(name, strategy, budget, peak_lr, seed)
        return control, final + (0.001 if (strategy, seed) == ("cosine", 1) else 0.0), best

    first, second = held(tmp_path / "a"), held(tmp_path / "b", outcome=other)
    text = " ".join(said(capsys, "compare", first, second).split())
    assert text.startswith("6 of 54 cells in common ended differently;")
    assert "no strategy is significantly better or worse" in text
    assert "within noise" in text
    assert "clearly better" not in text


def test_a_change_in_enough_blocks_is_significant_and_identical_strategies_are_not_tested(tmp_path, capsys):
    def other(name, strategy, budget, peak_lr, seed):
        control, final, best = reached(name, strategy, budget, peak_lr, seed)
        return control, final + (0.01 + 0.001 * seed if strategy == "cosine" else 0.0), best

    sides = []
    for side, outcome in (("a", reached), ("b", other)):
        rows = ledger({t: task(FEW, (1.0,)) for t in ("digits", "mnist5k")}, outcome, tied=())
        deposit(tmp_path / side, rows)
        sides.append(tmp_path / side)
    text = " ".join(said(capsys, "compare", *sides).split())
    assert f"in {sides[1]}, significantly better: cosine." in text
    assert "Tested: 1 strategies that changed" in text
    assert "lowest p 0.031" in text  # two of 2^6 patterns of signs
    text = " ".join(said(capsys, "compare", *reversed(sides)).split())
    assert "significantly worse: cosine" in text


def test_cells_that_differ_in_id_alone_are_matched_and_what_is_in_one_only_is_named(tmp_path, capsys):
    rows = ledger({"digits": task(FEW, (1.0,))}, tied=())
    renamed = [
        row._replace(key="x" + row.key, payload=row.payload | {"cell": "x"}) if row.kind == "cell" else row
        for row in rows
    ]
    deposit(tmp_path / "a", rows)
    deposit(tmp_path / "b", [r for r in renamed if r.payload.get("schedule") != "step"])
    text = " ".join(said(capsys, "compare", tmp_path / "a", tmp_path / "b").split())
    assert text.startswith("No difference in 18 payloads")
    assert "18 of the cells in common have other ids" in text
    assert f"Only in {tmp_path / 'a'}: 9 cells, with strategies step." in text


def test_a_run_that_diverges_now_counts_against_it(tmp_path, capsys):
    def other(name, strategy, budget, peak_lr, seed):
        return None if (strategy, seed) == ("cosine", 0) else reached(name, strategy, budget, peak_lr, seed)

    first, second = held(tmp_path / "a", peak_lrs=(0.1,)), held(tmp_path / "b", peak_lrs=(0.1,), outcome=other)
    assert "diverged more" in said(capsys, "compare", first, second)
    assert "diverged less" in said(capsys, "compare", second, first)

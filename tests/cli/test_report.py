"""The commands that read ledgers: what they take, and what they say of bad input."""

import pytest

from bench.cli import main
from bench.ledger.deposit import deposit
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


# ---------------------------------------------------------------------------------------------------- compare


def held(directory, outcome=reached, **facts):
    deposit(directory, ledger({"digits": task(FEW, (0.5, 1.0), **facts)}, outcome, tied=()))
    return directory


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

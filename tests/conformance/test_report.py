"""The command, its files, and what it says when a deviation has no explanation."""

import csv
import io

import pytest
from rich.console import Console

from bench.cli import main
from bench.conformance import document, report
from bench.conformance.equivalents import Equivalent
from bench.conformance.factors import LIBRARIES, compare
from bench.conformance.pitfalls import Trap

TORCH = LIBRARIES[0]
EQUAL = Equivalent("linear", "LinearLR(o, 1.0, 0.0, T)")
KNOWN = Equivalent("constant", "ConstantLR(o)", "few", "It begins at a third.")
UNKNOWN = Equivalent("cosine", "LinearLR(o, 1.0, 0.0, T)")
CHANGED = KNOWN._replace(expected="late")
GONE = Trap("Once a trap", "torch 0", "1", "1", False)


@pytest.fixture
def told(monkeypatch, capsys):
    """Run the command on made-up calls: (exit code, what it printed)."""
    monkeypatch.setattr(report, "tried", lambda: [GONE])
    monkeypatch.setenv("COLUMNS", "160")

    def tell(*equivalents, out=()):
        monkeypatch.setattr(report, "compared", lambda: [compare(TORCH, equivalent) for equivalent in equivalents])
        return main.main(["conform", *map(str, out)]), capsys.readouterr().out

    return tell


def test_explained_deviations_are_no_failure(told):
    code, text = told(EQUAL, KNOWN)
    assert code == 0
    assert "It begins at a third." in text
    assert "1 equal ours at every update, 1 deviate; none of those unexplained" in text
    assert "no longer shows" in text


@pytest.mark.parametrize("equivalent", [UNKNOWN, CHANGED])
def test_an_unexplained_deviation_is_exit_code_1(told, equivalent):
    code, text = told(EQUAL, equivalent)
    assert code == 1
    assert "Unexplained" in text
    assert "expected: " in text


def test_an_explanation_of_what_agrees_is_unexplained():
    assert not compare(TORCH, EQUAL._replace(expected="late", why="It was once.")).explained
    assert not compare(TORCH, KNOWN._replace(why="")).explained


def test_the_files_hold_every_call(told, tmp_path):
    out = tmp_path / "out"
    assert told(EQUAL, KNOWN, UNKNOWN, out=("--out", out))[0] == 1
    lines = list(csv.DictReader(io.StringIO((out / "table.csv").read_text())))
    assert [(line["verdict"], line["explained"]) for line in lines] == [
        ("equal", "True"),
        ("few", "True"),
        ("formula", "False"),
    ]
    assert float(lines[1]["theirs_there"]) == pytest.approx(1 / 3)
    assert [line["shows"] for line in csv.DictReader(io.StringIO((out / "traps.csv").read_text()))] == ["False"]
    assert {path.name for path in (out / "figures").glob("*.svg")} == {"constant.svg", "cosine.svg"}
    page, table = (out / "report.html").read_text(), (out / "table.md").read_text()
    for words in ("Unexplained", "It begins at a third.", "Once a trap"):
        assert words in page
        assert words in table


def test_the_same_comparison_makes_the_same_bytes(told, tmp_path):
    for name in ("a", "b"):
        told(KNOWN, out=("--out", tmp_path / name))
    for path in sorted((tmp_path / "a").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_a_folder_that_cannot_be_written_is_bad_input(told, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert told(EQUAL, out=("--out", tmp_path / "file" / "out"))[0] == 2


def test_the_terminal_table_fits_a_hundred_columns():
    found = [compare(TORCH, equivalent) for equivalent in (EQUAL, KNOWN)]
    console = Console(width=100, record=True, file=io.StringIO())
    report.show(found, [GONE], console)
    assert max(map(len, console.export_text().splitlines())) <= 100
    assert document.libraries(found) == ["torch"]

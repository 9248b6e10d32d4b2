"""The commands that read ledgers: what they take, and what they say of bad input."""

import pytest

from bench import cli
from tests.evidence.test_published import SMALL


def said(capsys, *arguments, code=0):
    assert cli.main(list(map(str, arguments))) == code
    done = capsys.readouterr()
    return done.out if code == 0 else done.err


def test_published_logs_are_imported_and_reported(tmp_path, capsys):
    file = tmp_path / "small.csv"
    file.write_text(SMALL)
    assert "7 published cells" in said(capsys, "import", file, "--out", tmp_path / "out")
    text = " ".join(said(capsys, "report", tmp_path / "out").split())
    assert "No difference between strategies is called significant or clear here" in text
    assert "Sharing" not in text
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("import", "absent.csv", "--out", "x"), "absent.csv is not there"),
        (("import", __file__, "--out", "x"), "is no llama-csv"),
        (("import", __file__, "--out", "x", "--format", "other"), "llama-csv"),
        (("report", "absent"), "absent holds no ledger"),
    ],
)
def test_bad_input_is_told_in_one_line(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    text = said(capsys, *arguments, code=2)
    assert says in text
    assert len(text.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []

"""Python code of the user's own is what its file says now."""

import os
import sys

from schedules import user_code
from tests.runs import ROOT


def test_a_file_changed_within_a_second_is_read_anew(tmp_path):
    path = tmp_path / "own.py"
    for value in (1, 2):
        path.write_text(f"x = {value}\n")
        os.utime(path, (1e9, 1e9))  # the same size and the same second, by which Python knows its compiled modules
        assert user_code.execute(path, "own.py").x == value


def test_nothing_is_written_beside_the_users_files(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("x = 1\n")
    user_code.execute(path, "own.py")
    assert list(tmp_path.iterdir()) == [path]


def test_neighbours_are_what_a_file_imports_from_beside_it_and_no_part_of_the_project(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "own.py").write_text("import json, numpy, inner, tasks\nfrom schedules import contract\n")
    (tmp_path / "inner.py").write_text("import deeper.more\n")
    (tmp_path / "deeper").mkdir()
    for name in ("deeper/__init__.py", "deeper/more.py", "other.py", "json.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "numpy").mkdir()  # data, not a package
    expected = [tmp_path / name for name in ("deeper/__init__.py", "deeper/more.py", "inner.py")]
    assert user_code.neighbours(tmp_path / "own.py") == expected
    beside = ROOT / "own.py"
    assert not [file for name in ("tasks", "bench", "schedules") for file in user_code._beside(ROOT, name, beside)]


def test_a_new_process_executes_only_the_files_that_a_value_is_of(tmp_path):
    for name in ("one", "other"):
        (tmp_path / f"{name}.py").write_text("class Reader:\n    pass\n")
    one, _ = (user_code.execute(tmp_path / f"{name}.py", name) for name in ("one", "other"))
    files = [user_code.Portable(value).__reduce__()[1][0] for value in (3, one.Reader())]
    assert files == [[], [tmp_path / "one.py"]]

"""Python code of the user's own is what its file says now."""

import os

from schedules import user_code


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

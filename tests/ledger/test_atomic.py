"""No room on the disk: one clear error, whoever wrote, and what was there before is there still."""

import errno
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.cli import main
from bench.cli import report as command
from bench.ledger import atomic, checkpoint, trace
from bench.report import write as report
from tests.analysis.rows import ledger, task


@pytest.fixture
def room(monkeypatch):
    """Set how many bytes the disk has room for, in files written whole."""
    left = [10**9]

    class Crowded(io.FileIO):
        def write(self, data):
            left[0] -= len(data)
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(atomic, "_File", type("Crowded", (atomic._File, Crowded), {}))
    return lambda size: left.__setitem__(0, size)


def state(path):
    checkpoint.save(path, {"weights": torch.zeros(10_000)})


def columns(path):
    it = trace.Trace()
    it.seat(0, range(3000), range(3000), np.random.default_rng(0).random(3000))
    it.fold([(np.zeros(3000, np.float32), np.zeros(3000, np.float32))])
    it.finish(path.parent, path)


@pytest.mark.parametrize("write", [state, columns])
@pytest.mark.parametrize("size", [0, 100, 9000])
def test_a_full_disk_is_an_error_of_its_own_and_leaves_the_old_file(room, tmp_path, write, size):
    path = tmp_path / "it"
    path.write_bytes(b"old")
    room(size)
    with pytest.raises(OSError, match="No space left") as caught:
        write(path)
    assert atomic.full(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["it"]
    assert path.read_bytes() == b"old"
    room(10**9)
    write(path)
    assert path.stat().st_size > 9000


def test_other_errors_are_not_called_a_full_disk(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file") as caught:
        atomic.write(tmp_path / "file" / "it", lambda file: None)
    assert not atomic.full(caught.value)


def files(directory):
    return {p.relative_to(directory): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_report_that_found_no_room_has_no_page_and_nothing_torn_and_can_be_written_again(room, tmp_path, share):
    rows = ledger({"digits": task(("cosine", "wsd"), (0.5, 1.0))})
    report.write(tmp_path, report.find(rows))
    whole = files(tmp_path)
    room(int(share * sum(map(len, whole.values()))))
    with pytest.raises(OSError, match="No space left"):
        report.write(tmp_path, report.find(rows))
    left = files(tmp_path)
    assert Path("report.html") not in left
    assert all(whole[name] == data for name, data in left.items())
    room(10**9)
    report.write(tmp_path, report.find(rows))
    assert files(tmp_path) == whole


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), atomic.FullError("of a worker")])
def test_the_command_line_says_so_in_one_line_and_ends_with_code_1(error, monkeypatch, capsys):
    def fail(args):
        raise error

    monkeypatch.setattr(command, "report", fail)
    assert main.main(["report", "somewhere"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("glideslope: no room on the disk (")
    assert "the same command continues" in line

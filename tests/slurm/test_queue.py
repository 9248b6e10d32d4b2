"""Parsers of the output of SLURM's commands, with other output of sites around it; no SLURM is needed."""

import json
import os

import pytest

from bench.cli import main
from bench.contract import InputError
from bench.slurm import queue

BANNER = "echo '*** Welcome to cluster 7 ***'; echo '42 users are logged in'; echo"


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Make a stub of a SLURM command: it runs these shell lines and logs its arguments to `NAME.words`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name, lines):
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/{name}.words\n{lines}\n')
        path.chmod(0o755)
        return tmp_path / f"{name}.words"

    return make


@pytest.mark.parametrize(
    ("lines", "job"),
    [
        ("echo 123", ("123", "")),
        ("echo '123;north'", ("123", "north")),
        (f"{BANNER}\necho 123", ("123", "")),
        (f"{BANNER}\necho '123;north'\necho", ("123", "north")),
        ("echo 5\necho 123", ("123", "")),
        ("echo 123\necho '1 job is yours'\necho warned >&2", ("123", "")),
    ],
)
def test_the_job_is_found_among_what_a_site_prints(command, tmp_path, lines, job):
    command("sbatch", lines)
    assert queue.submit(tmp_path / "array.sbatch") == job


def test_output_that_names_no_job_is_reported_as_such(command, tmp_path):
    command("sbatch", "echo welcome")
    with pytest.raises(InputError, match="named no job \\('welcome'\\): check squeue before you try again"):
        queue.submit(tmp_path / "array.sbatch")


def test_a_refusal_is_sbatchs_own_line(command, tmp_path):
    command("sbatch", "echo 'Welcome' >&2\necho 'sbatch: error: Invalid account' >&2\nexit 1")
    with pytest.raises(InputError, match=r"sbatch: error: Invalid account$"):
        queue.submit(tmp_path / "array.sbatch")


def test_states_are_found_among_what_a_site_prints(command):
    words = command("squeue", f"{BANNER}\necho 'CLUSTER: north'\necho '7_1 RUNNING'\necho '8 PENDING'\necho '42 USERS'")
    assert queue.states(["7", "8"], "north") == {"7_1": "RUNNING", "8": "PENDING"}
    assert "--clusters=north" in words.read_text()
    assert queue.states(["7", "8"]) == {"7_1": "RUNNING", "8": "PENDING"}
    assert words.read_text().count("--clusters") == 1


FEW = (
    "submit",
    "smoke",
    "--tasks",
    "linreg",
    "--schedules",
    "constant",
    "--seeds",
    "1",
    "--budgets",
    "0.1",
    "--array",
    "1",
)


def test_an_array_is_submitted_once_whatever_a_site_prints(command, tmp_path, capsys):
    words = command("sbatch", f"{BANNER}\necho '123;north'")
    assert main.main([*FEW, "--out", str(tmp_path / "out")]) == 0
    first, second = words.read_text().splitlines()
    assert first.endswith("array.sbatch")
    assert "--dependency=afterany:123 " in second
    jobs = json.loads((tmp_path / "out/slurm/001/jobs.json").read_text())
    assert jobs == {"array": "123", "cluster": "north", "report": "123"}
    assert "Array job 123, report job 123" in capsys.readouterr().out


def test_an_array_whose_report_is_refused_is_not_lost(command, tmp_path, capsys):
    command("sbatch", 'case "$*" in *report.sbatch*) echo "sbatch: error: no more jobs" >&2; exit 1;; esac\necho 123')
    assert main.main([*FEW, "--out", str(tmp_path / "out")]) == 2
    line = capsys.readouterr().err
    assert line.startswith("glideslope: array job 123 is submitted, its report is not (sbatch refused ")
    assert "no more jobs" in line
    assert "don't submit again" in line
    assert len(line.splitlines()) == 1
    command("squeue", "echo '123_0 PENDING'")
    assert main.main(["status", str(tmp_path / "out")]) == 0
    assert "SLURM: array job 123: 1 pending" in capsys.readouterr().out

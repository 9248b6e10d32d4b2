"""Batch scripts: their text, and their response to signals, without SLURM."""

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.cli import run as run_command
from bench.contract import InputError
from bench.engine import memory
from bench.runner.config import RunConfig, prepare
from bench.slurm import memory as footprint
from bench.slurm import script, submission
from bench.slurm.request import Resources
from tests.runs import ROOT

GOLDEN = Path(__file__).parent / "golden"
PYTHON = ("python",)
CASES = {
    "cpu": (RunConfig(), Resources(max_parallel=4, python=PYTHON)),
    "gpu": (
        RunConfig(suite="my suite.py", schedules="cosine, wsd(shape='sqrt')", seeds=5, budgets=(0.25, 1.0)),
        Resources(gpus=1, cpus=4, partition="gpu", time="4:00:00", setup=("module load cuda",), extra=("--account=me",),
                python=("apptainer", "exec", "--nv", "it.sif", "python")),
    ),
    "nodes": (RunConfig(data_parallel=True, cadence=60.0),
              Resources(nodes=2, gpus=4, cpus=8, retries=3, python=PYTHON)),
}  # fmt: skip
"""One core each; one GPU each, in a container, with words to quote; two nodes of four GPUs for each cohort."""

WEIRD = """it's "24" täsks, 100 % of $HOME"""


@pytest.fixture
def write_case(tmp_path, monkeypatch):
    """Write the scripts of a case in a folder whose path needs quotes."""
    monkeypatch.chdir(tmp_path)

    def write(name):
        order, request = CASES[name]
        folder = Path(WEIRD) / "slurm" / "001"
        folder.mkdir(parents=True)
        return submission.write_scripts(replace(order, out=Path(WEIRD)), request, folder, 24, ("--mem=4G",))

    return write


@pytest.mark.parametrize("name", CASES)
def test_the_scripts_are_the_golden_ones(write_case, tmp_path, name):
    for path in write_case(name):
        golden = GOLDEN / f"{name}-{path.name}"
        text = path.read_text().replace(str(tmp_path), "/home/me")
        if not golden.exists():
            golden.write_text(text)
            pytest.fail(f"{golden} was missing and is written now: read it, and run again")
        assert text == golden.read_text(), f"if this is as it should be, delete {golden} and run again"


def test_the_scripts_for_use_by_hand_are_written_by_the_same_code():
    assert (ROOT / "SLURM/array.sbatch").read_text() == script.array_by_hand(Resources().retries)
    assert (ROOT / "SLURM/report.sbatch").read_text() == script.report_by_hand()


@pytest.mark.parametrize("path", [*GOLDEN.glob("*.sbatch"), *(ROOT / "SLURM").glob("*.sbatch")], ids=lambda p: p.name)
def test_bash_can_read_every_script(path):
    assert subprocess.run(["bash", "-n", path]).returncode == 0


def test_what_is_submitted_parses_back_to_the_order():
    for order, _ in CASES.values():
        args = main.parser().parse_args(submission.run_arguments(order))
        assert run_command.config_of(args) == replace(order, out=order.directory)


STUB = """
import os, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
open("started", "w").close()
time.sleep(float(os.environ.get("STUB_SECONDS", "60")))
sys.exit(int(os.environ.get("STUB_CODE", "0")))
"""


@pytest.fixture
def running(tmp_path, monkeypatch):
    """Start an array script with stubs of Python and `scontrol`, next to an unrelated folder `bench`."""
    for folder, text in (("stub/bench", STUB), ("bench", "raise SystemExit('a folder of the same name')")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
        (tmp_path / folder / "cli.py").write_text(text)
    (tmp_path / "scontrol").write_text('#!/bin/sh\necho "$@" >>requests\n')
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    order, request = CASES["cpu"]
    path, _ = submission.write_scripts(order, replace(request, python=("python3",)), tmp_path, 2)

    def start(**environment):
        ids = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1", "SLURM_JOB_ID": "9"}
        settings = os.environ | ids | environment | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        settings["PYTHONPATH"] = str(tmp_path / "stub")
        process = subprocess.Popen(["bash", path], env=settings, stdout=subprocess.PIPE, text=True)
        while not Path("started").exists():
            time.sleep(0.01)
        return process

    return start


def end(process, number=None):
    """(exit code, output) of a script, after a signal if one is given."""
    if number is not None:
        process.send_signal(number)
    text, _ = process.communicate(timeout=20)
    return process.returncode, text


def requests():
    """Arguments that the stub of `scontrol` got."""
    return Path("requests").read_text().strip() if Path("requests").exists() else ""


def test_a_warning_is_passed_on_and_the_task_goes_back_into_the_queue(running):
    code, text = end(running(), signal.SIGUSR1)
    assert code == 75
    assert requests() == "requeue 7_1"  # not job 9, which may stand for the whole array
    assert "restart 1 of 10 at most" in text


def test_after_the_stated_number_of_restarts_it_ends(running):
    assert end(running(SLURM_RESTART_COUNT="10"), signal.SIGUSR1)[0] == 75
    assert requests() == ""


def test_a_termination_saves_and_is_not_undone(running):
    assert end(running(), signal.SIGTERM)[0] == 75
    assert requests() == ""


def test_the_code_of_the_run_is_the_code_of_the_script(running):
    assert end(running(STUB_SECONDS="0", STUB_CODE="1"))[0] == 1
    assert requests() == ""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"array": 0}, "--array 0: give 1 or more"),
        ({"max_parallel": 0}, "--max-parallel 0: give 1 or more"),
        ({"gpus": 2}, "need --data-parallel"),
        ({"nodes": 2}, "need --data-parallel"),
        ({"extra": ("account=me",)}, "is not an option of sbatch"),
        ({"partition": "main\n#SBATCH --exclusive"}, "--partition .*: give it as sbatch takes it, on one line"),
        ({"time": ""}, "--time '': give it as sbatch takes it"),
        ({"python": ()}, "--python is empty"),
    ],
)
def test_what_slurm_could_not_do_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        submission.check(RunConfig(), Resources(**wrong))


def run(*words):
    return main.main(["submit", "smoke", "--tasks", "linreg,quadratic", *map(str, words)])


def test_a_dry_run_writes_the_scripts_and_nothing_else(tmp_path, capsys):
    assert run("--out", tmp_path / "out", "--array", 2, "--dry-run", "--", "--account=me", "--qos=low") == 0
    assert "Nothing is submitted" in capsys.readouterr().out
    files = sorted(str(f.relative_to(tmp_path / "out")) for f in (tmp_path / "out").rglob("*") if f.is_file())
    assert files == [f"slurm/001/{name}" for name in ("array.sbatch", "cohorts.json", "report.sbatch")]
    for name in ("array.sbatch", "report.sbatch"):
        assert "#SBATCH --account=me\n#SBATCH --qos=low\n" in (tmp_path / "out/slurm/001" / name).read_text()
    assert run("--out", tmp_path / "out", "--array", 2, "--dry-run") == 0
    assert (tmp_path / "out/slurm/002/array.sbatch").exists()


def test_without_a_slurm_it_says_so_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("--out", tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith("glideslope: there is no sbatch here")


def test_a_malformed_python_option_is_refused_in_one_line(tmp_path, capsys):
    assert run("--out", tmp_path / "out", "--dry-run", "--python", "it's") == 2
    assert capsys.readouterr().err == 'glideslope: --python "it\'s": No closing quotation\n'


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ["#SBATCH --mem=2G"]),  # a process of 1.5 GB, and a few kB of members
        (("--cpus", 3), ["#SBATCH --mem=6G"]),  # 3 workers, and the process that supervises them
        (("--cpus", 3, "--workers", 1), ["#SBATCH --mem=2G"]),
        (("--", "--mem-per-cpu=100M"), ["#SBATCH --mem-per-cpu=100M"]),
    ],
)
def test_an_array_task_asks_for_the_memory_that_its_plan_needs(tmp_path, words, expected):
    own, extra = (words[:-2], words[-2:]) if "--" in words else (words, ())
    assert run("--out", tmp_path / "out", "--dry-run", *own, *extra) == 0
    lines = (tmp_path / "out/slurm/001/array.sbatch").read_text().splitlines()
    assert [line for line in lines if "--mem" in line] == expected


def test_members_data_and_looks_count_into_the_memory(monkeypatch):
    prepared = prepare(RunConfig(suite="smoke", tasks="digits", engine="modules"))
    cohort = prepared.plan.cohorts[0]
    task = prepared.tasks["digits"]
    data = sum(a.nbytes for split in task.load() for a in (*split.inputs, *split.target))
    monkeypatch.setattr(memory, "of_cohort", lambda *args, parts, recalls: memory.Demand(6e9 / parts, 3e9))
    members = len(cohort.cells) * 3e9

    def gigabytes(order, **request):
        (option,) = footprint.options(prepared, order, Resources(**request))
        return int(option.removeprefix("--mem=").removesuffix("G"))

    def needs(look):
        return -(-int(1.5e9 + data + (members + look) / memory.SHARE) // 2**30)

    assert gigabytes(RunConfig()) == needs(6e9)
    assert gigabytes(RunConfig(accumulate=2)) == needs(3e9)
    assert gigabytes(RunConfig(data_parallel=True), nodes=3) == needs(2e9)
    assert gigabytes(RunConfig(), gpus=1, cpus=8) == needs(6e9)


def test_memory_requested_by_the_environment_is_left_as_it_is(monkeypatch):
    assert not Resources().memory_given
    monkeypatch.setenv("SBATCH_MEM_PER_CPU", "2G")
    assert Resources().memory_given

"""A task of one's own, in processes: killed and resumed, on one and on two, as a SLURM array."""

import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import tasks
from bench.data import ReadRequest
from bench.engine.prefetch import WorkerReader
from bench.ledger import ledger
from tests.faults.test_kill import await_change, kill, snapshots
from tests.runs import ROOT, payloads, traces
from tests.tasks.test_own import NETS, STREAMED, TASK, forget

pytestmark = pytest.mark.faults

NET = NETS.replace("nn.ReLU()", "nn.ReLU(), nn.Dropout(0.1)")
COMMON = (
    *("smoke", "--tasks", "my_task.py:task, my_task.py:task(width=8, batch_size=16)", "--epochs", "2,5"),
    *("--schedules", "constant, cosine, plateau(patience=1)", "--seeds", "2", "--peak-lrs", "0.1"),
)
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a task, a model beside it, and an uninterrupted run of two workers."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_task.py").write_text(TASK)
    (folder / "nets.py").write_text(NET)
    finish(begin(folder, "whole", "--workers", "2"))
    return folder


def begin(folder, out, *more, launcher=()):
    command = [sys.executable, *launcher, str(ROOT / "bench" / "run.py"), *COMMON, "--out", out, *more]
    settings = os.environ | {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=folder, env=settings, start_new_session=True, text=True, **pipes)


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def command(folder, *words):
    settings = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "bench.cli", *words], cwd=folder, env=settings, capture_output=True, text=True
    )


def test_killed_and_resumed(folder):
    chance, kills = random.Random(17), 0
    while kills < 3:
        process = begin(folder, "killed", "--workers", str(1 + kills % 2), "--snapshot-seconds", "0.02")
        if not await_change(snapshots, folder / "killed", process):
            break
        time.sleep(chance.uniform(0, 0.1))
        kill(process)
        kills += 1
    assert kills >= 2
    finish(begin(folder, "killed", "--workers", "2"))
    assert payloads(folder / "killed") == payloads(folder / "whole")
    assert traces(folder / "killed") == traces(folder / "whole")


@pytest.mark.parametrize(("out", "launcher"), [("one", ()), ("two", TORCHRUN)])
def test_one_process_and_two(folder, out, launcher):
    finish(begin(folder, out, "--workers", "1", launcher=launcher))
    assert payloads(folder / out) == payloads(folder / "whole")
    assert traces(folder / out) == traces(folder / "whole")


def test_array_tasks_and_an_extension(folder):
    """Shares of a submission, then more seeds: the plan that they make is the one of a run with all of them."""
    written = command(folder, "submit", *COMMON, "--out", "array", "--array", "2", "--dry-run")
    assert written.returncode == 0, written.stderr
    for i in range(2):
        finish(begin(folder, "array", "--workers", "1", "--assigned", f"array/slurm/001/cohorts.json:{i}"))
    assert payloads(folder / "array") == payloads(folder / "whole")
    said = finish(begin(folder, "array", "--seeds", "3", "--extend"))
    assert "24 cells are recorded and not trained again" in " ".join(said.split())


def test_a_shared_batch(folder):
    """On two processes that share each batch."""
    finish(begin(folder, "ranks", "--data-parallel", "--engine", "modules", launcher=TORCHRUN))
    cells = [row.payload for row in ledger.read(folder / "ranks", kinds=("cell",))]
    assert len(cells) == len([key for key in payloads(folder / "whole") if key[0] == "cell"])
    assert {cell["status"] for cell in cells} == {"done"}


def test_what_reads_the_ledger_needs_no_code(folder, tmp_path):
    """Reports, and recommendations by the name that the tables show, also where the files are not."""
    out = str(folder / "whole")
    name = next(row.payload["task"] for row in ledger.read(folder / "whole", kinds=("cell",)))
    for words in (
        ("report", out),
        ("status", out),
        ("compare", out, out),
        ("recommend", "--ledger", out, "--task", name, "--epochs", "5"),
    ):
        answer = command(tmp_path, *words)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "Traceback" not in answer.stderr
    assert "task.py:task@" in (folder / "whole" / "table.md").read_text()


def test_changed_code_is_not_shown_as_old(folder):
    before = payloads(folder / "whole")
    (folder / "nets.py").write_text(NET.replace("0.1", "0.2"))
    try:
        process = begin(folder, "whole", "--workers", "1")
        output, _ = process.communicate(timeout=300)
    finally:
        (folder / "nets.py").write_text(NET)
    assert process.returncode == 2
    assert "my_task.py:task@" in output
    assert payloads(folder / "whole") == before


def test_a_reader_of_ones_own_in_worker_processes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "my_task.py").write_text(STREAMED)
    data = tasks.parse("my_task.py:streamed").load()
    batches = WorkerReader(data, torch.device("cpu"), workers=1).read([[ReadRequest("train", i, None) for i in (3, 4)]])
    ((inputs, target),) = [tuple(side[0].numpy() for side in batch) for batch in batches]
    rows = [data.train.read(i, None) for i in (3, 4)]
    assert np.array_equal(inputs, np.stack([row[0][0] for row in rows]))
    assert np.array_equal(target, np.stack([row[1][0] for row in rows]))
    forget(tmp_path)

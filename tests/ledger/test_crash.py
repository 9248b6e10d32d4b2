"""The promise of the record under crashes at any write, fsync or rename: rows whole, and nothing lost that counts."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import schedules
from bench.contract import Cell, Cohort
from bench.ledger import checkpoint, ledger, paths, trace
from bench.train.io import GO, SAVE, TrainingIO, tidy
from bench.train.loop import Training
from tests.ledger.crashes import Crash, Disk
from tests.runs import attempt

TASK = SimpleNamespace(family="image", metric="accuracy", direction="max", eval_epochs=1)
FEED = SimpleNamespace(epoch_steps=2, batch=lambda step: step)
SCHEDULES = {text: schedules.parse(text) for text in ("constant", "cosine", "plateau(patience=0)")}
CELLS = [Cell("toy", text, "sgd", 0.1, 0.0, total / 12, total, 0, "data") for text in SCHEDULES for total in (4, 12)]
COHORT = Cohort(tuple(CELLS), "modules", 1)


class Engine:
    """Members that are one number each."""

    recall = False

    def __init__(self):
        self.weights, self.past = [1.0], []

    def look(self, batch, step):
        self.past.append((np.array(self.weights, np.float32), np.array(self.weights, np.float32)))

    def signals(self):
        return [(weight, weight, 0.0) for weight in self.weights]

    def take(self, rows):
        self.weights = [self.weights[row] for row in rows]

    def move(self, moves):
        self.weights = [w * (1 - move.lr) for w, move in zip(self.weights, moves, strict=True)]

    def evaluate(self, split, rows):
        return [{"accuracy": self.weights[row], "loss": -self.weights[row], "finite": 1.0} for row in rows]

    def recalibrated(self, split, rows):
        return None

    def history(self):
        past, self.past = self.past, []
        return past

    def state_dict(self):
        return {"weights": torch.tensor(self.weights, dtype=torch.float64)}

    def load_state_dict(self, state):
        self.weights = state["weights"].tolist()


def run(directory, chance):
    """What a session does with its one cohort."""

    def verdict(step):
        return SAVE if chance.random() < 0.4 else GO

    book = ledger.Ledger(directory, attempt(fingerprint="here"))
    if ("cohort", COHORT.id) not in book:
        Training(COHORT, TASK, SCHEDULES, Engine(), FEED, TrainingIO(directory, book, verdict)).run()
    elif COHORT.id in paths.unfinished(directory):
        tidy(directory, COHORT.id)
    book.close()


def rows(directory):
    """Every row but those of attempts and resumes, by kind and key."""
    found = ledger.read(directory) if paths.parts(directory) else []
    return {(r.kind, r.key): r.payload for r in found if r.kind not in ("attempt", "resume")}


def columns(path):
    return {name: column.tobytes() for name, column in trace.read(path).items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(rows, trace) of a run that nothing befell."""
    directory = tmp_path_factory.mktemp("whole")
    run(directory, random.Random(0))
    assert sorted(p.name for p in directory.rglob("*") if p.is_file() and "ledger" not in p.parts) == [
        f"{COHORT.id}.npz"
    ]
    return rows(directory), columns(directory / "traces" / f"{COHORT.id}.npz")


def keeps_its_promise(directory, whole):
    """Rows are whole; what a checkpoint or the cohort's row counts on is there."""
    all_rows, all_columns = whole
    found = rows(directory)
    assert found.items() <= all_rows.items()
    state = checkpoint.load(directory / "snapshots" / f"{COHORT.id}.pt")
    if ("cohort", COHORT.id) in found:
        assert found == all_rows
        assert columns(directory / "traces" / f"{COHORT.id}.npz") == all_columns
    elif state is not None:
        ended = {c.id for c in CELLS if c.total <= state["step"]}
        counted = {k: v for k, v in all_rows.items() if k[1] in ended or v.get("step", 99) <= state["step"]}
        assert counted.items() <= found.items()
        chunks = [trace.read(directory / "traces" / COHORT.id / name) for name in state["trace"]["chunks"]]
        steps = {int(step) for chunk in chunks for step in chunk["step"]}
        assert steps == set(range(state["step"]))


def befall(seed, tmp_path, whole):
    """Kill the run, or crash the machine, at random moments, until it gets through; how often each happened."""
    chance = random.Random(seed)
    (tmp_path / "0").mkdir()
    disk, kills, crashes = Disk(tmp_path / "0", chance), 0, 0
    for trial in range(1, 6):
        try:
            with disk.process(chance.randint(1, 120)):
                run(disk.root, chance)
            break
        except Crash:
            keeps_its_promise(disk.root, whole)
        if chance.random() < 0.4:
            kills += 1  # the process alone: others see all that it wrote
        else:
            crashes += 1
            (tmp_path / str(trial)).mkdir()
            disk = disk.crash(tmp_path / str(trial))
            keeps_its_promise(disk.root, whole)
    with disk.process(None):
        run(disk.root, chance)
    keeps_its_promise(disk.root, whole)
    assert rows(disk.root) == whole[0]
    (tmp_path / "end").mkdir()
    disk = disk.crash(tmp_path / "end")  # what was reported as done is done
    keeps_its_promise(disk.root, whole)
    assert rows(disk.root) == whole[0]
    return kills, crashes


@pytest.fixture
def eager(monkeypatch):
    """Write checkpoints whenever they are asked for, so that crashes hit many of them."""
    monkeypatch.setattr(checkpoint.CheckpointWriter, "ready", True)


def test_the_record_keeps_its_promise_in_200_random_fault_schedules(tmp_path, whole, one_thread, eager):
    befallen = []
    for seed in range(200):
        print("seed", seed)  # of the schedule that failed, if one does
        (tmp_path / str(seed)).mkdir()
        befallen.append(befall(seed, tmp_path / str(seed), whole))
    kills, crashes = map(sum, zip(*befallen, strict=True))
    print(f"{kills} kills, {crashes} crashes")
    assert kills > 100
    assert crashes > 200

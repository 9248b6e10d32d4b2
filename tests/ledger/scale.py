"""How long, and in how much memory? `python tests/ledger/scale.py plan` or `... report ROWS DIR`; by hand, not a test.

`plan`: 100,000 cells are planned, forecast and sharded. `report`: a ledger of so many rows, nine in ten of them of
kind `eval`, is made in DIR, opened for appending as a worker does, and reported.
"""

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.analysis.results import KINDS
from bench.ledger import leases, ledger, lines
from bench.report import write
from bench.runner.config import RunConfig, prepare
from tests.analysis.rows import ledger as synthetic
from tests.analysis.rows import task
from tests.runs import attempt

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "linear", "cosine", "step", "rex", "exponential", "onecycle", "polynomial", "wsd", "plateau")
    peaks = tuple(0.01 * 1.5**i for i in range(10))
    grids = [Grid(task=t, schedules=some, peak_lrs=peaks, budgets=(0.1, 0.25, 0.5, 0.75, 1.0), seeds=100)
             for t in ("linreg", "quadratic")]
    return Suite("large", tuple(grids))
"""


class Watch:
    """Says how much process CPU time and wall time each part took, and the peak of the memory so far."""

    def __init__(self):
        self.lap()

    def lap(self):
        self.begun = time.process_time(), time.perf_counter()

    def __call__(self, what):
        cpu, wall = time.process_time() - self.begun[0], time.perf_counter() - self.begun[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(f"{what:40} {cpu:7.1f} s CPU {wall:7.1f} s {peak:7.0f} MB", flush=True)
        self.lap()


def plan(folder):
    """Plan 100,000 cells."""
    path = Path(folder) / "large.py"
    path.write_text(SUITE)
    watch = Watch()
    prepared = prepare(RunConfig(suite=str(path)))
    watch(f"plan of {len(prepared.plan.cells):,} cells, {len(prepared.plan.cohorts)} cohorts")
    shards = [prepared.plan.shard(i, 100) for i in range(100)]
    watch(f"{len(shards)} shards")
    sum(map(prepared.forecast.seconds, prepared.plan.cohorts))
    watch("forecast of each cohort")
    payload = prepared.forecast.row().payload()
    watch(f"plan row of {len(json.dumps(payload)) / 1e3:.0f} kB")


def made(count, directory):
    """A ledger of so many rows, written in 16 parts."""
    evals = 9
    cells = count // (evals + 1)
    strategies = tuple(f"wsd(cooldown={i / 100})" for i in range(1, 51))
    budgets, peaks = (0.1, 0.25, 0.5, 0.75, 1.0), tuple(0.01 * 1.5**i for i in range(8))
    names = ("digits", "mnist5k", "vowels", "grammar", "scenes")
    seeds = max(1, cells // (len(strategies) * len(budgets) * len(peaks) * len(names)))
    rows = synthetic({name: task(strategies, budgets, peaks, seeds) for name in names})
    (directory / "ledger").mkdir(parents=True)
    parts = [(directory / "ledger" / f"part-{i:03d}.jsonl").open("w") for i in range(16)]
    written = 0
    for i, row in enumerate(rows):
        written += put(parts[i % 16], row.kind, row.key, row.payload)
        for step in range(evals if row.kind == "cell" else 0):
            cell = row.payload
            key = f"{cell['cohort']}/{cell['cell']}/{step}"
            written += put(parts[i % 16], "eval", key, evaluation(cell, step))
    for part in parts:
        part.close()
    return written


def put(part, kind, key, payload):
    part.write(lines.line(kind, key, "attempt0", lines.text(payload)))
    return 1


def evaluation(cell, step):
    """What an `eval` row holds, as long as one is."""
    share = step / 9 + cell["peak_lr"]
    numbers = ("epoch", "lr", "train_loss", "grad_norm", "control", "test", "control_loss", "test_loss")
    place = {"cohort": cell["cohort"], "segment": cell["segment"], "parent": None, "start": 0}
    place["step"] = cell["total"] * (step + 1) // 9
    return place | {name: share / (i + 3) for i, name in enumerate(numbers)}


def read(directory):
    """Report a ledger, after opening it as a worker does."""
    watch = Watch()
    book = ledger.Ledger(directory, attempt(fingerprint="f"))
    watch("open for appending")
    book.refresh()
    book.close()
    leases.standing(directory)
    watch("read new rows and leases")
    rows = ledger.read(directory, kinds=KINDS)
    watch(f"read the {len(rows):,} rows of a report")
    write.write(directory, write.find(rows))
    watch("write the report")


if __name__ == "__main__":
    if sys.argv[1] == "plan":
        plan(sys.argv[2])
    elif sys.argv[1] == "make":
        print(f"{made(int(sys.argv[2]), Path(sys.argv[3])):,} rows")
    else:
        read(Path(sys.argv[2]))

"""Memory of each engine beside what the plan counts on: `python -m tests.speed.memory results/speed/memory.md`.

Each line is one process that makes so many members of a task, trains them for some updates and evaluates them. Counted
are the tensors that torch allocates meanwhile, and how much the resident memory of the process grows at most, which
has the libraries' scratch buffers, too. `compiled` is measured before it compiles, since its programs allocate where
the first count does not see it.
"""

import subprocess
import sys
from pathlib import Path

import psutil

import tasks
from bench import engine
from bench.contract import Cell, Move
from bench.engine import memory
from bench.engine.allocation import AllocationMeter
from bench.engine.loader import Loader
from bench.numerics import Arithmetic
from tests.runs import ROOT

WIDTHS = (1, 16, 64)
TASKS = {
    "digits": ("modules", "stacked", "compiled", "rowwise"),
    "mnist5k": ("modules", "stacked", "compiled", "rowwise"),
    "vowels": ("modules", "stacked", "compiled", "rowwise"),
    "grammar": ("modules", "stacked", "rowwise"),
    "scenes": ("modules", "rowwise"),
    "digits(model='cnn')": ("modules", "rowwise"),
}
UPDATES = 4
SPLITS = ("control", "test")

TEXT = """# Memory of each engine, and what the plan counts on

Made by `python -m tests.speed.memory results/speed/memory.md`, in MB above what the process has with its data and one
model. *Planned* is for training and evaluating so many members, without averages. *Tensors* are those of torch;
of `compiled` in its first updates, before programs are compiled. *Process* is its resident memory, with scratch
buffers, allocator and the code that is loaded at first use. In parentheses: over what was planned.

| task | engine | members | planned | tensors | process |
|---|---|---:|---:|---:|---:|
{lines}
"""


def measure(name, kind, members):
    """Bytes: planned, tensors at most, growth of the process at most."""
    task = tasks.parse(name)
    loader = Loader(task, 0)
    batches = [loader.batch(step) for step in range(UPDATES)]
    for split in SPLITS:
        loader.split(split)  # which keeps the data
    cell = Cell(
        task=name, schedule="constant", optimizer=task.optimizer, peak_lr=task.peak_lrs[0], budget=1.0, total=UPDATES,
        weight_decay=task.weight_decay, seed=0, data="", averaging="none",
    )  # fmt: skip
    demand = memory.of_cohort(task, [cell], kind)
    process = psutil.Process()
    before = process.memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    with AllocationMeter() as meter:
        trained = engine.create(kind, loader, task.optimizer, task.weight_decay, None, Arithmetic())
        for step, batch in enumerate(batches):
            trained.look(batch, step)
            if step == 0:
                trained.take([0] * members)
            trained.move([Move(task.peak_lrs[0])] * members)
        for split in SPLITS:
            trained.evaluate(split, range(members))
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    grown = int(status["VmHWM"].split()[0]) * 1024 - before
    rows = max(members, 2) if kind in engine.STACKING else members  # a single member has a shadow
    return demand.taken(rows), meter.most, grown


def lines():
    for name, kinds in TASKS.items():
        for kind in kinds:
            for members in WIDTHS:
                command = [sys.executable, "-m", "tests.speed.memory", name, kind, str(members)]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
                planned, tensors, grown = (float(word) / 1e6 for word in done.stdout.split()[-3:])
                parts = [f"{value:.1f} ({value / planned:.2f})" for value in (tensors, grown)]
                yield f"| `{name}` | {kind} | {members} | {planned:.1f} | {parts[0]} | {parts[1]} |"


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(*measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        Path(sys.argv[1]).write_text(TEXT.format(lines="\n".join(lines())))

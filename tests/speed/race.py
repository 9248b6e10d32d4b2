"""The race: `core`'s tasks by Glideslope, by loops as people write them, and by JAX, on one thread of this machine.

`python -m tests.speed.race results/speed [TASK ...]` writes race.csv there and makes the page and the picture from it.
The ways take turns, a round each, and a ratio is of two ways in the same round. It is of CPU time, and with
`--device cuda` of wall time, without JAX and without processes.
"""

import argparse
import csv
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import torch
from torch.utils.flop_counter import FlopCounterMode

import tasks
from bench import suites
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from bench.engine.stacked import compiled, traced
from tests.speed import page
from tests.speed.contestants import entrants, timed

ROUNDS = 5
SECONDS = 0.2  # a way's turn, about
WIDTHS = {"digits": (1, 16, 32)}
USUAL = (1, 16)  # members
TASKS = list(dict.fromkeys(grid.task for grid in suites.core().grids if grid.task not in ("linreg", "quadratic")))
UPDATES = 200  # of a run that is a process of its own


def measure(task, members, peak, device):
    """Rows of one task and width."""
    field, loader, setup, batches = entrants(task, members, device), Loader(task, 0, device), {}, {}
    clock = 0 if device == "cpu" else 1
    for name, way in field.items():
        start = time.process_time()
        way.train([loader.batch(k) for k in range(4)])  # traces and compiles
        setup[name] = time.process_time() - start
        once = timed(way, [loader.batch(0)] * 2)[clock]
        batches[name] = [loader.batch(k) for k in range(max(2, min(400, int(SECONDS / once))))]
    rounds = [{name: timed(way, batches[name]) for name, way in field.items()} for _ in range(ROUNDS)]
    for name in field:
        ratios = sorted(r["sequential"][clock] / r[name][clock] for r in rounds)
        cpu, wall = (statistics.median(r[name][i] for r in rounds) for i in (0, 1))
        yield {
            "task": task.name,
            "members": members,
            "way": name,
            "steps_per_cpu_second": members / cpu,
            "steps_per_second": members / wall,
            "ratio": statistics.median(ratios),
            "lowest": ratios[0],
            "highest": ratios[-1],
            "share_of_peak": members / (cpu, wall)[clock] * flops(task) / peak,
            "first_updates_seconds": setup[name],
        }


def measure_process(task):
    """The row of one run in a process of its own, with and without its start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = time.perf_counter()
    command = [sys.executable, "-m", "tests.speed.one_run", task.name, str(UPDATES)]
    output = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    wall = time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    loop = float(output.stdout.split()[-1])
    shared = {"task": task.name, "members": 1, "steps_per_second": UPDATES / wall}
    yield shared | {"way": "process", "steps_per_cpu_second": UPDATES / cpu, "first_updates_seconds": cpu - loop}
    yield shared | {"way": "process without its start", "steps_per_cpu_second": UPDATES / loop}


def flops(task):
    """Floating-point operations of one update of one member, in its matrix products and convolutions."""
    model, (inputs, target) = initial_model(Loader(task, 0)), Loader(task, 0).batch(0)
    with FlopCounterMode(display=False) as counter:
        task.loss(model(*inputs), target).backward()
    return counter.get_total_flops()


def matrix_peak(device, size=1024, repeats=8):
    """Floating-point operations a second of the machine's own matrix product, the best of some."""
    a, b = torch.rand(2, size, size, device=device)
    clock = time.process_time if device == "cpu" else time.perf_counter
    best = float("inf")
    for _ in range(repeats):
        start = clock()
        torch.mm(a, b)
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, clock() - start)
    return 2 * size**3 / best


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("tasks", nargs="*", default=TASKS)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # as in a run's workers
    compiled.OFTEN, traced.OFTEN = 1, 1
    out, peak, load = args.folder, matrix_peak(args.device), os.getloadavg()[0]
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for task in map(tasks.parse, args.tasks):
        for members in WIDTHS.get(task.name, USUAL):
            rows += (fresh := list(measure(task, members, peak, args.device)))
            print(task.name, members, {row["way"]: round(row["ratio"], 2) for row in fresh}, flush=True)
        if args.device == "cpu":
            rows += measure_process(task)
        with (out / "race.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
        machine = page.machine(peak, load, os.getloadavg()[0])
        (out / "machine.txt").write_text(machine, encoding="utf-8")
        page.write(out)


if __name__ == "__main__":
    main()

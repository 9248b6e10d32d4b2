"""Cost of compiling the updates of one width: `python -m tests.speed.compile_cost results/speed/compile_cost.md`.

Each line is two processes with one cache of inductor: empty for the first one, filled for the second. CPU seconds are
those of the process and of the compilers that it starts.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tasks
from bench import engine
from bench.contract import InputError, Move
from bench.engine.loader import Loader
from bench.engine.stacked import compiled
from bench.engine.stacked.widths import width
from bench.numerics import Arithmetic
from tests.runs import ROOT
from tests.speed.race import TASKS

MEMBERS = 16

TEXT = """# Cost of compiling

Made by `python -m tests.speed.compile_cost results/speed/compile_cost.md`: one update of {members} members by `--engine
compiled`, its two programs compiled at once, where they otherwise come after {often} updates of a width. Cold: with an
empty cache of torch's inductor. Warm: in a second process with the cache of the first, as in another worker or a later
run. The cache is inductor's own, in the system's temporary folder unless `TORCHINDUCTOR_CACHE_DIR` names another.

| task | cold: CPU s | s | warm: CPU s | s |
|---|---:|---:|---:|---:|
{lines}

Not stacked, so not compiled: {left_out}.
"""


def spent():
    """CPU seconds of this process and of those that it has ended."""
    times = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(t.ru_utime + t.ru_stime for t in times)


def measure(name):
    """CPU seconds and seconds of an update that is compiled, compilation included."""
    task = tasks.parse(name)
    loader = Loader(task, 0)
    trained = engine.create("compiled", loader, task.optimizer, task.weight_decay, None, Arithmetic())
    trained.look(loader.batch(0), 0)
    trained.take([0] * MEMBERS)
    trained.move([Move(0.0)] * MEMBERS)
    rows = width(MEMBERS)
    trained._programs.runs |= {f"{program}, {rows} rows": compiled.OFTEN for program in ("clipped look", "move")}
    cpu, wall = spent(), time.perf_counter()
    trained.look(loader.batch(1), 1)
    trained.move([Move(0.0)] * MEMBERS)
    return spent() - cpu, time.perf_counter() - wall


def lines(left_out):
    for name in TASKS:
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache, "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "tests.speed.compile_cost", "--task", name]
            runs = [subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True) for _ in "12"]
        if runs[0].returncode:
            left_out.append(f"`{name}`")
            continue
        figures = (f"{float(word):.1f}" for run in runs for word in run.stdout.split()[-2:])
        yield f"| `{name}` | {' | '.join(figures)} |"


if __name__ == "__main__":
    if sys.argv[1] == "--task":
        try:
            print(*measure(sys.argv[2]))
        except InputError as error:
            sys.exit(str(error))
    else:
        left_out = []
        table = "\n".join(lines(left_out))
        text = TEXT.format(members=MEMBERS, often=compiled.OFTEN, lines=table, left_out=", ".join(left_out))
        Path(sys.argv[1]).write_text(text)

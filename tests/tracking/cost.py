"""Cost of the mirror: `python tests/tracking/cost.py 1000 [LATENCY]`, for cells of 200 steps; by hand, not a test.

The same suite runs without W&B, offline, and online against the stand-in server on loopback, each with one worker;
then its ledger is published from scratch, and once more when W&B has everything. CPU time covers all processes of a
command, including wandb's service; the stand-in's is shown separately. LATENCY, in seconds, is that of each answer of
the stand-in.
"""

import ctypes
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console

from bench.cli import publish as command
from bench.runner import session
from bench.runner.config import RunConfig
from bench.tracking.background import BackgroundTracker
from bench.tracking.publish import PublishOptions, publish
from tests.tracking.standin.server import KEY, StandIn

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "linear", "cosine", "rex", "wsd")
    peak_lrs = tuple(0.01 * 1.2**i for i in range(10))
    return Suite("short", (Grid(task="quadratic", schedules=some, budgets=(0.25,), peak_lrs=peak_lrs, seeds={seeds}),))
"""
"""50 cells of 200 steps for each seed, in one cohort."""

PR_SET_CHILD_SUBREAPER = 36
"""Linux constant: orphaned descendants become children of this process, which learns their CPU time when they end."""


class Spent(NamedTuple):
    """Times of a command, in seconds."""

    wall: float
    cpu: float
    server: float  # CPU time of the stand-in
    inside: dict[str, float]  # wall time of its training thread, by method


def measured(*arguments):
    """Run this script in another process, with these arguments."""
    before, start, cpu = time.process_time(), time.perf_counter(), 0.0
    process = subprocess.Popen([sys.executable, __file__, *map(str, arguments)], stdout=subprocess.PIPE)
    inside = json.loads(process.stdout.read())
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return Spent(time.perf_counter() - start, cpu, time.process_time() - before, inside)
        cpu += usage.ru_utime + usage.ru_stime


def clocked(owner, name, spent):
    """Add the wall time of each call of a method to `spent[name]`."""
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def timed(*arguments, **more):
        start = time.perf_counter()
        try:
            return plain(*arguments, **more)
        finally:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start

    setattr(owner, name, timed)


def train(suite, out, mode):
    """Run a suite; return how long its training thread trained, and waited for the mirror at both ends."""
    spent = {}
    for owner, name in ((session.Session, "work"), (BackgroundTracker, "__init__"), (BackgroundTracker, "end")):
        clocked(owner, name, spent)
    session.run(RunConfig(suite=suite, out=Path(out), wandb=mode, workers=1), Console(quiet=True))
    return spent


def main(cells, latency=0.0):
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)
    server = StandIn()
    server.far(latency)
    settings = {"API_KEY": KEY, "BASE_URL": server.url, "ENTITY": "team", "SILENT": "true", "ERROR_REPORTING": "false"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings |= {f"{kind}_DIR": name for kind in ("CACHE", "CONFIG", "DATA", "ARTIFACT")}
        os.environ.update({f"WANDB_{key}": value for key, value in settings.items()})
        (folder / "short.py").write_text(SUITE.format(seeds=cells // 50))
        print(f"{cells} cells     wall s    CPU s  training s  mirror's CPU s  stand-in's CPU s  start s   end s")
        plain = None
        for mode in command.CHOICES:
            os.environ["WANDB_PROJECT"] = mode
            spent = measured("train", folder / "short.py", folder / mode, mode)
            plain = plain or spent
            ends = [spent.inside.get(name, 0.0) for name in ("__init__", "end")]
            print(
                f"{mode:10} {spent.wall:9.1f} {spent.cpu:8.1f} {spent.inside['work']:11.1f} "
                f"{spent.cpu - plain.cpu:15.1f} {spent.server:17.1f} {ends[0]:8.2f} {ends[1]:7.1f}",
                flush=True,
            )
        os.environ["WANDB_PROJECT"] = "published"
        for label in ("publish", "again"):
            spent = measured("publish", folder / "off")
            print(f"{label:10} {spent.wall:9.1f} {spent.cpu:8.1f} {'':27} {spent.server:17.1f}", flush=True)
        print({project: len(server.runs(project)) for project in ("online", "published")}, server.violations[:3])


if __name__ == "__main__":
    if sys.argv[1] == "train":
        print(json.dumps(train(*sys.argv[2:])))
    elif sys.argv[1] == "publish":
        publish(PublishOptions(directory=Path(sys.argv[2])), Console(quiet=True))
        print("{}")
    else:
        main(int(sys.argv[1]), *map(float, sys.argv[2:]))

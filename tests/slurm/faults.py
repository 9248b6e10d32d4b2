"""Faults aimed at cohorts in training, with proof that they hit."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from bench.ledger import ledger
from tests.slurm.local_cluster import await_


class Target(NamedTuple):
    job: str  # 7_3
    cohort: str
    node: str
    pid: int

    def ended(self):
        return ended(self.pid)


class Range:
    """Where one submission, of one cohort an array task, is fired at."""

    def __init__(self, cluster, out):
        self.cluster, self.out, self.hits = cluster, out, Counter()
        folder = out / "slurm" / "001"
        self.array = json.loads((folder / "jobs.json").read_text())["array"]
        self.cohorts = [loads[0]["id"] for loads in json.loads((folder / "cohorts.json").read_text())["tasks"]]

    def middle(self, cohort):
        """Whether a cohort is begun and not done: its snapshot, of some step after the first, goes with its row."""
        begun = (self.out / "snapshots" / f"{cohort}.pt").exists()
        done = {row.key for row in ledger.read(self.out, kinds=("cohort",))}
        return begun and cohort not in done

    def target(self, spared):
        """A cohort in the middle of its training, as soon as there is one."""
        found = []

        def look():
            queue = self.cluster.queue()
            for pid, environment in self.cluster.processes(SLURM_ARRAY_JOB_ID=self.array).items():
                task = int(environment["SLURM_ARRAY_TASK_ID"])
                job, node = f"{self.array}_{task}", environment["SLURMD_NODENAME"]
                if task not in spared and self.middle(self.cohorts[task]) and queue.get(job) == "RUNNING":
                    found.append(Target(job, self.cohorts[task], node, pid))
            return found

        await_(look, 120)
        return found[0]

    def shoot(self, *words):
        """A command of SLURM's; at a job that is ending anyway some try again and again."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.cluster.call(*words, check=False, timeout=5)

    def fire(self, fault, spared=()):
        """Fire until a hit: the process has gone, and its cohort is not done."""
        while True:
            target = self.target(spared)
            fault(self, target)
            if fault is not daemon:
                await_(target.ended, 60)
            if self.middle(target.cohort):
                self.hits[fault.__name__] += 1
                return target


def requeue(at, target):
    at.shoot("scontrol", "requeue", target.job)


def warning(at, target):
    at.shoot("scancel", "--signal=USR1", "--batch", target.job)


def cancel(at, target):
    at.shoot("scancel", target.job)


def step(at, target):
    """SIGKILL to the whole step."""
    at.shoot("scancel", "--signal=KILL", "--full", target.job)


def process(at, target):
    """SIGKILL to Python alone, as where memory runs out."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(target.pid, signal.SIGKILL)


def daemon(at, target):
    """A slurmd dies and is started again; its jobs go on, which is what is wanted."""
    at.cluster.stop_node(target.node)
    time.sleep(0.5)
    alive = not target.ended()
    at.cluster.start_node(target.node)
    assert alive or not at.middle(target.cohort), "a job died with the daemon"


def node(at, target):
    """A whole node vanishes, its daemon and all that ran there, and comes back."""
    at.cluster.stop_node(target.node)
    for pid in at.cluster.processes(SLURMD_NODENAME=target.node):
        for each in (pid, *above(pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
    at.cluster.start_node(target.node)


def above(pid):
    """The batch script of a process, and the step's daemon above it; nothing of a process that has no such daemon."""
    line = []
    with contextlib.suppress(OSError):
        while pid > 1:
            if Path(f"/proc/{pid}/comm").read_text().startswith("slurmstepd"):
                return line
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            line.append(pid)
    return []


def preemption(at, target):
    """A job of the partition that comes first wants the node for itself."""
    there = at.cluster.processes(SLURMD_NODENAME=target.node)
    words = ("--partition=main", "--exclusive", f"--nodelist={target.node}", "--output=/dev/null", "--wrap=sleep 1")
    at.cluster.call("sbatch", *words)
    await_(lambda: all(map(ended, there)), 60)  # the others there are no targets any more


def ended(pid):
    return not Path(f"/proc/{pid}").exists()

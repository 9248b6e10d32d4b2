"""Faults injected into cohorts in training, with a check that they hit."""

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
    """A submission with one cohort per array task, as a target of faults."""

    def __init__(self, cluster, out):
        self.cluster, self.out, self.hits = cluster, out, Counter()
        folder = out / "slurm" / "001"
        self.array = json.loads((folder / "jobs.json").read_text())["array"]
        self.cohorts = [loads[0]["id"] for loads in json.loads((folder / "cohorts.json").read_text())["tasks"]]

    def middle(self, cohort):
        """True if a cohort is in training: it has a checkpoint, which is deleted when its row is written."""
        started = (self.out / "snapshots" / f"{cohort}.pt").exists()
        finished = {row.key for row in ledger.read(self.out, kinds=("cohort",))}
        return started and cohort not in finished

    def target(self, spared):
        """A cohort in the middle of its training, as soon as there is one."""
        targets = []

        def look():
            queue = self.cluster.queue()
            for pid, environment in self.cluster.processes(SLURM_ARRAY_JOB_ID=self.array).items():
                task = int(environment["SLURM_ARRAY_TASK_ID"])
                job, node = f"{self.array}_{task}", environment["SLURMD_NODENAME"]
                if task not in spared and self.middle(self.cohorts[task]) and queue.get(job) == "RUNNING":
                    targets.append(Target(job, self.cohorts[task], node, pid))
            return targets

        await_(look, 120)
        return targets[0]

    def shoot(self, *words):
        """Run a command of SLURM's; some never return for a job that is ending anyway, hence the timeout."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.cluster.call(*words, check=False, timeout=5)

    def fire(self, fault, spared=()):
        """Inject a fault until it hits: the process has ended, and its cohort is not done."""
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
    """SIGKILL to Python alone, as when memory runs out."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(target.pid, signal.SIGKILL)


def daemon(at, target):
    """A slurmd dies and is restarted; its jobs must go on."""
    at.cluster.stop_node(target.node)
    time.sleep(0.5)
    alive = not target.ended()
    at.cluster.start_node(target.node)
    assert alive or not at.middle(target.cohort), "a job died with the daemon"


def node(at, target):
    """A whole node vanishes, with its daemon and all its processes, and comes back."""
    at.cluster.stop_node(target.node)
    for pid in at.cluster.processes(SLURMD_NODENAME=target.node):
        for each in (pid, *above(pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
    at.cluster.start_node(target.node)


def above(pid):
    """Pids above a process up to its step's daemon; none if it has no such daemon."""
    line = []
    with contextlib.suppress(OSError):
        while pid > 1:
            if Path(f"/proc/{pid}/comm").read_text().startswith("slurmstepd"):
                return line
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            line.append(pid)
    return []


def preemption(at, target):
    """A job of the partition with higher priority requests the whole node."""
    pids = at.cluster.processes(SLURMD_NODENAME=target.node)
    words = ("--partition=main", "--exclusive", f"--nodelist={target.node}", "--output=/dev/null", "--wrap=sleep 1")
    at.cluster.call("sbatch", *words)
    await_(lambda: all(map(ended, pids)), 60)  # the other jobs of the node end as well


def ended(pid):
    return not Path(f"/proc/{pid}").exists()

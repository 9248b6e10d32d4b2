"""One run of a suite, from the order to the table at the end."""

from __future__ import annotations

import os
import time

from rich.console import Console

from bench import pool
from bench.contract import Cohort, InputError
from bench.desk import tidy
from bench.evidence import report
from bench.mirror.follower import Mirror
from bench.order import Order, Prepared, prepare
from bench.record import ledger
from bench.record.preempt import PREEMPTED, Flag
from bench.work import Site, crew
from bench.world import World

DONE, FAILED = 0, 1

ONE_OF_SEVERAL = (
    "accelerate launch was asked for several processes and started one, as it does on a CPU; for two, "
    "ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 bench/run.py (one process uses all cores already)"
)


def run(order: Order, console: Console) -> int:
    """Do what the order says and return the exit code: 0 done, 1 some cohort failed, 75 stopped by a signal.

    Raises:
        InputError: one line that says what is wrong; exit code 2.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic algorithms ask for on a GPU
    world = World.here()
    prepared = prepare(order, world.device.partition(":")[0])
    flag = Flag().install()  # until here there was nothing to lose, and a signal ends at once
    return Session(order, prepared, world, flag, console if world.rank == 0 else Console(quiet=True)).run()


class Session:
    """A run of a prepared order in this process, which may be one of several."""

    def __init__(self, order: Order, prepared: Prepared, world: World, flag: Flag, console: Console):
        self.order, self.prepared, self.world, self.flag, self.console = order, prepared, world, flag, console
        self.directory = order.directory
        self.plan = prepared.plan.shard(*order.shard)
        self.mine = self.plan if order.data_parallel else self.plan.shard(world.rank, world.size)
        accelerator = world.accelerator() if order.data_parallel else None
        self.site = Site(self.directory, prepared.plan.id, world.device, 1, order.cadence, accelerator)
        self.main = world.rank == 0

    def run(self) -> int:
        if self.site.accelerator is not None:
            self.check_data_parallel()
        done = self.open()
        todo = [cohort for cohort in self.mine.cohorts if cohort.id not in done]
        if not self.main:
            return self.code(self.work(todo))
        self.announce(todo)
        mirror = self.mirror()
        try:
            outcome = self.work(todo)
            self.wait_for_others(outcome)
            self.close(outcome, bool(todo))
        finally:
            if mirror is not None:
                self.say(mirror.end(stopped=lambda: bool(self.flag)))
        return self.code(outcome)

    def code(self, outcome: pool.Outcome) -> int:
        return PREEMPTED if outcome.stopped else FAILED if outcome.failures else DONE

    def mirror(self) -> Mirror | None:
        """One for all processes of this run, of this run's cohorts only: others may run beside it."""
        if self.order.wandb == "off":
            return None
        return Mirror(self.directory, self.order.wandb, {cohort.id for cohort in self.plan.cohorts})

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def check_data_parallel(self) -> None:
        """Refuse a model with BatchNorm, or a batch that has no equal parts, before anything is written."""
        for cohort in {c.task: c for c in self.mine.cohorts}.values():
            crew(cohort, self.prepared.tasks[cohort.task], self.site)

    def open(self) -> set[str]:
        """Ids of the cohorts already done in this directory, which must be of this plan; writes the plan's row."""
        plan, notes = self.prepared.plan, list[str]()
        rows = ledger.read(self.directory, notes) if ledger.parts(self.directory) else []
        for row in rows:
            if row["kind"] == "plan" and row["key"] != plan.id:
                raise InputError(
                    f"{self.directory} belongs to another plan (suite {row['payload']['suite']}, {row['key']}; this "
                    f"one is {plan.suite}, {plan.id}): give another --out, or the settings it was begun with"
                )
        if self.main:
            book = self.site.ledger()
            if ("plan", plan.id) not in book:
                book.append("plan", plan.id, self.prepared.forecast.payload())
            book.close()
            for note in dict.fromkeys([*notes, *book.notes]):
                self.say(f"note: {note}")
        done = {row["key"] for row in rows if row["kind"] == "cohort"}
        for cohort in done if self.main else ():  # a kill may have come between a cohort's row and its tidying
            tidy(self.directory, cohort)
        return done

    def announce(self, todo: list[Cohort]) -> None:
        plan = self.prepared.plan
        for note in plan.notes:
            self.say(f"note: {note}")
        if self.order.data_parallel and self.world.size == 1:
            self.say("note: --data-parallel changes nothing in a world of one process")
        if "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ:  # what accelerate then leaves behind
            self.say(f"note: {ONE_OF_SEVERAL}")
        if todo:
            where = f"{len(todo)} to do here, into {self.directory}"
            self.say(f"Suite {plan.suite}: {len(plan.cells):,} cells in {len(plan.cohorts)} cohorts, {where}")
        else:
            self.say(f"Suite {plan.suite}: all {len(plan.cells):,} cells are in {self.directory}, nothing to train")

    def work(self, todo: list[Cohort]) -> pool.Outcome:
        """Train what is to do, in worker processes on a CPU."""
        if not todo:
            return pool.Outcome()
        cost = {cohort.id: self.prepared.forecast.seconds(cohort) for cohort in todo}
        board = pool.Board(self.console, cost, sum(len(c.cells) for c in todo), len(self.mine.cells))
        cores = len(os.sched_getaffinity(0)) // self.world.local_size
        workers = self.order.workers or (max(1, cores) if self.site.device == "cpu" else 1)
        if workers == 1 or self.site.accelerator is not None:
            return pool.alone(todo, self.site, self.flag, board)
        return pool.Pool(todo, self.site, workers, self.flag, board).run()

    def wait_for_others(self, outcome: pool.Outcome) -> None:
        """Wait for the cohorts of other processes, through the ledger: they never meet in a collective."""
        ids = {cohort.id for cohort in self.plan.cohorts}
        while self.world.size > 1 and not (self.flag or outcome.stopped or outcome.failures):
            if ids <= {row["key"] for row in ledger.read(self.directory) if row["kind"] == "cohort"}:
                return
            time.sleep(0.5)

    def close(self, outcome: pool.Outcome, changed: bool) -> None:
        """Report what is there, and say what went wrong."""
        if outcome.stopped:
            self.say("Stopped by a signal; snapshots are written. The same command continues.")
            return
        rows, page = ledger.read(self.directory), self.directory / "report.html"
        if changed or not page.exists():
            page = report.write(self.directory, rows)
        report.show(rows, self.console)
        for note in dict.fromkeys(outcome.notes):
            self.say(f"note: {note}")
        for failure in outcome.failures.values():
            self.say(f"failed: {failure}")
        self.say(f"Report: {page}")
        if self.order.wandb == "off":
            self.say(f"To publish it on W&B: glideslope publish {self.directory} --report")

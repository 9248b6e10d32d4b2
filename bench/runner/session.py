"""One run of a suite, from the order to the table at the end."""

from __future__ import annotations

import os
import time
from pathlib import Path

from rich.console import Console

from bench.analysis import results
from bench.contract import Cohort
from bench.ledger import failed_cohorts, leases, ledger, paths
from bench.ledger.lines import LedgerReader, row_of
from bench.ledger.rows import CohortRow
from bench.plan.plan import Plan
from bench.preempt import DONE, FAILED, PREEMPTED, Flag
from bench.report import write
from bench.runner import pool
from bench.runner.config import PreparedRun, RunConfig, prepare
from bench.runner.distributed import ProcessGroup
from bench.runner.progress import ProgressDisplay
from bench.runner.run_dir import KINDS, open_run_dir
from bench.runner.worker import Site, crew
from bench.tracking.background import BackgroundTracker
from bench.train.io import tidy

ONE_OF_SEVERAL = (
    "accelerate launch was asked for several processes and started one, as it does on a CPU; for two, "
    "ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 bench/run.py (one process uses all cores already)"
)


def run(order: RunConfig, console: Console) -> int:
    """Do what the order says and return the exit code: 0 done, 1 some cohort failed, 75 stopped by a signal.

    Raises:
        InputError: one line that says what is wrong; exit code 2.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic algorithms ask for on a GPU
    world = ProcessGroup.here(order.data_parallel)
    prepared = prepare(order, world)
    flag = Flag(speaks=world.rank == 0).install()  # until here there was nothing to lose, and a signal ends at once
    return Session(order, prepared, world, flag, console if world.rank == 0 else Console(quiet=True)).run()


class Session:
    """A run of a prepared order in this process, which may be one of several."""

    def __init__(self, order: RunConfig, prepared: PreparedRun, world: ProcessGroup, flag: Flag, console: Console):
        self.order, self.prepared, self.world, self.flag, self.console = order, prepared, world, flag, console
        self.directory = order.directory
        self.plan = order.part(prepared.plan)
        accelerator = world.accelerator() if order.data_parallel else None
        self.site = Site(
            self.directory,
            prepared.plan.id,
            world.device,
            cadence=order.cadence,
            run=world.run,
            accelerator=accelerator,
        )
        self.main = world.rank == 0
        self.reader = LedgerReader(self.directory, row_of(KINDS), settled=True)  # what is done may be tidied
        self.done: set[str] = set()  # ids of cohorts

    def run(self) -> int:
        self.check()
        self.open()
        todo = self.left(self.plan)
        if not self.main:
            outcome = self.work(todo)
            self.see_through(outcome)
            return self.code(outcome)
        self.announce(todo)
        mirror = self.mirror()
        try:
            outcome = self.work(todo)
            self.see_through(outcome)
            self.close(outcome, bool(todo))
        finally:
            if mirror is not None:
                self.say(mirror.end(stopped=lambda: bool(self.flag)))
        return self.code(outcome)

    def code(self, outcome: pool.Outcome) -> int:
        """The first process tells of failures, once all is done: a launcher stops all when one ends with an error."""
        return PREEMPTED if outcome.stopped else FAILED if outcome.failures and self.main else DONE

    def mirror(self) -> BackgroundTracker | None:
        """One for all processes of this run, of this run's cohorts only: others may run beside it."""
        if self.order.wandb == "off":
            return None
        return BackgroundTracker(self.directory, self.order.wandb, {cohort.id for cohort in self.plan.cohorts})

    def left(self, plan: Plan) -> list[Cohort]:
        """Cohorts of a plan that have no row yet."""
        self.done.update(row.key for row in self.reader.new() if row.kind == CohortRow.kind)
        return [cohort for cohort in plan.cohorts if cohort.id not in self.done]

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def check(self) -> None:
        """Refuse plans that differ, or a model that cannot be shared or compiled, before anything is written."""
        self.world.agree(self.prepared.plan.id)
        for cohort in {c.task: c for c in self.plan.cohorts}.values():
            if cohort.arithmetic.processes > 1 or cohort.arithmetic.backend:
                crew(cohort, self.prepared.tasks[cohort.task], self.site)

    def open(self) -> None:
        """See what is done already in this directory, which must be of this plan; write the plan's row, and tidy."""
        self.done, notes = open_run_dir(self.reader, self.prepared, self.site if self.main else None)
        if self.main:
            for note in notes:
                self.say(f"note: {note}")
            for cohort in (
                paths.unfinished(self.directory) & self.done
            ):  # a kill came between a cohort's row and its tidying
                tidy(self.directory, cohort)

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
        board = ProgressDisplay(self.console, cost, sum(len(c.cells) for c in todo), len(self.plan.cells))
        workers = self.order.workers or (self.world.cores if self.site.device == "cpu" else 1)
        if workers == 1 or self.site.accelerator is not None:
            return pool.alone(todo, self.site, self.flag, board)
        return pool.Pool(todo, self.site, workers, self.flag, board).run()

    def see_through(self, outcome: pool.Outcome) -> None:
        """Train what is free by now: its holder stopped or was killed. Wait for processes of this run alone."""
        watch, pause = leases.LeaseWatch(self.directory), 0.5
        while not (self.site.accelerator or self.flag or outcome.stopped):
            standing, given_up = watch.standing(), failed_cohorts.given_up(self.directory, self.site.run)
            left = [cohort for cohort in self.left(self.plan) if cohort.id not in given_up]
            free = [cohort for cohort in left if cohort.id not in standing]
            if not left or (self.world.size == 1 and not free):
                break
            more = self.work(free)
            outcome.add(more)
            if len(more.elsewhere) == len(free):  # nothing was to be done
                self.rest(pause)
                pause = min(5.0, 1.5 * pause)
        if not outcome.stopped and self.flag and self.left(self.plan):
            outcome.stopped = True
        if not self.site.accelerator:
            given_up, left = failed_cohorts.given_up(self.directory, self.site.run), self.left(self.plan)
            outcome.failures = {c.id: given_up[c.id] for c in left if c.id in given_up} | outcome.failures

    def rest(self, seconds: float) -> None:
        """Sleep, unless a signal comes."""
        ends = time.monotonic() + seconds
        while not self.flag and (left := ends - time.monotonic()) > 0:
            time.sleep(min(0.2, left))

    def close(self, outcome: pool.Outcome, changed: bool) -> None:
        """Report what is there, and say what went wrong."""
        if outcome.stopped:
            self.say("Stopped by a signal; snapshots are written. The same command continues.")
            return
        page = None if self.order.partial else self.report(changed)
        for note in dict.fromkeys(outcome.notes):
            self.say(f"note: {note}")
        for failure in outcome.failures.values():
            self.say(f"failed: {failure}")
        self.say_missing(outcome)
        self.say(f"Report: {page}" if page else f"This part has ended; the table: glideslope report {self.directory}")
        if self.order.wandb == "off":
            self.say(f"To publish it on W&B: glideslope publish {self.directory} --report")

    def report(self, changed: bool) -> Path:
        """Bring the report up to date, print the comparison, and return the page's path."""
        rows, page = ledger.read(self.directory, kinds=results.KINDS), paths.page(self.directory)
        if changed or not page.exists():
            page = write.write(self.directory, rows)
        write.show(rows, self.console)
        return page

    def say_missing(self, outcome: pool.Outcome) -> None:
        """What other runs have in hand; their rows join this ledger."""
        left = [cohort for cohort in self.left(self.plan) if cohort.id in {*outcome.elsewhere} - {*outcome.failures}]
        if left:
            hosts = {it.host for it in leases.standing(self.directory).values() if it.cohort in {c.id for c in left}}
            self.say(
                f"Being trained elsewhere ({', '.join(sorted(hosts)) or 'ended since'}): {len(left)} cohorts, "
                f"{sum(len(c.cells) for c in left):,} cells. Run again, or `glideslope report`, when they are done."
            )

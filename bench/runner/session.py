"""One run of a suite, from its configuration to the report."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from itertools import count
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
from bench.runner import kept_weights, pool
from bench.runner.config import PreparedRun, RunConfig, prepare
from bench.runner.distributed import ProcessGroup
from bench.runner.progress import ProgressDisplay
from bench.runner.run_dir import KINDS, open_run_dir
from bench.runner.worker import WorkerContext, build_engine
from bench.tracking.background import BackgroundTracker
from bench.train.io import tidy

ONE_OF_SEVERAL = (
    "accelerate launch was asked for several processes and started one, as it does on a CPU; for two, "
    "ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 bench/run.py (one process uses all cores already)"
)


def run(config: RunConfig, console: Console, flag: Flag | None = None) -> int:
    """Run a configuration and return the exit code: 0 done, 1 some cohort failed, 75 stopped by a signal.

    The flag is installed once there is something to save.

    Raises:
        InputError: one line that says what is wrong; exit code 2.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by deterministic algorithms on a GPU
    group = ProcessGroup.detect(config.data_parallel)
    prepared = prepare(config, group)
    # Until here there was nothing to save, and a signal ends the process at once.
    flag = Flag() if flag is None else flag  # one that is not raised is false
    flag.speaks = group.rank == 0
    flag.install()
    group.agree(prepared.plan.id)
    return run_rounds(config, prepared, group, flag, console if group.rank == 0 else Console(quiet=True))


def run_rounds(config: RunConfig, prepared: PreparedRun, group: ProcessGroup, flag: Flag, console: Console) -> int:
    """Run a round, and those that follow it, and return the exit code of the last."""
    while True:
        session = Session(config, prepared, group, flag, console)
        code = session.run()
        if session.following is None:
            return code
        prepared = session.following


class Session:
    """A prepared run in this process, which may be one of several."""

    def __init__(self, config: RunConfig, prepared: PreparedRun, group: ProcessGroup, flag: Flag, console: Console):
        self.config, self.prepared, self.group, self.flag, self.console = config, prepared, group, flag, console
        self.directory = config.directory
        self.plan = config.part(prepared.plan)
        accelerator = group.accelerator() if config.data_parallel else None
        self.context = WorkerContext(
            self.directory,
            prepared.plan.id,
            group.device,
            cadence=config.cadence,
            run=group.run,
            accelerator=accelerator,
            keep=config.keep != "none",
        )
        self.main = group.rank == 0
        # `settled` syncs the rows that are read to the disk, before files of cohorts that are done are removed.
        self.reader = LedgerReader(self.directory, row_of(KINDS), settled=True)
        self.done_ids: set[str] = set()  # ids of cohorts
        self.following: PreparedRun | None = None  # the next round, once this one is complete

    def run(self) -> int:
        self.check()
        self.open()
        todo = self.remaining(self.plan)
        if not self.main:
            outcome = self.work(todo)
            self.finish_released(outcome)
            self.find_following(outcome)
            return self.code(outcome)
        self.announce(todo)
        tracker = self.tracker()
        try:
            outcome = self.work(todo)
            self.finish_released(outcome)
            self.find_following(outcome)
            self.close(outcome, bool(todo))
        finally:
            if tracker is not None:
                self.say(tracker.end(stopped=lambda: bool(self.flag)))
        return self.code(outcome)

    def code(self, outcome: pool.Outcome) -> int:
        """The exit code. Only the first process reports failures: a launcher stops all when one ends with an error."""
        if outcome.stopped:
            return PREEMPTED
        return FAILED if outcome.failures and self.main else DONE

    def tracker(self) -> BackgroundTracker | None:
        """The W&B tracker of this run's cohorts, one for all its processes; other runs may use the same directory."""
        if self.config.wandb == "off":
            return None
        return BackgroundTracker(self.directory, self.config.wandb, {cohort.id for cohort in self.plan.cohorts})

    def remaining(self, plan: Plan) -> list[Cohort]:
        """Cohorts of a plan that have no row yet."""
        self.done_ids.update(row.key for row in self.reader.new() if row.kind == CohortRow.kind)
        return [cohort for cohort in plan.cohorts if cohort.id not in self.done_ids]

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def check(self) -> None:
        """Refuse a model that cannot be shared or compiled, before anything is written."""
        for cohort in {c.task: c for c in self.plan.cohorts}.values():
            if cohort.arithmetic.processes > 1 or cohort.arithmetic.backend or cohort.engine == "compiled":
                build_engine(cohort, self.prepared.tasks[cohort.task], self.context)

    def open(self) -> None:
        """Open the run's directory: read which cohorts are done, write the plan's row, and remove obsolete files."""
        self.done_ids, notes = open_run_dir(self.reader, self.prepared, self.context if self.main else None)
        if self.main:
            for note in notes:
                self.say(f"note: {note}")
            # A kill may have come between a cohort's row and the removal of its files.
            for cohort in paths.unfinished(self.directory) & self.done_ids:
                tidy(self.directory, cohort)

    def announce(self, todo: list[Cohort]) -> None:
        plan = self.prepared.plan
        for reason in self.prepared.round.reasons if todo else ():
            self.say(reason)
        for note in plan.notes:
            self.say(f"note: {note}")
        several = self.group.size > 1 or self.config.workers is not None
        if several and todo and (note := self.prepared.forecast.idle_note(self.config.takers(self.group))):
            self.say(f"note: {note}")
        if self.config.data_parallel and self.group.size == 1:
            self.say("note: --data-parallel changes nothing in a run of one process")
        # `accelerate launch` leaves MASTER_PORT behind where it starts one process of several.
        if "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ:
            self.say(f"note: {ONE_OF_SEVERAL}")
        if todo:
            share = f"{len(todo)} to do here, into {self.directory}"
            self.say(f"Suite {plan.suite}: {len(plan.cells):,} cells in {len(plan.cohorts)} cohorts, {share}")
        else:
            self.say(f"Suite {plan.suite}: all {len(plan.cells):,} cells are in {self.directory}, nothing to train")

    def work(self, todo: list[Cohort]) -> pool.Outcome:
        """Train cohorts, on a CPU in worker processes."""
        if not todo:
            return pool.Outcome()
        cost = {cohort.id: self.prepared.forecast.seconds(cohort) for cohort in todo}
        display = ProgressDisplay(self.console, cost, sum(len(c.cells) for c in todo), len(self.plan.cells))
        workers = self.config.workers_here(self.group)
        if workers == 1:
            return pool.train_in_process(todo, self.context, self.flag, display)
        return pool.Pool(todo, self.context, workers, self.flag, display).run()

    def finish_released(self, outcome: pool.Outcome) -> None:
        """Train cohorts whose lease is free by now, since its holder stopped or was killed.

        Waits for other processes of this run, but not for other runs.
        """
        watch, pause = leases.LeaseWatch(self.directory), 0.5
        while not (self.context.accelerator or self.flag or outcome.stopped):
            standing, given_up = watch.standing(), failed_cohorts.given_up(self.directory, self.context.run)
            remaining = [cohort for cohort in self.remaining(self.plan) if cohort.id not in given_up]
            free = [cohort for cohort in remaining if cohort.id not in standing]
            if not remaining or (self.group.size == 1 and not free):
                break
            more = self.work(free)
            outcome.add(more)
            if len(more.elsewhere) == len(free):  # none of them was free any more
                self.sleep_or_stop(pause)
                pause = min(5.0, 1.5 * pause)
        if not outcome.stopped and self.flag and self.remaining(self.plan):
            outcome.stopped = True
        if not self.context.accelerator:
            given_up, remaining = failed_cohorts.given_up(self.directory, self.context.run), self.remaining(self.plan)
            outcome.failures = {c.id: given_up[c.id] for c in remaining if c.id in given_up} | outcome.failures

    def find_following(self, outcome: pool.Outcome) -> None:
        """Find the round that follows, if this one is complete. All processes of this run come to the same one."""
        planner = self.prepared.planner
        if planner is None or self.config.partial or outcome.stopped:
            return
        if self.flag:
            outcome.stopped = True
            return
        for attempt in count():
            again = planner.prepare() if not self.remaining(self.plan) else self.prepared
            try:  # others may not see the last rows yet
                name = f"after {self.plan.id}, {attempt}"
                plans = self.group.all_gather(name, [again.plan.id, *again.closing], stop=lambda: bool(self.flag))
            except InterruptedError:
                outcome.stopped = True
                return
            if all(plan == plans[0] for plan in plans):
                break
            self.sleep_or_stop(1.0)
        self.prepared = replace(self.prepared, closing=again.closing)
        if again.plan.id != self.plan.id:
            self.following = again

    def sleep_or_stop(self, seconds: float) -> None:
        """Sleep, unless a signal comes."""
        ends = time.monotonic() + seconds
        while not self.flag and (remaining := ends - time.monotonic()) > 0:
            time.sleep(min(0.2, remaining))

    def close(self, outcome: pool.Outcome, changed: bool) -> None:
        """Write the report, and print failures and cohorts that others are training."""
        if outcome.stopped:
            self.say("Stopped by a signal; snapshots are written. The same command continues.")
            return
        for note in dict.fromkeys(outcome.notes):
            self.say(f"note: {note}")
        if self.following is not None:
            return
        # A part of a run that goes on in rounds doesn't know whether this is the last.
        if self.config.keep != "none" and not (self.config.partial and self.prepared.planner):
            self.say(kept_weights.settle(self.directory, self.config.keep))
        page = None if self.config.partial else self.report(changed or self.prepared.planner is not None)
        for line in self.prepared.closing:
            self.say(line)
        for failure in outcome.failures.values():
            self.say(f"failed: {failure}")
        self.say_pending(outcome)
        self.say(f"Report: {page}" if page else f"This part has ended; the table: glideslope report {self.directory}")
        if self.config.wandb == "off":
            self.say(f"To publish it on W&B: glideslope publish {self.directory} --report")

    def report(self, changed: bool) -> Path:
        """Update the report, print the comparison, and return the path of the page."""
        result, page = write.find(ledger.read(self.directory, kinds=results.KINDS)), paths.page(self.directory)
        if changed or not page.exists():
            page = write.write(self.directory, result)
        write.show(result, self.console)
        return page

    def say_pending(self, outcome: pool.Outcome) -> None:
        """Print which cohorts other runs are training. Their rows come into the same ledger."""
        elsewhere = set(outcome.elsewhere) - set(outcome.failures)
        pending = {cohort.id: cohort for cohort in self.remaining(self.plan) if cohort.id in elsewhere}
        if pending:
            standing = leases.standing(self.directory)
            hosts = {standing[cohort].host for cohort in pending if cohort in standing}
            self.say(
                f"Being trained elsewhere ({', '.join(sorted(hosts)) or 'ended since'}): {len(pending)} cohorts, "
                f"{sum(len(c.cells) for c in pending.values()):,} cells. Run again, or `glideslope report`, when they "
                "are done."
            )

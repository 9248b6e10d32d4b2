"""Writer of W&B runs through wandb's own client: quiet, bounded in time, and with one service for all runs.

Accelerate's tracker is not used: it represents the single run of a training process, writes its config through wandb's
global run (which fails with several) and cannot define axes, while here one process writes a run for every cell.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import InputError
from bench.tracking.runs import EPOCHWISE, STEPWISE, CellRun

if TYPE_CHECKING:
    import wandb

GENERATIONS = 16
"""Further ids tried for one cell, if W&B no longer accepts the first."""

DEFAULT_PROJECT = "glideslope"

PATIENCE: dict[str, Any] = {
    "init_timeout": 20.0,
    "finish_timeout": 60.0,
    "x_graphql_retry_max": 2,
    "x_graphql_timeout_seconds": 10.0,
    "x_file_stream_timeout_seconds": 10.0,
    "x_file_transfer_retry_max": 2,
}
"""Bounds of all waits, in seconds and tries. They are short, since another pass over missing runs is cheap.

Environment variables (`WANDB_INIT_TIMEOUT` and so on) take precedence.
"""


VARIABLE = "WANDB_MODE"

MODES = {"online": ("online", "run"), "offline": ("offline", "dryrun", "online", "run")}
"""Values of the variable with which runs are written online and offline; offline is what `--wandb` says."""


def check_mode(online: bool) -> None:
    """Refuse a value of WANDB_MODE with which runs cannot be written.

    Raises:
        InputError: naming the value, and those that are allowed.
    """
    mode, want = os.environ.get(VARIABLE), "online" if online else "offline"
    if mode is not None and mode not in MODES[want]:
        raise InputError(
            f"{VARIABLE} is {mode!r}, and runs are to be written {want}: unset it, or set it to {MODES[want][0]}"
        )


class UsedIdError(Exception):
    """W&B has a run of this id, or had one and never accepts the id again (HTTP 409)."""


class RunWriter:
    """Writes runs: online to a project, or offline into `directory/wandb`.

    Raises:
        InputError: online, and no key of the right form is configured; or a variable of wandb's has a value that it
            does not take.
    """

    def __init__(self, directory: Path | None, entity: str | None = None, project: str | None = None):
        check_mode(online=directory is None)
        os.environ.setdefault("WANDB_SILENT", "true")  # read when wandb is imported
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        logging.raiseExceptions = False  # a full disk shall not make wandb's log print errors
        self.online = directory is None
        self._folder = directory or Path(tempfile.mkdtemp(prefix="glideslope-wandb-"))
        self._place: dict[str, Any] = {
            "entity": entity,
            "project": project or os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT,
        }
        self.renew()

    def renew(self) -> None:
        """Start a new service. After a failure, the old one keeps its ids in use, and may be dead."""
        import wandb

        wandb.teardown()
        try:
            wandb.setup(settings(self.online))
        except ValueError as error:
            raise InputError(f"wandb does not take its settings: {_variables(error)}") from None
        try:
            has_key = not self.online or wandb.login(prompt=False, verify=False)
        except wandb.errors.AuthenticationError as error:
            raise InputError(f"no W&B key of the right form: {error}") from None
        if not has_key:
            raise InputError("no W&B key: `wandb login` once, or set WANDB_API_KEY")

    def close(self) -> None:
        """End the service and delete temporary files."""
        import wandb

        wandb.teardown()
        if self.online:
            shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, run: CellRun, generation: int) -> str:
        """Write a run under its first free id from this generation on, and return the id.

        Raises:
            Exception: wandb's own, of many kinds; the caller must then delete the incomplete run.
        """
        for number in count(generation):
            name = run.id if number == 1 else f"{run.id}-g{number}"
            try:
                self._write(run, name)
            except UsedIdError:
                if number - generation == GENERATIONS:
                    raise
            else:
                return name
        raise AssertionError("count has no end")

    def _write(self, run: CellRun, name: str) -> None:
        wandb_run = self._begin(run, name)
        for axis in ("step", "epoch"):
            wandb_run.define_metric(axis, summary="none", hidden=True)
        for axis, metrics in (("step", STEPWISE), ("epoch", EPOCHWISE)):
            for metric in metrics:
                wandb_run.define_metric(metric, step_metric=axis, summary="none")
        for row in run.history:
            wandb_run.log(row, step=int(row["step"]))
        wandb_run.summary.update(run.summary)
        wandb_run.finish()
        if self.online:
            shutil.rmtree(wandb_run.settings.sync_dir, ignore_errors=True)

    def _begin(self, run: CellRun, name: str) -> wandb.Run:
        import wandb

        try:
            return wandb.init(
                **self._place,
                id=name,
                name=run.name,
                group=run.group,
                job_type=run.job_type,
                tags=run.tags,
                config=full_config(run),
                dir=self._folder,
                mode="online" if self.online else "offline",
                resume="never" if self.online else None,
                reinit="create_new",
                settings=settings(self.online),
            )
        except Exception as error:
            if re.search(r"\b409\b|already exists", str(error)):
                raise UsedIdError(f"the id {name} is used up") from None
            raise


def _variables(error: ValueError) -> str:
    """The variables that wandb could not read, with the reason of each, in one line."""
    faults: list[Any] = getattr(error, "errors", list)()
    named = [f"{'WANDB_' + str(fault['loc'][0]).upper()} ({fault['msg']})" for fault in faults if fault["loc"]]
    return "; ".join(named) or " ".join(str(error).split())


def settings(online: bool) -> wandb.Settings:
    """Settings by which wandb records nothing of this machine, prints nothing and bounds every wait."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        save_code=False,
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        x_transaction_log_flush_interval=1.0,
        x_skip_transaction_log=online,
        finish_timeout_raises=True,
        **{name: bound for name, bound in PATIENCE.items() if f"WANDB_{name.upper()}" not in os.environ},
    )


def full_config(run: CellRun) -> dict[str, Any]:
    """The config that W&B gets: the run's own, with its id without a generation and its digest."""
    return run.config | {"run": run.id, "digest": run.digest}

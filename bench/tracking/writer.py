"""Runs of W&B, written by wandb's own client: quiet, bounded in time, and with one service for all of them.

Accelerate's tracker is not used: it stands for the one run of a training process, writes its config through wandb's
global run (which fails with several), and can define no axes, while here one process writes a run for every cell.
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
"""Ids tried for one cell beyond those that are known to be used up."""

DEFAULT_PROJECT = "glideslope"

PATIENCE: dict[str, Any] = {
    "init_timeout": 20.0,
    "finish_timeout": 60.0,
    "x_graphql_retry_max": 2,
    "x_graphql_timeout_seconds": 10.0,
    "x_file_stream_timeout_seconds": 10.0,
    "x_file_transfer_retry_max": 2,
}
"""Bounds of every wait, in seconds and tries: a pass over what is missing is cheap, so none has to wait long.

What the environment says (`WANDB_INIT_TIMEOUT` and so on) comes first.
"""


class TakenError(Exception):
    """W&B holds a run of this id, or held one and will never take the id again (HTTP 409)."""


class RunWriter:
    """Writes runs: online to a project, or offline into `directory/wandb`.

    Raises:
        InputError: online, and no key of the right form is configured.
    """

    def __init__(self, directory: Path | None, entity: str | None = None, project: str | None = None):
        os.environ.setdefault("WANDB_SILENT", "true")  # read at the import
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        logging.raiseExceptions = False  # a line of wandb's own log that finds no room on the disk is no news
        self.online = directory is None
        self._folder = directory or Path(tempfile.mkdtemp(prefix="glideslope-wandb-"))
        self._place: dict[str, Any] = {
            "entity": entity,
            "project": project or os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT,
        }
        self.renew()

    def renew(self) -> None:
        """A new service. One that failed holds on to the ids it was given, and may be dead."""
        import wandb

        wandb.teardown()
        wandb.setup(settings(self.online))
        try:
            known = not self.online or wandb.login(prompt=False, verify=False)
        except wandb.errors.AuthenticationError as error:
            raise InputError(f"no W&B key of the right form: {error}") from None
        if not known:
            raise InputError("no W&B key: `wandb login` once, or set WANDB_API_KEY")

    def close(self) -> None:
        """End the service."""
        import wandb

        wandb.teardown()
        if self.online:
            shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, run: CellRun, generation: int) -> str:
        """Write a run under its first free id from this generation on, and return the id.

        Raises:
            Exception: of many kinds, wandb's own; what it wrote so far is then to be deleted.
        """
        for number in count(generation):
            name = run.id if number == 1 else f"{run.id}-g{number}"
            try:
                self._write(run, name)
            except TakenError:
                if number - generation == GENERATIONS:
                    raise
            else:
                return name
        raise AssertionError("count has no end")

    def _write(self, run: CellRun, name: str) -> None:
        there = self._begin(run, name)
        for axis in ("step", "epoch"):
            there.define_metric(axis, summary="none", hidden=True)
        for axis, metrics in (("step", STEPWISE), ("epoch", EPOCHWISE)):
            for metric in metrics:
                there.define_metric(metric, step_metric=axis, summary="none")
        for row in run.history:
            there.log(row, step=int(row["step"]))
        there.summary.update(run.summary)
        there.finish()
        if self.online:
            shutil.rmtree(there.settings.sync_dir, ignore_errors=True)

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
                config=shown(run),
                dir=self._folder,
                mode="online" if self.online else "offline",
                resume="never" if self.online else None,
                reinit="create_new",
                settings=settings(self.online),
            )
        except Exception as error:
            if re.search(r"\b409\b|already exists", str(error)):
                raise TakenError(f"the id {name} is used up") from None
            raise


def settings(online: bool) -> wandb.Settings:
    """Nothing of this machine, nothing on the screen, and no wait without a bound."""
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


def shown(run: CellRun) -> dict[str, Any]:
    """The config that W&B gets: the run's own, its id without a generation, and the digest of all it shows."""
    return run.config | {"run": run.id, "digest": run.digest}

"""Runs that W&B holds, read through wandb's own client."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from bench.tracking.artifact import Place
from bench.tracking.runs import CellRun
from bench.tracking.writer import DEFAULT_PROJECT, full_config

TIMEOUT = 20
"""Longest time of a request, in seconds."""


@dataclass(frozen=True)
class ServerRun:
    """A run as W&B holds it."""

    api_run: Any  # of wandb's public API

    @property
    def id(self) -> str:
        return str(self.api_run.id)

    @property
    def run(self) -> str | None:
        """Id of the `CellRun` that it was written for, without a generation; None for other runs of the project."""
        run_id: str | None = self.api_run.config.get("run")
        return run_id

    @property
    def generation(self) -> int:
        return int(self.id.rpartition("-g")[2]) if "-g" in self.id else 1

    def rows(self) -> list[dict[str, Any]]:
        """The whole history, without W&B's own columns."""
        history = self.api_run.scan_history(use_cache=False)
        return [{key: value for key, value in row.items() if not key.startswith("_")} for row in history]

    def delete(self) -> None:
        self.api_run.delete()

    def differs(self, run: CellRun, every_row: bool) -> str | None:
        """First difference from a run of the ledger, None if there is none.

        Users may change names, tags and notes online, and add values to the config and the summary.
        """
        if self.api_run.state != "finished":
            return f"its state is {self.api_run.state}, not finished"
        for part, expected, actual in (
            ("config", full_config(run), self.api_run.config),
            ("summary", run.summary, dict(self.api_run.summary_metrics)),
        ):
            for key, value in json.loads(json.dumps(expected)).items():
                if actual.get(key) != value:
                    return f"{part} {key} is {actual.get(key)!r}, not {value!r}"
        if self.api_run.historyLineCount != len(run.history):
            return f"its history has {self.api_run.historyLineCount} rows, not {len(run.history)}"
        last = (self.api_run.historyKeys or {}).get("lastStep", -1)
        if run.history and last != run.history[-1]["step"]:
            return f"its history ends at step {last}, not {run.history[-1]['step']:g}"
        if every_row:
            for server_row, row in zip(self.rows(), run.history, strict=True):
                if server_row != row:
                    return f"its row at step {row['step']:g} is {server_row}, not {row}"
        return None


class Server:
    """One project of W&B."""

    def __init__(self, entity: str | None = None, project: str | None = None):
        self._entity = entity or os.environ.get("WANDB_ENTITY")
        self._project = project or os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT

    def place(self) -> Place:
        """The project; if no entity was given, the server names the user's default one."""
        if self._entity is None:
            self._entity = str(self._api().default_entity)
        return Place(self._entity, self._project)

    def runs(self, **filters: Any) -> list[ServerRun]:
        """Runs of the project, oldest first; filters as W&B writes them, such as `config.cohort`."""
        place = self.place()
        try:
            runs = self._api().runs("/".join(place), filters=filters, per_page=200, lazy=False)
            return [ServerRun(api_run) for api_run in runs]
        except ValueError:  # raised by wandb if the project does not exist yet
            return []

    def _api(self) -> Any:
        """A new client, since one caches its answers and depends on a service that may have been replaced."""
        import wandb

        return wandb.Api(timeout=TIMEOUT)

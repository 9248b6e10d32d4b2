"""What W&B holds, read by wandb's own client."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from bench.tracking.artifact import Place
from bench.tracking.runs import CellRun
from bench.tracking.writer import DEFAULT_PROJECT, shown

TIMEOUT = 20
"""Seconds for one request."""


@dataclass(frozen=True)
class Held:
    """A run as W&B holds it."""

    it: Any  # of wandb's public API

    @property
    def id(self) -> str:
        return str(self.it.id)

    @property
    def run(self) -> str | None:
        """Id of ours that it was written for, without a generation."""
        known: str | None = self.it.config.get("run")
        return known

    @property
    def generation(self) -> int:
        return int(self.id.rpartition("-g")[2]) if "-g" in self.id else 1

    def rows(self) -> list[dict[str, Any]]:
        """The whole history, without W&B's own columns."""
        return [
            {k: v for k, v in row.items() if not k.startswith("_")} for row in self.it.scan_history(use_cache=False)
        ]

    def delete(self) -> None:
        self.it.delete()

    def differs(self, run: CellRun, every_row: bool) -> str | None:
        """The first thing in which it differs from a run of the ledger, None if nothing.

        What users change online is theirs: names, tags, notes, and further config and summary values.
        """
        if self.it.state != "finished":
            return f"its state is {self.it.state}, not finished"
        for what, wanted, there in (
            ("config", shown(run), self.it.config),
            ("summary", run.summary, dict(self.it.summary_metrics)),
        ):
            for key, value in json.loads(json.dumps(wanted)).items():
                if there.get(key) != value:
                    return f"{what} {key} is {there.get(key)!r}, not {value!r}"
        if self.it.historyLineCount != len(run.history):
            return f"its history has {self.it.historyLineCount} rows, not {len(run.history)}"
        last = (self.it.historyKeys or {}).get("lastStep", -1)
        if run.history and last != run.history[-1]["step"]:
            return f"its history ends at step {last}, not {run.history[-1]['step']:g}"
        if every_row:
            for there, row in zip(self.rows(), run.history, strict=True):
                if there != row:
                    return f"its row at step {row['step']:g} is {there}, not {row}"
        return None


class Server:
    """One project of W&B."""

    def __init__(self, entity: str | None = None, project: str | None = None):
        self._entity = entity or os.environ.get("WANDB_ENTITY")
        self._project = project or os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT

    def place(self) -> Place:
        """The project; who asks is asked of the server where no entity was named."""
        if self._entity is None:
            self._entity = str(self._api().default_entity)
        return Place(self._entity, self._project)

    def held(self, **filters: Any) -> list[Held]:
        """Runs of the project, oldest first; filters as W&B writes them, such as `config.cohort`."""
        place = self.place()
        try:
            runs = self._api().runs("/".join(place), filters=filters, per_page=200, lazy=False)
            return [Held(it) for it in runs]
        except ValueError:  # wandb's word for a project that is not there yet
            return []

    def _api(self) -> Any:
        """Anew each time: one remembers its answers, and hangs on a service that may have been renewed."""
        import wandb

        return wandb.Api(timeout=TIMEOUT)

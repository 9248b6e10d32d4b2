"""Data of the stand-in server: projects, runs with their streams, artifacts, and views (the API's word for reports)."""

import base64
import json
from dataclasses import dataclass, field
from itertools import pairwise

from tests.tracking.standin.document import ProtocolError

NOW = "2026-01-01T00:00:00Z"
HISTORY, EVENTS, SUMMARY, OUTPUT = "wandb-history.jsonl", "wandb-events.jsonl", "wandb-summary.json", "output.log"


def node_id(kind, key):
    return base64.b64encode(f"{kind}:{key}".encode()).decode()


def opened(identity, kind):
    """The key in an id that `node_id` returned."""
    actual, _, key = base64.b64decode(identity).decode().partition(":")
    if actual != kind:
        raise ProtocolError(f"{identity} is the id of a {actual}, not of a {kind}")
    return key


ENTITY = "team"
USER = {
    "__typename": "User",
    "id": node_id("User", "1"),
    "name": "tester",
    "username": "tester",
    "email": "tester@example.invalid",
    "photoUrl": "",
    "admin": False,
    "flags": "{}",
    "entity": ENTITY,
    "deletedAt": None,
    "apiKeys": {"edges": []},
    "teams": {"edges": [{"node": {"name": ENTITY}}]},
}
ONE_PAGE = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}


@dataclass
class Run:
    """One run as the server has it. `history` holds rows as they were sent, with `_step` and the like."""

    entity: str
    project: str
    name: str
    display: str = ""
    group: str | None = None
    job_type: str | None = None
    tags: list = field(default_factory=list)
    notes: str | None = None
    config: dict = field(default_factory=dict)  # as sent: {"x": {"value": 1}, "_wandb": ...}
    summary: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    events: list = field(default_factory=list)
    output: dict = field(default_factory=dict)
    state: str = "running"
    exitcode: int | None = None
    files: dict = field(default_factory=dict)  # name -> bytes

    @property
    def key(self):
        return f"{self.entity}/{self.project}/{self.name}"

    @property
    def settings(self):
        """The config as users see it."""
        return {k: v["value"] for k, v in self.config.items() if k != "_wandb"}

    @property
    def rows(self):
        """The history as users see it: the logged values, without W&B's own columns."""
        return [{k: v for k, v in row.items() if not k.startswith("_")} for row in self.history]

    @property
    def results(self):
        """The summary as users see it."""
        return {k: v for k, v in self.summary.items() if not k.startswith("_")}

    def stream(self, files, report):
        """Store one request of a file stream; `report` is called with each violation."""
        for name, part in files.items():
            offset, lines = part["offset"], part["content"]
            if name == SUMMARY:
                self.summary = json.loads(lines[-1])
            elif name in (HISTORY, EVENTS):
                self._append(name, offset, [json.loads(line) for line in lines])
            elif name == OUTPUT:  # a line may be written again, as progress bars do
                self.output |= {offset + i: line for i, line in enumerate(lines)}
            else:
                report(f"{self.name}: unknown stream {name}")

    def _append(self, name, offset, rows):
        """Append rows. Rows sent again are a retry after a lost answer, and must equal those stored."""
        stored = self.history if name == HISTORY else self.events
        if offset > len(stored):
            raise ProtocolError(f"{self.name}: {name} at offset {offset}, but {len(stored)} lines are there")
        repeated, new = rows[: len(stored) - offset], rows[len(stored) - offset :]
        if repeated != stored[offset : offset + len(repeated)]:
            raise ProtocolError(f"{self.name}: {name} at offset {offset} would overwrite other lines")
        if name == HISTORY:
            steps = [row["_step"] for row in [*stored[-1:], *new]]
            if any(b <= a for a, b in pairwise(steps)):
                raise ProtocolError(f"{self.name}: duplicate or decreasing steps {steps[:5]}...")
        stored.extend(new)


@dataclass
class Artifact:
    """A version of an artifact."""

    entity: str
    project: str
    collection: str
    kind: str
    digest: str
    run: str | None
    number: int
    client_id: str
    aliases: list
    metadata: dict
    state: str = "PENDING"
    manifest: dict | None = None
    declared: dict = field(default_factory=dict)  # file -> base64 MD5
    files: dict = field(default_factory=dict)  # file -> bytes
    index: int | None = None

    @property
    def id(self):
        return node_id("Artifact", self.number)


@dataclass
class View:
    """A report."""

    id: str
    entity: str
    project: str
    type: str
    name: str
    title: str
    description: str
    spec: str

    @property
    def blocks(self):
        return json.loads(self.spec)["blocks"]


@dataclass
class Bank:
    """All data. Keys are entity/project and entity/project/name."""

    projects: dict = field(default_factory=dict)  # -> internal number
    runs: dict = field(default_factory=dict)
    deleted: set = field(default_factory=set)
    artifacts: list = field(default_factory=list)
    views: dict = field(default_factory=dict)

    def project(self, entity, name):
        self.projects.setdefault(f"{entity}/{name}", len(self.projects) + 1)

    def run(self, entity, project, name):
        """A run that must exist."""
        key = f"{entity}/{project}/{name}"
        if key in self.deleted:
            raise ProtocolError(f"run {key} was deleted", 404)
        if key not in self.runs:
            raise ProtocolError(f"no run {key}", 404)
        return self.runs[key]

    def delete(self, key):
        """Delete a run, as users do online: its id is never accepted again."""
        del self.runs[key]
        self.deleted.add(key)

    def at(self, entity, project):
        """Runs of a project, oldest first."""
        return [run for run in self.runs.values() if (run.entity, run.project) == (entity, project)]

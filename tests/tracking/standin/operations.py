"""GraphQL operations that wandb 0.31 and wandb-workspaces 0.4.13 request, by name. No others are served."""

import json

from tests.tracking.standin.artifacts import Artifacts
from tests.tracking.standin.bank import ENTITY, NOW, ONE_PAGE, USER, Run, node_id, opened
from tests.tracking.standin.document import Json, ProtocolError
from tests.tracking.standin.filters import matches
from tests.tracking.standin.reports import Reports


class Operations(Artifacts, Reports):
    """Resolvers; each takes the variables of a request and returns at least the fields that answer it."""

    def __init__(self, bank, url):
        self.bank, self.url = bank, url
        self.uploads = {}  # address under /storage -> function that takes the bytes

    def __call__(self, name, variables):
        resolver = getattr(self, name) if name in served() else None
        if resolver is None:
            raise ProtocolError(f"unknown operation {name}")
        return resolver(variables)

    def upload(self, address, take):
        self.uploads[f"/storage/{address}"] = take
        return f"{self.url}/storage/{address}"

    # ------------------------------------------------------------------------------------- who and where

    def Viewer(self, v):
        return {"viewer": USER}

    GetDefaultEntity = Viewer

    def ServerFeaturesQuery(self, v):
        return {"serverInfo": {"features": []}}

    def project(self, entity, name):
        key = f"{entity}/{name}"
        number = self.bank.projects.get(key)
        if number is None:
            return None
        return {
            "__typename": "Project",
            "id": node_id("Project", key),
            "internalId": node_id("ProjectInternalId", number),
            "name": name,
            "entityName": entity,
            "entity": {"id": node_id("Entity", entity), "name": entity},
            "createdAt": NOW,
            "isBenchmark": False,
            "user": USER,
            "description": None,
            "access": "ENTITY_READ",
            "views": "{}",
            "readOnly": False,
        }

    def ProjectInternalId(self, v):
        return {"project": self.project(v["entityName"], v["projectName"])}

    def GetProjects(self, v):
        keys = [key.split("/") for key in self.bank.projects]
        nodes = [{"node": self.project(e, p), "cursor": p} for e, p in keys if e == v["entity"]]
        return {"models": {"pageInfo": ONE_PAGE, "edges": nodes}}

    # ------------------------------------------------------------------------------------- writing runs

    def UpsertBucket(self, v):
        if v.get("id") and not v.get("name"):
            entity, project, name = opened(v["id"], "Run").split("/")
        else:
            entity, project, name = v.get("entity") or ENTITY, v.get("project") or "uncategorized", v["name"]
        key = f"{entity}/{project}/{name}"
        if key in self.bank.deleted:
            raise ProtocolError(f"run {key} was previously created and deleted; try a new run name", 409)
        self.bank.project(entity, project)
        new = key not in self.bank.runs
        run = self.bank.runs.setdefault(key, Run(entity, project, name))
        names = {"displayName": "display", "display_name": "display", "groupName": "group", "jobType": "job_type"}
        names |= {"tags": "tags", "notes": "notes", "state": "state"}
        for variable, attribute in names.items():
            if v.get(variable) is not None:
                setattr(run, attribute, v[variable])
        if v.get("config"):
            run.config = self.config(v["config"])
        if v.get("summaryMetrics"):
            run.summary = json.loads(v["summaryMetrics"])
        return {"upsertBucket": {"bucket": self.run(run), "inserted": new}}

    def config(self, text):
        config = json.loads(text)
        for key, entry in config.items():
            if not isinstance(entry, dict) or "value" not in entry:
                raise ProtocolError(f"config {key!r} is not wrapped in a value")
        return config

    def DeleteRun(self, v):
        key = opened(v["id"], "Run")
        if key not in self.bank.runs:
            raise ProtocolError(f"no run {key}", 404)
        self.bank.delete(key)
        return {"deleteRun": {"clientMutationId": None}}

    def CreateRunFiles(self, v):
        run = self.bank.run(v["entity"], v["project"], v["run"])
        files = [
            {"name": f, "uploadUrl": self.upload(f"run/{run.key}/{f}", lambda data, f=f: run.files.update({f: data}))}
            for f in v["files"]
        ]
        return {"createRunFiles": {"runID": node_id("Run", run.key), "uploadHeaders": [], "files": files}}

    # ------------------------------------------------------------------------------------- reading runs

    def run(self, run):
        keys = {}
        for row in run.history:
            for key, value in row.items():
                entry = keys.setdefault(key, {"typeCounts": [{"type": "number", "count": 0}], "monotonic": False})
                entry["typeCounts"][0]["count"] += 1
                entry["previousValue"] = value
        last = run.history[-1]["_step"] if run.history else -1
        return {
            "id": node_id("Run", run.key),
            "projectId": str(self.bank.projects[f"{run.entity}/{run.project}"]),
            "project": self.project(run.entity, run.project),
            "name": run.name,
            "displayName": run.display or run.name,
            "description": None,
            "notes": run.notes,
            "tags": run.tags,
            "group": run.group,
            "jobType": run.job_type,
            "state": run.state,
            "config": json.dumps(run.config),
            "wandbConfig": json.dumps({"t": 1}),
            "summaryMetrics": json.dumps(run.summary),
            "systemMetrics": "{}",
            "sweepName": None,
            "commit": None,
            "readOnly": False,
            "createdAt": NOW,
            "heartbeatAt": NOW,
            "user": USER,
            "historyLineCount": len(run.history),
            "eventsLineCount": len(run.events),
            "logLineCount": len(run.output),
            "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsTail": json.dumps([json.dumps(row) for row in run.events[-1:]]),
            "historyKeys": Json(step=0, lastStep=last, sets=[], keys=keys) if run.history else None,
            "history": [json.dumps(row) for row in run.history],
            "events": [json.dumps(row) for row in run.events],
        }

    def RunResumeStatus(self, v):
        entity, project = v.get("entity") or ENTITY, v.get("project")
        run = self.bank.runs.get(f"{entity}/{project}/{v['name']}")
        model = self.project(entity, project)
        return {"model": model and model | {"bucket": run and self.run(run)}}

    def Run(self, v):
        project = self.project(v["entity"], v["project"])
        run = self.bank.runs.get(f"{v['entity']}/{v['project']}/{v.get('run') or v['name']}")
        return {"project": project and project | {"run": run and self.run(run)}}

    RunFullHistory = RunHistoryKeys = Run

    def Runs(self, v):
        project = self.project(v["entity"], v["project"])
        if project is None:
            return {"project": None}
        every = [r for r in self.bank.at(v["entity"], v["project"]) if matches(self.run(r), json.loads(v["filters"]))]
        if v.get("order") not in (None, "+created_at", "-created_at"):
            raise ProtocolError(f"unknown order {v['order']}")
        if v.get("order") == "-created_at":
            every.reverse()
        first = int(v.get("cursor") or 0)
        page = every[first : first + v["perPage"]]
        edges = [{"node": self.run(run), "cursor": str(i)} for i, run in enumerate(page, first + 1)]
        info = {"endCursor": str(first + len(page)), "hasNextPage": first + len(page) < len(every)}
        return {"project": project | {"runCount": len(every), "runs": {"edges": edges, "pageInfo": info}}}

    def RunParquetHistory(self, v):
        run = self.bank.run(v["entity"], v["project"], v["runName"])
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": run.history}}}}

    def HistoryPage(self, v):
        run = self.bank.run(v["entity"], v["project"], v["run"])
        rows = [r for r in run.history if v["minStep"] <= r["_step"] < v["maxStep"]][: v["pageSize"]]
        return {"project": {"run": {"history": [json.dumps(row) for row in rows]}}}


def served():
    """Names of the operations, as clients send them: all but two begin in upper case."""
    return {name for name in dir(Operations) if name[0].isupper() or name in ("upsertView", "deleteView")}

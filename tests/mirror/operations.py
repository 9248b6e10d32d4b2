"""The GraphQL operations that wandb 0.31 and wandb-workspaces 0.4.13 ask for, by name. No other is served."""

import base64
import hashlib
import json

from tests.mirror.bank import NOW, Artifact, Run, View, node_id, opened
from tests.mirror.document import Json, Refused

ENTITY = "team"
USER = {
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
ONE_PAGE = {"endCursor": None, "hasNextPage": False}


class Operations:
    """Resolvers; each takes the variables of the request and gives more than enough to answer it."""

    def __init__(self, bank, url):
        self.bank, self.url = bank, url
        self.uploads = {}  # address under /storage -> what to do with the bytes

    def __call__(self, name, variables):
        resolver = getattr(self, name, None)
        if resolver is None or not name[0].isalpha():
            raise Refused(f"unknown operation {name}")
        return resolver(variables)

    def upload(self, address, take):
        self.uploads[f"/storage/{address}"] = take
        return f"{self.url}/storage/{address}"

    # ------------------------------------------------------------------------------------- who and where

    def Viewer(self, v):
        return {"viewer": USER}

    GetViewer = GetDefaultEntity = Viewer

    def ServerFeaturesQuery(self, v):
        return {"serverInfo": {"features": []}}

    def OrganizationCoreWeaveOrganizationID(self, v):
        return {"entity": {"organization": None}}

    def project(self, entity, name):
        key = f"{entity}/{name}"
        number = self.bank.projects.get(key)
        if number is None:
            return None
        return {
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

    def GetProject(self, v):
        return {"project": self.project(v["entity"], v["name"])}

    def GetProjects(self, v):
        keys = [key.split("/") for key in self.bank.projects]
        nodes = [{"node": self.project(e, p), "cursor": p} for e, p in keys if e == v["entity"]]
        return {"models": {"pageInfo": ONE_PAGE, "edges": nodes}}

    def CreateProject(self, v):
        asked = v["input"]
        self.bank.project(asked["entityName"], asked["name"])
        made = self.project(asked["entityName"], asked["name"])
        return {"upsertModel": {"project": made, "model": made, "inserted": True}}

    # ------------------------------------------------------------------------------------- writing runs

    def UpsertBucket(self, v):
        if v.get("id") and not v.get("name"):
            entity, project, name = opened(v["id"], "Run").split("/")
        else:
            entity, project, name = v.get("entity") or ENTITY, v.get("project") or "uncategorized", v["name"]
        key = f"{entity}/{project}/{name}"
        if key in self.bank.deleted:
            raise Refused(f"run {key} was previously created and deleted; try a new run name", 409)
        self.bank.project(entity, project)
        new = key not in self.bank.runs
        run = self.bank.runs.setdefault(key, Run(entity, project, name))
        names = {"displayName": "display", "display_name": "display", "groupName": "group", "jobType": "job_type"}
        names |= {"tags": "tags", "notes": "notes", "state": "state"}
        for asked, ours in names.items():
            if v.get(asked) is not None:
                setattr(run, ours, v[asked])
        if v.get("config"):
            run.config = self.config(v["config"])
        if v.get("summaryMetrics"):
            run.summary = json.loads(v["summaryMetrics"])
        return {"upsertBucket": {"bucket": self.run(run), "inserted": new}}

    def config(self, text):
        config = json.loads(text)
        for key, entry in config.items():
            if not isinstance(entry, dict) or "value" not in entry:
                raise Refused(f"config {key!r} is not wrapped in a value")
        return config

    def DeleteRun(self, v):
        key = opened(v["id"], "Run")
        if key not in self.bank.runs:
            raise Refused(f"no run {key}", 404)
        self.bank.delete(key)
        return {"deleteRun": {"clientMutationId": None}}

    def CreateRunFiles(self, v):
        run = self.bank.run(v["entity"], v["project"], v["run"])
        files = [
            {"name": f, "uploadUrl": self.upload(f"run/{run.key}/{f}", lambda data, f=f: run.files.update({f: data}))}
            for f in v["files"]
        ]
        return {"createRunFiles": {"runID": node_id("Run", run.key), "uploadHeaders": [], "files": files}}

    def NotifyScriptableRunAlert(self, v):
        return {"notifyScriptableRunAlert": {"success": True}}

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

    RunFullHistory = RunHistoryKeys = RunState = QueryRunInfo = Run

    def Runs(self, v):
        project = self.project(v["entity"], v["project"])
        if project is None:
            return {"project": None}
        every = [r for r in self.bank.at(v["entity"], v["project"]) if matches(self.run(r), json.loads(v["filters"]))]
        if v.get("order") not in (None, "+created_at", "-created_at"):
            raise Refused(f"unknown order {v['order']}")
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

    def SampledHistoryPage(self, v):
        run, spec = self.bank.run(v["entity"], v["project"], v["run"]), json.loads(v["spec"])
        rows = [{k: row[k] for k in spec["keys"]} for row in run.history if all(k in row for k in spec["keys"])]
        return {"project": {"run": {"sampledHistory": [rows]}}}

    # ---------------------------------------------------------------------------------------- artifacts

    def versions(self, collection):
        return [a for a in self.bank.artifacts if a.collection == collection]

    def artifact(self, number):
        return self.bank.artifacts[int(opened(number, "Artifact"))]

    def version(self, made):
        collection = {
            "__typename": "ArtifactSequence",
            "id": node_id("Sequence", made.collection),
            "name": made.collection,
            "project": self.project(made.entity, made.project),
        }
        names = [*made.aliases, f"v{made.index}"]
        aliases = [{"id": node_id("Alias", f"{made.number}/{a}"), "alias": a} for a in names]
        return {
            "__typename": "Artifact",
            "id": made.id,
            "artifactSequence": collection,
            "versionIndex": made.index,
            "artifactType": {"name": made.kind},
            "description": None,
            "metadata": json.dumps(made.metadata),
            "ttlDurationSeconds": -2,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": made.state,
            "size": sum(map(len, made.files.values())),
            "digest": made.digest,
            "commitHash": f"{made.number:020d}",
            "fileCount": len(made.files),
            "createdAt": NOW,
            "updatedAt": NOW,
            "aliases": [a | {"__typename": "ArtifactAlias", "artifactCollection": collection} for a in aliases],
        }

    def ArtifactByID(self, v):
        return {"artifact": self.version(self.artifact(v["id"]))}

    def ArtifactType(self, v):
        there = self.versions(v["name"].split(":")[0])
        found = {"artifactType": {"name": there[0].kind}} if there else None
        return {"project": {"artifact": found}}

    def CreateArtifact(self, v):
        asked = v["input"]
        there = self.versions(asked["artifactCollectionName"])
        same = [a for a in there if a.digest == asked["digest"] and a.state == "COMMITTED"]
        if same:
            made = same[0]
        else:
            made = Artifact(
                entity=asked["entityName"],
                project=asked["projectName"],
                collection=asked["artifactCollectionName"],
                kind=asked["artifactTypeName"],
                digest=asked["digest"],
                run=asked.get("runName"),
                number=len(self.bank.artifacts),
                client_id=asked["clientID"],
                aliases=[a["alias"] for a in asked.get("aliases") or []],
                metadata=json.loads(asked.get("metadata") or "{}"),
            )
            self.bank.artifacts.append(made)
        done = [a for a in there if a.state == "COMMITTED"]
        latest = {"id": done[-1].id, "versionIndex": done[-1].index} if done else None
        sequence = {"id": node_id("Sequence", made.collection), "latestArtifact": latest}
        return {"createArtifact": {"artifact": {"id": made.id, "state": made.state, "artifactSequence": sequence}}}

    def CreateArtifactManifest(self, v):
        made, address = self.artifact(v["artifactID"]), f"manifest/{opened(v['artifactID'], 'Artifact')}"
        url = self.upload(address, lambda data: self.take_manifest(made, v["digest"], data))
        file = {"id": node_id("File", address), "name": v["name"], "displayName": v["name"], "uploadUrl": url}
        identity = node_id("Manifest", opened(v["artifactID"], "Artifact"))
        return {"createArtifactManifest": {"artifactManifest": {"id": identity, "file": file | {"uploadHeaders": []}}}}

    def UpdateArtifactManifest(self, v):
        number = opened(v["artifactManifestID"], "Manifest")
        made, address = self.bank.artifacts[int(number)], f"manifest/{number}"
        url = self.upload(address, lambda data: self.take_manifest(made, v["digest"], data))
        file = {"id": node_id("File", address), "name": "wandb_manifest.json", "displayName": "wandb_manifest.json"}
        file |= {"uploadUrl": url, "uploadHeaders": []}
        return {"updateArtifactManifest": {"artifactManifest": {"id": v["artifactManifestID"], "file": file}}}

    def take_manifest(self, made, digest, data):
        if digest and digest != md5(data):
            raise Refused("the manifest's bytes are not those of its digest")
        made.manifest = json.loads(data)

    def CreateArtifactFiles(self, v):
        edges = []
        for file in v["input"]["artifactFiles"]:
            made, name = self.artifact(file["artifactID"]), file["name"]
            made.declared[name] = file["md5"]
            url = self.upload(f"file/{made.number}/{name}", lambda data, a=made, n=name: self.take_file(a, n, data))
            node = {"id": node_id("ArtifactFile", f"{made.number}/{name}"), "name": name, "displayName": name}
            node |= {"uploadUrl": url, "uploadHeaders": [], "uploadMultipartUrls": None, "artifact": {"id": made.id}}
            edges.append({"node": node | {"storagePath": f"wandb_artifacts/{made.number}/{name}"}})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def take_file(self, made, name, data):
        if md5(data) != made.declared[name]:
            raise Refused(f"{name}: {len(data)} bytes are not those of its digest")
        made.files[name] = data

    def CommitArtifact(self, v):
        made = self.artifact(v["artifactID"])
        if made.manifest is None:
            raise Refused(f"artifact {made.collection} is committed without a manifest")
        for name, entry in made.manifest["contents"].items():
            if "ref" not in entry and len(made.files.get(name, b"")) != entry["size"]:
                raise Refused(f"artifact {made.collection} is committed before {name} is whole")
        done = [a for a in self.versions(made.collection) if a.state == "COMMITTED"]
        made.state, made.index = "COMMITTED", len(done)
        for other in done:
            other.aliases = [alias for alias in other.aliases if alias not in (*made.aliases, "latest")]
        made.aliases = list(dict.fromkeys([*made.aliases, "latest"]))
        return {"commitArtifact": {"artifact": {"id": made.id, "digest": made.digest}}}

    # ------------------------------------------------------------------------------------------ reports

    def view(self, view):
        return {
            "id": view.id,
            "type": view.type,
            "name": view.name,
            "displayName": view.title,
            "description": view.description,
            "project": self.project(view.entity, view.project),
            "spec": view.spec,
            "user": USER,
            "createdAt": NOW,
            "updatedAt": NOW,
        }

    def upsertView(self, v):
        if v["type"] not in ("runs", "runs/draft"):
            raise Refused(f"unknown view type {v['type']}")
        if v.get("id") and v["id"] not in self.bank.views:
            raise Refused(f"no view {v['id']}", 404)
        json.loads(v["spec"])
        new = not v.get("id")
        identity = node_id("View", len(self.bank.views) + 1) if new else v["id"]
        names = ("entityName", "projectName", "type", "name", "displayName", "description", "spec")
        self.bank.views[identity] = View(identity, *(v[name] for name in names))
        return {"upsertView": {"view": self.view(self.bank.views[identity]), "inserted": new}}

    def SpecificReport(self, v):
        found = self.bank.views.get(v["reportId"])
        return {"view": found and self.view(found)}

    def deleteView(self, v):
        return {"deleteView": {"success": self.bank.views.pop(v["id"], None) is not None, "pendingDrafts": []}}

    def ProjectViews(self, v):
        kind = v.get("viewType") or "runs"
        found = [
            view
            for view in self.bank.views.values()
            if (view.entity, view.project, view.type) == (v["entity"], v["project"], kind)
            and v.get("viewName") in (None, view.name)
        ]
        project = self.project(v["entity"], v["project"])
        edges = [{"node": self.view(view), "cursor": view.id} for view in found]
        return {"project": project and project | {"allViews": {"edges": edges, "pageInfo": ONE_PAGE}}}


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


COMPARE = {
    "$in": lambda got, want: got in want,
    "$nin": lambda got, want: got not in want,
    "$ne": lambda got, want: got != want,
    "$eq": lambda got, want: got == want,
    "$lte": lambda got, want: got is not None and got <= want,
    "$gte": lambda got, want: got is not None and got >= want,
    "$lt": lambda got, want: got is not None and got < want,
    "$gt": lambda got, want: got is not None and got > want,
    "$exists": lambda got, want: (got is not None) == want,
}
FIELDS = {"state": "state", "group": "group", "jobType": "jobType", "job_type": "jobType"}
FIELDS |= {"displayName": "displayName", "display_name": "displayName", "name": "name", "tags": "tags"}


def matches(run, filters):
    """Whether the MongoDB-like filters of `wandb.Api().runs` select a run."""
    return all(_holds(run, key, want) for key, want in filters.items())


def _holds(run, key, want):
    if key in ("$and", "$or"):
        return (all if key == "$and" else any)(matches(run, each) for each in want)
    top, _, rest = key.partition(".")
    if top == "config":
        got = json.loads(run["config"]).get(rest.removesuffix(".value"), {}).get("value")
    elif top == "summary_metrics":
        got = json.loads(run["summaryMetrics"]).get(rest)
    elif key in FIELDS:
        got = run[FIELDS[key]]
    else:
        raise Refused(f"unknown filter {key}")
    tests = want if isinstance(want, dict) else {"$eq": want}
    unknown = set(tests) - set(COMPARE)
    if unknown:
        raise Refused(f"unknown comparison {unknown}")
    if isinstance(got, list):
        return all(any(COMPARE[op](each, value) for each in got) for op, value in tests.items())
    return all(COMPARE[op](got, value) for op, value in tests.items())

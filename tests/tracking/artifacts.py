"""GraphQL operations on artifacts."""

import base64
import hashlib
import json

from tests.tracking.bank import NOW, Artifact, node_id, opened
from tests.tracking.document import ProtocolError


class Artifacts:
    """A part of `Operations`."""

    def versions(self, collection):
        return [a for a in self.bank.artifacts if a.collection == collection]

    def artifact(self, number):
        return self.bank.artifacts[int(opened(number, "Artifact"))]

    def collection(self, made):
        return {
            "__typename": "ArtifactSequence",
            "id": node_id("Sequence", made.collection),
            "name": made.collection,
            "description": None,
            "createdAt": NOW,
            "updatedAt": NOW,
            "project": self.project(made.entity, made.project),
            "defaultArtifactType": {"name": made.kind},
            "tags": {"edges": []},
        }

    def ProjectArtifactCollection(self, v):
        found = [a for a in self.versions(v["name"]) if a.kind == v["type"]]
        collection = self.collection(found[0]) if found else None
        return {"project": {"artifactType": {"artifactCollection": collection}}}

    def version(self, made):
        collection = self.collection(made)
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
            "digestAlgorithm": "MANIFEST_MD5",
            "commitHash": f"{made.number:020d}",
            "fileCount": len(made.files),
            "createdAt": NOW,
            "updatedAt": NOW,
            "aliases": [a | {"__typename": "ArtifactAlias", "artifactCollection": collection} for a in aliases],
        }

    def ArtifactByID(self, v):
        return {"artifact": self.version(self.artifact(v["id"]))}

    def ArtifactMembershipByName(self, v):
        collection, _, alias = v["name"].partition(":")
        for made in self.versions(collection):
            if made.state == "COMMITTED" and (alias or "latest") in (*made.aliases, f"v{made.index}"):
                whole = self.version(made)
                about = {"id": node_id("Membership", made.number), "__typename": "ArtifactCollectionMembership"}
                about |= {k: whole[k] for k in ("versionIndex", "createdAt", "aliases")}
                about |= {"artifact": whole, "artifactCollection": whole["artifactSequence"]}
                return {"project": {"artifactCollectionMembership": about}}
        return {"project": self.project(v["entity"], v["project"]) and {"artifactCollectionMembership": None}}

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

    def take_manifest(self, made, digest, data):
        if digest and digest != md5(data):
            raise ProtocolError("the manifest's bytes are not those of its digest")
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
            raise ProtocolError(f"{name}: {len(data)} bytes are not those of its digest")
        made.files[name] = data

    def CommitArtifact(self, v):
        made = self.artifact(v["artifactID"])
        if made.manifest is None:
            raise ProtocolError(f"artifact {made.collection} is committed without a manifest")
        for name, entry in made.manifest["contents"].items():
            if "ref" not in entry and len(made.files.get(name, b"")) != entry["size"]:
                raise ProtocolError(f"artifact {made.collection} is committed before {name} is whole")
        done = [a for a in self.versions(made.collection) if a.state == "COMMITTED"]
        made.state, made.index = "COMMITTED", len(done)
        for other in done:
            other.aliases = [alias for alias in other.aliases if alias not in (*made.aliases, "latest")]
        made.aliases = list(dict.fromkeys([*made.aliases, "latest"]))
        return {"commitArtifact": {"artifact": {"id": made.id, "digest": made.digest}}}


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()

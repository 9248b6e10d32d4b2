"""GraphQL operations on artifacts."""

import base64
import hashlib
import json

from tests.tracking.standin.bank import NOW, Artifact, node_id, opened
from tests.tracking.standin.document import ProtocolError


class Artifacts:
    """Resolvers of `Operations` for artifacts."""

    def versions(self, collection):
        return [a for a in self.bank.artifacts if a.collection == collection]

    def artifact(self, number):
        return self.bank.artifacts[int(opened(number, "Artifact"))]

    def collection(self, artifact):
        return {
            "__typename": "ArtifactSequence",
            "id": node_id("Sequence", artifact.collection),
            "name": artifact.collection,
            "description": None,
            "createdAt": NOW,
            "updatedAt": NOW,
            "project": self.project(artifact.entity, artifact.project),
            "defaultArtifactType": {"name": artifact.kind},
            "tags": {"edges": []},
        }

    def ProjectArtifactCollection(self, v):
        matches = [a for a in self.versions(v["name"]) if a.kind == v["type"]]
        collection = self.collection(matches[0]) if matches else None
        return {"project": {"artifactType": {"artifactCollection": collection}}}

    def version(self, artifact):
        collection = self.collection(artifact)
        names = [*artifact.aliases, f"v{artifact.index}"]
        aliases = [{"id": node_id("Alias", f"{artifact.number}/{a}"), "alias": a} for a in names]
        return {
            "__typename": "Artifact",
            "id": artifact.id,
            "artifactSequence": collection,
            "versionIndex": artifact.index,
            "artifactType": {"name": artifact.kind},
            "description": None,
            "metadata": json.dumps(artifact.metadata),
            "ttlDurationSeconds": -2,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": artifact.state,
            "size": sum(map(len, artifact.files.values())),
            "digest": artifact.digest,
            "digestAlgorithm": "MANIFEST_MD5",
            "commitHash": f"{artifact.number:020d}",
            "fileCount": len(artifact.files),
            "createdAt": NOW,
            "updatedAt": NOW,
            "aliases": [a | {"__typename": "ArtifactAlias", "artifactCollection": collection} for a in aliases],
        }

    def ArtifactByID(self, v):
        return {"artifact": self.version(self.artifact(v["id"]))}

    def ArtifactMembershipByName(self, v):
        collection, _, alias = v["name"].partition(":")
        for artifact in self.versions(collection):
            if artifact.state == "COMMITTED" and (alias or "latest") in (*artifact.aliases, f"v{artifact.index}"):
                whole = self.version(artifact)
                membership = {
                    "__typename": "ArtifactCollectionMembership",
                    "id": node_id("Membership", artifact.number),
                }
                membership |= {k: whole[k] for k in ("versionIndex", "createdAt", "aliases")}
                membership |= {"artifact": whole, "artifactCollection": whole["artifactSequence"]}
                return {"project": {"artifactCollectionMembership": membership}}
        return {"project": self.project(v["entity"], v["project"]) and {"artifactCollectionMembership": None}}

    def ArtifactType(self, v):
        versions = self.versions(v["name"].split(":")[0])
        artifact = {"artifactType": {"name": versions[0].kind}} if versions else None
        return {"project": {"artifact": artifact}}

    def CreateArtifact(self, v):
        request = v["input"]
        versions = self.versions(request["artifactCollectionName"])
        same = [a for a in versions if a.digest == request["digest"] and a.state == "COMMITTED"]
        if same:
            artifact = same[0]
        else:
            artifact = Artifact(
                entity=request["entityName"],
                project=request["projectName"],
                collection=request["artifactCollectionName"],
                kind=request["artifactTypeName"],
                digest=request["digest"],
                run=request.get("runName"),
                number=len(self.bank.artifacts),
                client_id=request["clientID"],
                aliases=[a["alias"] for a in request.get("aliases") or []],
                metadata=json.loads(request.get("metadata") or "{}"),
            )
            self.bank.artifacts.append(artifact)
        committed = [a for a in versions if a.state == "COMMITTED"]
        latest = {"id": committed[-1].id, "versionIndex": committed[-1].index} if committed else None
        sequence = {"id": node_id("Sequence", artifact.collection), "latestArtifact": latest}
        return {
            "createArtifact": {"artifact": {"id": artifact.id, "state": artifact.state, "artifactSequence": sequence}}
        }

    def CreateArtifactManifest(self, v):
        artifact, address = self.artifact(v["artifactID"]), f"manifest/{opened(v['artifactID'], 'Artifact')}"
        url = self.upload(address, lambda data: self.take_manifest(artifact, v["digest"], data))
        file = {"id": node_id("File", address), "name": v["name"], "displayName": v["name"], "uploadUrl": url}
        identity = node_id("Manifest", opened(v["artifactID"], "Artifact"))
        return {"createArtifactManifest": {"artifactManifest": {"id": identity, "file": file | {"uploadHeaders": []}}}}

    def take_manifest(self, artifact, digest, data):
        if digest and digest != md5(data):
            raise ProtocolError("the manifest's bytes are not those of its digest")
        artifact.manifest = json.loads(data)

    def CreateArtifactFiles(self, v):
        edges = []
        for file in v["input"]["artifactFiles"]:
            artifact, name = self.artifact(file["artifactID"]), file["name"]
            artifact.declared[name] = file["md5"]
            url = self.upload(
                f"file/{artifact.number}/{name}", lambda data, a=artifact, n=name: self.take_file(a, n, data)
            )
            node = {"id": node_id("ArtifactFile", f"{artifact.number}/{name}"), "name": name, "displayName": name}
            node |= {
                "uploadUrl": url,
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": artifact.id},
            }
            edges.append({"node": node | {"storagePath": f"wandb_artifacts/{artifact.number}/{name}"}})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def take_file(self, artifact, name, data):
        if md5(data) != artifact.declared[name]:
            raise ProtocolError(f"{name}: {len(data)} bytes are not those of its digest")
        artifact.files[name] = data

    def CommitArtifact(self, v):
        artifact = self.artifact(v["artifactID"])
        if artifact.manifest is None:
            raise ProtocolError(f"artifact {artifact.collection} is committed without a manifest")
        for name, entry in artifact.manifest["contents"].items():
            if "ref" not in entry and len(artifact.files.get(name, b"")) != entry["size"]:
                raise ProtocolError(f"artifact {artifact.collection} is committed before {name} is whole")
        committed = [a for a in self.versions(artifact.collection) if a.state == "COMMITTED"]
        artifact.state, artifact.index = "COMMITTED", len(committed)
        for other in committed:
            other.aliases = [alias for alias in other.aliases if alias not in (*artifact.aliases, "latest")]
        artifact.aliases = list(dict.fromkeys([*artifact.aliases, "latest"]))
        return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()

"""GraphQL operations on reports, which W&B calls views."""

import json

from tests.tracking.standin.bank import NOW, ONE_PAGE, USER, View, node_id
from tests.tracking.standin.document import ProtocolError


class Reports:
    """Resolvers of `Operations` for reports."""

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
            raise ProtocolError(f"unknown view type {v['type']}")
        if v.get("id") and v["id"] not in self.bank.views:
            raise ProtocolError(f"no view {v['id']}", 404)
        json.loads(v["spec"])
        new = not v.get("id")
        identity = node_id("View", len(self.bank.views) + 1) if new else v["id"]
        names = ("entityName", "projectName", "type", "name", "displayName", "description", "spec")
        self.bank.views[identity] = View(identity, *(v[name] for name in names))
        return {"upsertView": {"view": self.view(self.bank.views[identity]), "inserted": new}}

    def SpecificReport(self, v):
        view = self.bank.views.get(v["reportId"])
        return {"view": view and self.view(view)}

    def deleteView(self, v):
        return {
            "deleteView": {
                "__typename": "DeleteViewPayload",
                "success": self.bank.views.pop(v["id"], None) is not None,
                "pendingDrafts": [],
            }
        }

    def ProjectViews(self, v):
        kind = v.get("viewType") or "runs"
        views = [
            view
            for view in self.bank.views.values()
            if (view.entity, view.project, view.type) == (v["entity"], v["project"], kind)
            and v.get("viewName") in (None, view.name)
        ]
        project = self.project(v["entity"], v["project"])
        edges = [{"node": self.view(view), "cursor": view.id} for view in views]
        return {"project": project and project | {"allViews": {"edges": edges, "pageInfo": ONE_PAGE}}}

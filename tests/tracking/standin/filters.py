"""Evaluation of the MongoDB-like filters of `wandb.Api().runs`."""

import json

from tests.tracking.standin.document import ProtocolError

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
    """True if the filters select a run."""
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
        raise ProtocolError(f"unknown filter {key}")
    tests = want if isinstance(want, dict) else {"$eq": want}
    unknown = set(tests) - set(COMPARE)
    if unknown:
        raise ProtocolError(f"unknown comparison {unknown}")
    if isinstance(got, list):
        return all(any(COMPARE[op](each, value) for each in got) for op, value in tests.items())
    return all(COMPARE[op](got, value) for op, value in tests.items())

"""The stand-in is strict: it accepts the real client's recorded traffic and refuses violations of the protocol.

All requests go over HTTP, as the client's do.
"""

import base64
import http.client
import json
import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlparse

import pytest

from tests.tracking.standin.bank import HISTORY, SUMMARY
from tests.tracking.standin.operations import served
from tests.tracking.standin.server import KEY, StandIn

TRAFFIC = [json.loads(line) for line in Path(__file__).with_name("traffic.jsonl").read_text().splitlines()]
BUCKET = "mutation UpsertBucket($name: String, $project: String, $id: String) {upsertBucket(input: {}) {inserted}}"
DELETE = "mutation DeleteRun($id: ID!) {deleteRun(input: {id: $id}) {clientMutationId}}"


@pytest.fixture
def server():
    server = StandIn()
    yield server
    server.down()


def send(server, method, path, body, key=KEY):
    """Status and answer, or None where the connection was dropped."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"Authorization": "Basic " + base64.b64encode(f"api:{key}".encode()).decode()} if key else {}
    try:
        connection.request(method, path, body.encode(), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (ConnectionError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def ask(server, query, **variables):
    return send(server, "POST", "/graphql", json.dumps({"query": query, "variables": variables}))


def stream(server, name, rows, offset=0, run="one", **more):
    content = [json.dumps(row) for row in rows]
    body = {"files": {name: {"offset": offset, "content": content}}} | more
    return send(server, "POST", f"/files/team/p/{run}/file_stream", json.dumps(body))


def steps(*numbers):
    return [{"_step": n, "loss": 1.0} for n in numbers]


def test_recorded_traffic_of_the_real_client_replays_cleanly(server):
    for request in TRAFFIC:
        status, answer = send(server, request["method"], request["path"], request["body"])
        assert status == 200, (request["operation"], answer)
    assert server.violations == []
    run = server.runs("recorded")["online"]
    assert run.rows == [{"step": i, "loss": 1 / (i + 1)} for i in range(4)]
    assert (run.state, run.exitcode, run.results["final"]) == ("failed", 1, 0.5)
    assert run.settings == {"task": "digits(model='mlp')", "peak_lr": 0.1, "seed": 0}
    assert list(server.runs("recorded")) == ["online"]  # the other one was deleted
    (artifact,) = server.bank.artifacts
    assert (artifact.state, artifact.files) == ("COMMITTED", {"part-000.jsonl": b"{}\n"})
    assert server.bank.views == {}


def test_the_recording_names_no_key_and_covers_all_that_we_use_the_client_for(server):
    assert all(KEY not in json.dumps(request) for request in TRAFFIC)
    operations = {request["operation"] for request in TRAFFIC}
    assert operations >= {"UpsertBucket", "file_stream", "RunResumeStatus", "Runs", "RunParquetHistory", "DeleteRun"}
    assert operations >= {"CreateArtifact", "CommitArtifact", "upsertView", "SpecificReport", "ProjectViews"}


def test_each_operation_that_is_served_occurs_in_the_recording():
    assert served() <= {request["operation"] for request in TRAFFIC}


def test_rows_arrive_in_order_and_a_repeated_request_changes_nothing(server):
    ask(server, BUCKET, name="one", project="p")
    for _ in range(2):  # the second time as after a lost answer
        assert stream(server, HISTORY, steps(0, 1))[0] == 200
    assert stream(server, HISTORY, steps(1, 2), offset=1)[0] == 200
    assert [row["_step"] for row in server.runs("p")["one"].history] == [0, 1, 2]
    assert server.violations == []


@pytest.mark.parametrize(
    ("rows", "offset", "says"),
    [
        (steps(5), 3, "2 lines are there"),
        (steps(7), 1, "would overwrite"),
        (steps(1), 2, "duplicate or decreasing"),
        (steps(0), 2, "duplicate or decreasing"),
        (steps(3, 3), 2, "duplicate or decreasing"),
        ([{"loss": 1.0}], 2, "_step"),
    ],
)
def test_rows_out_of_order_are_refused(server, rows, offset, says):
    ask(server, BUCKET, name="one", project="p")
    stream(server, HISTORY, steps(0, 1))
    assert stream(server, HISTORY, rows, offset)[0] == 400
    assert [row["_step"] for row in server.runs("p")["one"].history] == [0, 1]
    assert says in server.violations[0]


def test_the_id_of_a_deleted_run_is_never_given_again(server):
    ask(server, BUCKET, name="one", project="p")
    identity = base64.b64encode(b"Run:team/p/one").decode()
    assert ask(server, DELETE, id=identity)[0] == 200
    assert ask(server, BUCKET, name="one", project="p")[0] == 409
    assert stream(server, HISTORY, steps(0))[0] == 404
    assert ask(server, DELETE, id=identity)[0] == 404
    assert server.runs("p") == {}
    assert server.violations == []  # users delete runs, so a deleted id is not the client's violation


@pytest.mark.parametrize(
    ("query", "variables", "says"),
    [
        ("query Secrets {viewer {id}}", {}, "unknown operation Secrets"),
        ("query project {viewer {id}}", {}, "unknown operation project"),
        ("query Viewer {viewer {shoeSize}}", {}, "unknown field 'shoeSize'"),
        ("query Viewer {viewer}", {}, "which of its fields"),
        ("query Viewer {viewer {id}}", {"x": 1}, "declares no variable x"),
        ("{viewer {id}}", {}, "may not begin"),
        (BUCKET, {"project": "p"}, "malformed"),
    ],
)
def test_unknown_operations_fields_and_variables_are_refused(server, query, variables, says):
    assert ask(server, query, **variables)[0] == 400
    assert says in server.violations[0]


@pytest.mark.parametrize("path", ["/graphql/", "/api", "/storage/run/team/p/one/never-asked-for"])
def test_unknown_addresses_are_refused(server, path):
    assert send(server, "PUT", path, "x")[0] == 400
    assert server.violations == [f"unknown address PUT {path}"]


@pytest.mark.parametrize("key", [None, "", "4" * 40])
def test_who_does_not_show_the_key_is_refused(server, key):
    assert send(server, "POST", "/graphql", json.dumps({"query": "query Viewer {viewer {id}}"}), key)[0] == 401
    assert "without the key" in server.violations[0]


@pytest.mark.parametrize("state", ["finished", "failed"])
def test_a_run_ends_with_the_exit_code_it_was_given(server, state):
    ask(server, BUCKET, name="one", project="p")
    stream(server, SUMMARY, [{"final": 1}], complete=True, exitcode=int(state == "failed"))
    run = server.runs("p")["one"]
    assert (run.state, run.results) == (state, {"final": 1})


def test_an_artifact_whose_bytes_are_not_those_of_its_digest_is_refused(server):
    requests = [r for r in TRAFFIC if r["operation"] in ("UpsertBucket", "CreateArtifact", "CreateArtifactFiles")]
    for request in requests:
        send(server, request["method"], request["path"], request["body"])
    assert send(server, "PUT", "/storage/file/0/part-000.jsonl", "other bytes")[0] == 400
    assert "not those of its digest" in server.violations[0]


def test_an_artifact_is_not_committed_before_its_files_are_whole(server):
    for request in TRAFFIC:
        if not request["path"].startswith("/storage/file/"):
            send(server, request["method"], request["path"], request["body"])
        if request["operation"] == "CommitArtifact":
            break
    assert server.bank.artifacts[0].state == "PENDING"
    assert "before part-000.jsonl is whole" in server.violations[0]


# ------------------------------------------------------------------------------------------------- faults


def test_a_server_that_is_down_refuses_connections_and_comes_back_at_the_same_address(server):
    port = server.port
    server.down()
    assert ask(server, BUCKET, name="one", project="p") is None
    server.up()
    assert server.port == port
    assert ask(server, BUCKET, name="one", project="p")[0] == 200


def test_a_server_dies_in_the_middle(server):
    server.die_after(2)
    answers = [ask(server, BUCKET, name=str(i), project="p") for i in range(4)]
    assert [answer is not None for answer in answers] == [True, True, False, False]
    assert list(server.runs("p")) == ["0", "1"]


def test_a_flaky_server_answers_429_and_500_and_does_nothing_then(server):
    server.flaky(0.5)
    codes = [ask(server, BUCKET, name=str(i), project="p")[0] for i in range(40)]
    assert set(codes) == {200, 429, 500}
    assert len(server.runs("p")) == codes.count(200)
    server.sound()
    assert ask(server, BUCKET, name="last", project="p")[0] == 200
    assert server.violations == []


def test_a_dropping_server_does_what_was_asked_and_answers_nothing(server):
    server.dropping(1.0)
    assert ask(server, BUCKET, name="one", project="p") is None
    assert list(server.runs("p")) == ["one"]


def test_many_clients_at_once_lose_nothing(server):
    def client(i):
        ask(server, BUCKET, name=str(i), project="p")
        for step in range(10):
            assert stream(server, HISTORY, steps(step), offset=step, run=str(i))[0] == 200

    threads = [threading.Thread(target=client, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(run.history) for run in server.runs("p").values()] == [10] * 8


# --------------------------------------------------------------------------------------------- the fixture


def test_no_real_host_is_within_reach_and_no_real_key_is_used(wandb_environment):
    with socket.socket() as wire, pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        wire.connect(("192.0.2.1", 80))
    settings = {name: os.environ[name] for name in os.environ if name.startswith("WANDB_") or "proxy" in name.lower()}
    assert settings["WANDB_API_KEY"] == KEY
    assert urlparse(settings["WANDB_BASE_URL"]).hostname == urlparse(settings["HTTPS_PROXY"]).hostname == "127.0.0.1"
    assert urlparse(settings["https_proxy"]).port == 9  # no server listens there

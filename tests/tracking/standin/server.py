"""A strict stand-in for the W&B server, on loopback.

It supports the requests of the real client (wandb 0.31, wandb-workspaces 0.4.13) and refuses all others: unknown
operations, fields and addresses, offsets out of order, steps that don't grow, ids of deleted runs. Each refusal that no
injected fault explains is added to `violations`, for which the fixture fails the test.
"""

import base64
import contextlib
import gzip
import json
import random
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

from tests.tracking.standin import document
from tests.tracking.standin.bank import ENTITY, Bank
from tests.tracking.standin.document import ProtocolError
from tests.tracking.standin.operations import Operations

KEY = "5" * 40
"""The key that clients must send; it has the form of W&B's keys."""


class StandIn:
    """The server, which starts when it is created.

    Attributes:
        url: Its address, the same after `down` and `up`.
        bank: Its data.
        violations: Descriptions of requests that violated the protocol.
        traffic: Every request in order: method, path, body and the answer's status.
    """

    def __init__(self):
        self.bank, self.violations, self.traffic = Bank(), [], []
        self.lock = threading.RLock()
        self.fault = None  # called with a request's path; answers None, a status, "drop" or "swallow"
        self.connections = set()
        self.server = None
        self.port = 0
        self.up()
        self.url = f"http://127.0.0.1:{self.port}"
        self.operations = Operations(self.bank, self.url)

    # ------------------------------------------------------------------------------- control and faults

    def up(self):
        """Listen; after `down`, at the same port."""
        if self.server is None:
            handler = type("Bound", (Handler,), {"home": self})
            self.server = Server(("127.0.0.1", self.port), handler)
            self.port = self.server.server_port
            threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self):
        """Refuse connections, and break those that are open."""
        if self.server is not None:
            server, self.server = self.server, None
            server.shutdown()
            server.server_close()
            for connection in list(self.connections):
                with contextlib.suppress(OSError):  # it is closed already
                    connection.shutdown(socket.SHUT_RDWR)

    def die_after(self, requests):
        """Go down after this many more answers."""
        remaining = iter(range(requests))

        def fault(path):
            if next(remaining, None) is None:
                threading.Thread(target=self.down, daemon=True).start()
                return "drop"
            return None

        self.fault = fault

    def flaky(self, share=0.5, codes=(429, 500), seed=0):
        """Answer a share of requests with one of these codes, until `sound`."""
        draw = random.Random(seed)
        self.fault = lambda path: draw.choice(codes) if draw.random() < share else None

    def dropping(self, share=0.5, seed=0):
        """Process a share of requests, but drop the connection instead of answering, until `sound`."""
        draw = random.Random(seed)
        self.fault = lambda path: "swallow" if draw.random() < share else None

    def far(self, seconds):
        """Delay each request, as if the server were far away."""
        self.fault = lambda path: time.sleep(seconds)

    def sound(self):
        """No more faults."""
        self.fault = None

    # ------------------------------------------------------------------------------------ contents

    def runs(self, project):
        """Runs of a project of the default entity, by id."""
        return {run.name: run for run in self.bank.at(ENTITY, project)}

    def delete(self, project, name):
        """Delete a run, as users do online."""
        with self.lock:
            self.bank.delete(f"{ENTITY}/{project}/{name}")

    def count(self, operation):
        """Number of requests for a GraphQL operation so far."""
        return sum(request["operation"] == operation for request in self.traffic)

    # ---------------------------------------------------------------------------------- responses

    def respond(self, method, path, body):
        """Status and answer (an object, or bytes) to one request."""
        note = {"method": method, "path": path, "operation": None, "body": body}
        with self.lock:
            self.traffic.append(note)
            try:
                code, answer = 200, self.serve(method, path, body, note)
            except ProtocolError as error:
                code, answer = error.code, {"errors": [{"message": error.reason}], "error": error.reason}
                if code == 400:
                    self.violations.append(error.reason)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                code, answer = 400, {"error": f"{type(error).__name__}: {error}"}
                self.violations.append(f"{note['operation'] or path}: malformed request ({answer['error']})")
            note["status"] = code
        return code, answer

    def serve(self, method, path, body, note):
        if method == "PUT" and path in self.operations.uploads:
            self.operations.uploads[path](body)
            return {}
        if method == "POST" and path == "/graphql":
            return self.graphql(json.loads(body), note)
        match = re.fullmatch("/files/([^/]+)/([^/]+)/([^/]+)/file_stream", path)
        if method == "POST" and match:
            note["operation"] = "file_stream"
            return self.file_stream(self.bank.run(*map(unquote, match.groups())), json.loads(body))
        raise ProtocolError(f"unknown address {method} {path}")

    def graphql(self, request, note):
        operation = document.read(request["query"])
        note["operation"] = operation.name
        variables = request.get("variables") or {}
        unknown = set(variables) - operation.variables
        # wandb always sends one of DeleteRun's variables, but declares it only sometimes.
        if unknown and operation.name != "DeleteRun":
            raise ProtocolError(f"{operation.name} declares no variable {', '.join(sorted(unknown))}")
        return {"data": document.answer(self.operations(operation.name, variables), operation.fields, operation.name)}

    def file_stream(self, run, request):
        unknown = set(request) - {"files", "complete", "exitcode", "dropped", "uploaded", "preempting"}
        if unknown:
            raise ProtocolError(f"{run.name}: unknown parts of a file stream {sorted(unknown)}")
        run.stream(request.get("files") or {}, self.violations.append)
        if request.get("complete"):
            run.exitcode = request["exitcode"]
            run.state = "finished" if run.exitcode == 0 else "failed"
        return {"exitcode": None, "limits": {}}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Ignore clients that disconnect."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    home: StandIn

    def log_message(self, *args):
        """Log nothing."""

    def setup(self):
        super().setup()
        self.home.connections.add(self.connection)

    def finish(self):
        self.home.connections.discard(self.connection)
        super().finish()

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def has_key(self):
        kind, _, word = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            word = base64.b64decode(word).decode().partition(":")[2]
        return word == KEY

    def do(self):
        body, path = self.body(), unquote(urlparse(self.path).path)
        fault = self.home.fault(path) if self.home.fault else None
        if fault == "drop":
            self.close_connection = True
            return
        if isinstance(fault, int):
            self.send(fault, {"error": "a fault, on purpose"})
            return
        if path.startswith("/storage/") or self.has_key():
            code, answer = self.home.respond(self.command, path, body)
        else:
            code, answer = 401, {"error": "who are you?"}
            self.home.violations.append(f"{self.command} {path} without the key")
        if fault == "swallow":
            self.close_connection = True
        else:
            self.send(code, answer)

    do_GET = do_POST = do_PUT = do

    def send(self, code, answer):
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

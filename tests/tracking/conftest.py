"""A stand-in W&B server for every test that requests one; the client can reach nothing else."""

import os
import socket
import sys

import pytest

from tests.runs import launch
from tests.tracking.commands import SUITE
from tests.tracking.standin.server import KEY, StandIn

FEW = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "cosine")
    read = ("none", "ema(decay=0.9)", "swa(share=0.5)")
    grid = Grid(task="digits", schedules=some, budgets=(0.05, 0.1), peak_lrs=(0.1, 1e30), seeds=1, averagings=read)
    return Suite("few", (grid,))
"""
"""24 cells, half of which diverge: forks, identical rides, averages."""


@pytest.fixture
def wandb_environment(tmp_path, monkeypatch):
    """W&B settings of this process and its children: a private folder, a dummy key, no real host."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR"):
        folder = tmp_path / "wandb" / name.lower()
        folder.mkdir(parents=True)
        monkeypatch.setenv(f"WANDB_{name}", str(folder))
    settings = {"API_KEY": KEY, "BASE_URL": "http://127.0.0.1:9", "SILENT": "true", "ERROR_REPORTING": "false"}
    for name, value in settings.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):  # any other host is behind a proxy that does not exist
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    return monkeypatch


def guarded(connect):
    """`connect`, restricted to this machine."""

    def local(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise AssertionError(f"a test tries to reach {address}")
        return connect(self, address)

    return local


@pytest.fixture
def standin(wandb_environment):
    """The server; a client that violates its protocol fails the test."""
    server = StandIn()
    wandb_environment.setenv("WANDB_BASE_URL", server.url)
    yield server
    if "wandb" in sys.modules:  # the client caches the server's answers, and keeps a service process
        sys.modules["wandb"].teardown()
    server.down()
    assert not server.violations


@pytest.fixture(scope="session")
def few(tmp_path_factory):
    """Directory of a run, which tests may read or copy."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "few.py").write_text(FEW)
    launch(folder / "few.py", "--out", folder / "out", "--workers", "1")
    return folder / "out"


@pytest.fixture
def patience(standin, monkeypatch):
    """Short retry intervals of the client, so that an outage of seconds stands for one of minutes."""
    settings = {"ENTITY": "team", "PROJECT": "p", "INIT_TIMEOUT": "5", "FINISH_TIMEOUT": "5"}
    settings |= {"X_FILE_STREAM_RETRY_WAIT_MIN_SECONDS": "0.1", "X_FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "1"}
    settings |= {"X_GRAPHQL_RETRY_WAIT_MIN_SECONDS": "0.1", "X_GRAPHQL_RETRY_WAIT_MAX_SECONDS": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"WANDB_{name}", value)


@pytest.fixture
def suite(tmp_path):
    """Write a suite file with a number of seeds."""

    def make(seeds):
        (tmp_path / "tiny.py").write_text(SUITE.format(seeds))
        return tmp_path / "tiny.py"

    return make

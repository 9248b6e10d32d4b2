"""The cluster, one for all tests, and the results of their suite from a single process."""

import pytest

from tests.runs import launch
from tests.slurm.local_cluster import Cluster

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "cosine", "plateau(patience=1)", "wsd")
    few = {"schedules": some, "budgets": (0.5, 1.0), "peak_lrs": (0.1,), "seeds": 12}
    return Suite("array", (Grid(task="linreg", **few), Grid(task="quadratic", **few)))
"""
"""24 cohorts of about a second: one for each array task."""


@pytest.fixture(scope="session")
def cluster():
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """(suite file, directory of one process's run), under names that shells and SLURM could stumble over."""
    folder = tmp_path_factory.mktemp("cluster") / """it's "24" täsks, 100 % of $HOME"""
    folder.mkdir()
    suite = folder / "array.py"
    suite.write_text(SUITE)
    launch(suite, "--out", folder / "one", "--workers", 1)
    return suite, folder / "one"

"""A requeued job and the leases of its earlier run, on a node that may have vanished."""

import json

import pytest

from bench.ledger import leases


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A directory where job 5, at its first start, took a lease on a cohort on another machine."""
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "c")
    lease = leases.take(tmp_path, "cohort")
    lease.path.write_text(json.dumps(json.loads(lease.path.read_text()) | {"machine": "another"}))
    return tmp_path


def test_a_requeued_job_takes_over_the_leases_of_its_earlier_run(elsewhere, monkeypatch):
    assert leases.take(elsewhere, "cohort") is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert leases.standing(elsewhere) == {}
    assert leases.take(elsewhere, "cohort") is not None


@pytest.mark.parametrize("other", [{"SLURM_JOB_ID": "6"}, {"SLURM_CLUSTER_NAME": "d"}, {"SLURM_JOB_ID": None}])
def test_other_jobs_wait_for_the_lease(elsewhere, monkeypatch, other):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    for name, value in other.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    assert leases.take(elsewhere, "cohort") is None

"""No key appears in any file or output, whether all goes well or not."""

import pytest

from tests.tracking.commands import online, publish
from tests.tracking.mirrors import assert_mirrors
from tests.tracking.standin.server import KEY

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("patience")]

FOREIGN = "Zq7" * 14
"""A key of the right form that is not the server's."""


def assert_secret(key, folder, *results):
    """Assert that a key is in no file below a folder, and not in the output of the processes that wrote there."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert [str(path) for path in files if key.encode() in path.read_bytes()] == []
    assert all(key not in text for result in results for text in (result.stdout, result.stderr))


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files inside the test's folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))


def test_no_key_is_written_or_printed_where_all_goes_well(standin, suite, tmp_path, temporary):
    out = tmp_path / "out"
    trained = online(suite(1), out)
    published = publish(out, "--report")
    assert_mirrors(standin, out, "p")
    assert_secret(KEY, tmp_path, trained, published)
    assert all(KEY.encode() not in request["body"] for request in standin.traffic)


def test_no_key_is_written_or_printed_where_the_server_refuses_it(standin, suite, tmp_path, temporary, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", FOREIGN)
    out = tmp_path / "out"
    trained = online(suite(1), out)
    published = publish(out, check=False)
    assert "are not there yet" in trained.stdout
    assert (published.returncode, "Traceback" in published.stderr) == (1, False)
    assert_secret(FOREIGN, tmp_path, trained, published)
    assert standin.runs("p") == {}
    assert set(standin.violations) == {"POST /graphql without the key"}  # as expected
    standin.violations.clear()


def test_a_malformed_key_is_bad_input_before_any_training(standin, few, suite, tmp_path, temporary, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", FOREIGN[:20])
    trained = online(suite(1), tmp_path / "out", check=False)
    published = publish(few, check=False)
    for result in (trained, published):
        assert result.returncode == 2
        (line,) = result.stderr.strip().splitlines()
        assert "no W&B key of the right form" in line
    assert list((tmp_path / "out").glob("ledger/*.jsonl.gz")) == []
    assert_secret(FOREIGN[:20], tmp_path, trained, published)

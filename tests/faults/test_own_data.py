"""Data of one's own by relative paths: trained by worker processes, and read again from other folders."""

import pytest

from bench.cli import main
from bench.ledger import ledger
from tests.runs import payloads
from tests.tasks import own_trees

pytestmark = pytest.mark.faults

TASKS = "table('mine/t.csv', columns=['a', 'b', 'colour']), imagefolder('mine/bugs', size=16, batch_size=16)"
COMMON = ("smoke", "--schedules", "constant, cosine", "--epochs", "2", "--seeds", "2", "--peak-lrs", "0.03")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    own_trees.write(tmp_path / "mine" / "t.csv", own_trees.numbers())
    own_trees.plant_images(tmp_path / "mine" / "bugs")
    monkeypatch.delenv(own_trees.ROOT, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(out, *more):
    assert main.main(["run", *COMMON, "--tasks", TASKS, "--out", str(out), *more]) == 0


def test_workers_other_folders_and_changed_data(folder, monkeypatch, capsys):
    run(folder / "one", "--workers", "1")
    run(folder / "two", "--workers", "2")
    assert payloads(folder / "one") == payloads(folder / "two")
    names = {r.payload["task"] for r in ledger.read(folder / "one") if r.kind == "cell"}
    table = f"table({str(folder / 'mine/t.csv')!r}, kind='classification', columns=['a', 'b', 'colour'])"
    images = f"imagefolder({str(folder / 'mine/bugs')!r}, size=16, batch_size=16)"
    assert names == {table, images}
    again = ["run", *COMMON, "--tasks", f"{table}, {images}", "--out", str(folder / "one")]
    monkeypatch.chdir("/")
    capsys.readouterr()
    assert main.main(again) == 0
    assert "nothing to train" in capsys.readouterr().out
    own_trees.write(folder / "mine" / "t.csv", own_trees.numbers(key=1))
    (folder / "mine" / "bugs" / "ants" / "00.png").unlink()
    assert main.main(["report", str(folder / "two")]) == 0  # from the ledger alone
    for loaded in ("tasks.own.table", "tasks.own.imagefolder"):
        forget(loaded)
    assert main.main(again) == 2
    assert "data" in capsys.readouterr().err


def forget(module):
    """What a process would not know that begins now."""
    import importlib

    importlib.import_module(module)._loaded.cache_clear()

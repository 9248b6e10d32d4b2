"""Final weights that are kept: read in a plain model they score as the ledger says, and keeping changes nothing."""

import dataclasses

import pytest
import torch

from bench.engine import evaluation
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from bench.ledger import ledger, paths
from bench.ledger.rows import WeightsRow, of_kind
from bench.train import weights
from tests.engine.toys import create, drive, toy
from tests.train.test_averages import AVERAGED, PLAIN, TASK, kind, train

FREE = dataclasses.replace(PLAIN, schedules=("constant",), optimizer="schedulefree_sgd(momentum=0.9)")


def kept(out):
    return of_kind(ledger.read(out, kinds=(WeightsRow.kind,)), WeightsRow)


def names(out):
    return sorted(path.name for path in weights.files(out))


def reading(out, row, seed):
    """Scores on test of a plain model with these weights, by hand."""
    loader = Loader(TASK, seed)
    model = initial_model(loader).eval()
    model.load_state_dict(weights.read(out, row))
    chunks, target = loader.split("test")
    with torch.no_grad():
        outputs = [model(*inputs) for inputs in chunks]
    return {k: v for k, v in evaluation.score(TASK, outputs, target).items() if k != "finite"}


@pytest.mark.parametrize(
    ("name", "grids"), [("modules", (PLAIN, AVERAGED)), ("stacked", (PLAIN, AVERAGED)), ("modules", (FREE,))]
)
def test_kept_weights_score_as_the_ledger_says_and_equal_rides_share_a_file(tmp_path, one_thread, name, grids):
    bare = train(tmp_path / "bare", *grids, name=name)
    rows = train(tmp_path / "out", *grids, name=name, keep=True)
    assert rows == bare
    assert not names(tmp_path / "bare")
    cells, files, rides = kind(rows, "cell"), kept(tmp_path / "out"), {}
    assert files.keys() == cells.keys()
    for cell, row in cells.items():
        scores = reading(tmp_path / "out", files[cell], row["seed"])
        assert scores == (row["final"] if name == "modules" else pytest.approx(row["final"], rel=1e-5))
        assert scores["accuracy"] == row["final"]["accuracy"]
        ride = row["segment"], row["total"], row.get("averaging", "none")
        assert rides.setdefault(ride, files[cell].sha256) == files[cell].sha256
    assert names(tmp_path / "out") == sorted(f"{sha256}.safetensors" for sha256 in {f.sha256 for f in files.values()})
    assert len(rides) < len(cells) or len(grids) == 1


@pytest.mark.parametrize("name", ["modules", "stacked"])
def test_stopped_anywhere_the_same_files_are_kept(tmp_path, one_thread, name):
    grid = dataclasses.replace(AVERAGED, averagings=("none", "ema(decay=0.8)"), budgets=(0.15, 0.5))
    train(tmp_path / "whole", grid, name=name, keep=True)
    train(tmp_path / "stopped", grid, name=name, keep=True, stops=(2, 3, 8))
    assert kept(tmp_path / "stopped") == kept(tmp_path / "whole")
    assert names(tmp_path / "stopped") == names(tmp_path / "whole")


@pytest.mark.parametrize("name", ["stacked", "rowwise"])
def test_rows_are_the_members_of_the_other_engine(name):
    (plain, loader), (stacked, _) = (create(each, toy()) for each in ("modules", name))
    for trained in (plain, stacked):
        drive(trained, loader, 14, 0.1)
    for row in range(3):
        for recipe in (None, (("", 1.0),)):
            one, other = plain.weights(row, recipe), stacked.weights(row, recipe)
            assert one.keys() == other.keys()
            torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-12)
    assert not torch.equal(plain.weights(0, None)["inside.weight"], plain.weights(1, None)["inside.weight"])


def test_a_digest_that_differs_and_a_missing_file_are_refused(tmp_path):
    file = weights.write(tmp_path, {"a": torch.zeros(3)})
    row = WeightsRow(cell="c", sha256=file.sha256, size=file.size)
    assert torch.equal(weights.read(tmp_path, row)["a"], torch.zeros(3))
    path = paths.weights(tmp_path, file.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(weights.InputError, match="is damaged"):
        weights.read(tmp_path, row)
    path.unlink()
    with pytest.raises(weights.InputError, match="is missing"):
        weights.read(tmp_path, row)

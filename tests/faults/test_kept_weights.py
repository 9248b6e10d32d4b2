"""Kept weights over kills, beside workers, and in a process that has torch alone; programs of models."""

import json
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from bench.contract import InputError
from bench.export import formats
from bench.ledger import ledger
from bench.train import weights
from tasks.image.digits import load_digits
from tasks.text.bert import Bert
from tests.export.test_formats import pieces
from tests.faults.test_kill import await_change, begin, kill, snapshots
from tests.runs import ROOT, payloads

pytestmark = pytest.mark.faults

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "cosine", "wsd")
    grid = {"schedules": some, "averagings": ("none", "ema"), "budgets": (0.1, 0.2), "seeds": 2}
    return Suite("keep", (
        Grid(task="digits(model='cnn')", peak_lrs=(0.02, 0.05), **grid),
        Grid(task="digits", peak_lrs=(0.1, 0.2), **grid),
    ))
"""
ALONE = """
import json, sys
import numpy as np, torch
from safetensors.torch import load_file

torch.set_num_threads(1)
folder = sys.argv[1]
x, y = (torch.from_numpy(np.load(f"{folder}/../{name}.npy")) for name in "xy")
program = torch.export.load(f"{folder}/model.pt2").module()
mlp = torch.nn.Sequential(
    torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
)
cnn = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3, padding=1, bias=False), torch.nn.BatchNorm2d(16), torch.nn.ReLU(),
    torch.nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), torch.nn.BatchNorm2d(32), torch.nn.ReLU(),
    torch.nn.Flatten(), torch.nn.Linear(512, 10),
).to(memory_format=torch.channels_last)
module = (mlp if "1.weight" in load_file(f"{folder}/model.safetensors") and "4.weight" not in
    load_file(f"{folder}/model.safetensors") else cnn).eval()
module.load_state_dict(load_file(f"{folder}/model.safetensors"))
scores = []
with torch.no_grad():
    for model in (program, module):
        logits = torch.cat([model(part) for part in torch.split(x, 256)])
        loss = torch.nn.functional.cross_entropy(logits.double(), y).item()
        scores.append({"accuracy": (logits.argmax(1) == y).double().mean().item(), "loss": loss})
assert not {"bench", "tasks", "schedules", "timm", "transformers"} & set(sys.modules)
print(json.dumps(scores))
"""


def glideslope(*arguments):
    command = [sys.executable, "-m", "bench.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kept(out):
    rows = {r.key: r.payload for r in ledger.read(out) if r.kind == "weights"}
    return rows, {path.name: path.read_bytes() for path in weights.files(out)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run by one worker, uninterrupted."""
    folder = tmp_path_factory.mktemp("keep")
    (folder / "keep.py").write_text(SUITE)
    process = begin(folder / "keep.py", folder / "out", "--workers", 1, "--keep", "best")
    assert process.wait(600) == 0
    return folder


def test_killed_and_resumed_by_two_workers_it_keeps_the_same_files(whole):
    out, chance, kills = whole / "killed", random.Random(17), 0
    options = ("--workers", 2, "--keep", "best", "--snapshot-seconds", 0.03)
    while kills < 4:
        process = begin(whole / "keep.py", out, *options)
        look = snapshots if kills % 2 else weights.files
        if not await_change(look, out, process):
            break
        time.sleep(chance.uniform(0, 0.1))
        kill(process)
        kills += 1
    assert kills >= 3
    assert begin(whole / "keep.py", out, *options).wait(600) == 0
    assert payloads(out) == payloads(whole / "out")
    assert kept(out) == kept(whole / "out")
    assert kept(out)[1]


@pytest.mark.parametrize("task", ["digits(model='cnn')", "digits"])
def test_in_a_process_with_torch_alone_the_score_is_the_ledgers(whole, tmp_path, task):
    text = glideslope("export", whole / "out", "--task", task, "--to", tmp_path / "model", "--format", "torch-export")
    assert "as in the ledger to the last bit" in text
    test = load_digits().test
    np.save(tmp_path / "x.npy", test.inputs[0])
    np.save(tmp_path / "y.npy", test.target[0])
    command = [sys.executable, "-I", "-c", ALONE, str(tmp_path / "model")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    config = json.loads((tmp_path / "model" / "config.json").read_text())["glideslope"]
    (row,) = [r.payload for r in ledger.read(whole / "out") if (r.kind, r.key) == ("cell", config["cell"])]
    program, module = json.loads(done.stdout)
    assert program == module == config["scores"]
    assert module["accuracy"] == row["final"]["accuracy"]
    assert row["engine"] == "stacked" or module == row["final"]


def test_a_model_trained_on_all_data_is_the_same_over_a_kill(whole, tmp_path):
    options = ("train", "--recommended", whole / "out", "--task", "digits", "--epochs", 20, "--to")
    text = glideslope(*options, tmp_path / "one")
    assert "1,397 examples: train and control together" in text
    command = [sys.executable, "-m", "bench.cli", *map(str, options), str(tmp_path / "two")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        assert await_change(lambda out: (out / "training" / "claims").exists(), tmp_path / "two", process)
        time.sleep(0.3)
        kill(process)
    assert not (tmp_path / "two" / "README.md").exists()
    glideslope(*options, tmp_path / "two")
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert models[0] == models[1]
    assert "train 1,397" in (tmp_path / "two" / "README.md").read_text()


def test_a_program_takes_any_number_of_examples_and_of_pieces(tmp_path, one_thread):
    model = Bert(20, 8).eval()
    program = formats.save_program(tmp_path, model, (pieces(2, 8),))
    with torch.no_grad():
        for rows in (pieces(5, 8), pieces(1, 6)):
            torch.testing.assert_close(program(rows), model(rows))
            assert torch.equal(program(rows), model(rows))


class Fickle(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


def test_a_model_that_has_no_program_is_told_in_one_line(tmp_path):
    with pytest.raises(InputError, match="--format torch-export is not possible for this model") as error:
        formats.save_program(tmp_path, Fickle(6, 3), (torch.ones(2, 6),))
    assert "\n" not in str(error.value)


def test_onnx_takes_any_number_of_examples(tmp_path, one_thread):
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU()).eval()
    formats.save_onnx(tmp_path, model, (torch.ones(2, 6),))
    (given,) = onnx.load(tmp_path / formats.ONNX).graph.input
    first, second = given.type.tensor_type.shape.dim
    assert first.dim_param
    assert second.dim_value in (0, 6)

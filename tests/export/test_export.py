"""Models taken home: chosen cells are kept, an export scores as the ledger says, and what can't be is told."""

import json
import shutil
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from bench import extras
from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.cli import main
from bench.contract import InputError
from bench.engine import evaluation
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from bench.export import hub, winner
from bench.ledger import ledger, paths
from bench.ledger.deposit import deposit
from bench.ledger.rows import WeightsRow, of_kind
from bench.runner import kept_weights
from bench.train import weights
from tests.analysis.rows import ledger as made
from tests.analysis.rows import task as facts
from tests.export.runs import DIGITS, run
from tests.tasks import own_trees

CNN = "digits(model='cnn')"

NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(3 * 8 * 8, classes))
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run with `--keep best`, and the line that it prints."""
    out = tmp_path_factory.mktemp("kept") / "out"
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield out, run(out, **DIGITS)
    torch.set_num_threads(before)


def export(directory, *arguments, code=0, capsys=None):
    assert main.main(["export", str(directory), *map(str, arguments)]) == code
    return capsys and capsys.readouterr()


def test_one_file_is_kept_of_each_strategy_and_budget_chosen_on_control_alone(kept):
    out, line = kept
    rows = ledger.read(out)
    study, files = Study.of(rows), of_kind(rows, WeightsRow)
    assert len(files) == len(study.tries) == 32
    wanted = set()
    for (task, budget, strategy), tries in study.blocks.items():
        score = Comparison(study).at(task, budget)[strategy].score
        best = max((t for t in tries if t.peak_lr == score.pick), key=lambda t: (t.control, -t.seed))
        wanted.add(files[best.cell].sha256)
    assert {path.stem for path in weights.files(out)} == wanted
    assert line.startswith(f"Weights of 8 cells: {len(wanted)} files")


def test_what_is_settled_again_stays_and_what_a_kill_left_goes(kept):
    out, _ = kept
    before = weights.files(out)
    torn = paths.weights(out, "0" * 64)
    torn.with_name(f".{torn.name}.1a2b").write_bytes(b"half")
    kept_weights.settle(out, "best")
    assert weights.files(out) == before


def test_nothing_is_removed_while_a_cell_is_missing(kept, tmp_path):
    out, _ = kept
    rows = [r for r in ledger.read(out) if r.kind in ("plan", "cell", "weights")]
    last = next(r for r in reversed(rows) if r.kind == "cell")
    deposit(tmp_path, [r for r in rows if r != last])
    spare = weights.write(tmp_path, {"a": torch.zeros(1)})
    assert "when no cell is missing" in kept_weights.settle(tmp_path, "best")
    assert paths.weights(tmp_path, spare.sha256).exists()


@pytest.mark.parametrize("strategy", ["constant", "cosine with ema(decay=0.99)", None])
def test_an_exported_model_scores_as_the_ledger_says(kept, tmp_path, capsys, strategy):
    out, _ = kept
    options = [] if strategy is None else ["--strategy", strategy]
    said = export(out, "--task", CNN, *options, "--to", tmp_path / "model", capsys=capsys).out
    assert "as in the ledger to the last bit" in said
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    config = json.loads((tmp_path / "model" / "config.json").read_text())["glideslope"]
    (row,) = [r.payload for r in ledger.read(out) if (r.kind, r.key) == ("cell", config["cell"])]
    assert config["scores"] == config["ledger"] == row["final"]
    assert strategy is None or config["schedule"] == row["schedule"] == strategy.partition(" ")[0]
    assert config["inputs"] == [{"shape": ["examples", 1, 8, 8], "dtype": "float32"}]
    card = (tmp_path / "model" / "README.md").read_text()
    for text in ("over n = 2 seeds", "majority class: 0.1", "CC BY 4.0", row["schedule"], row["cell"], "torch 2."):
        assert text in card
    # By hand, from the file alone.
    from tasks.image.digits import digits

    loader = Loader(digits("cnn"), 7)  # other initial weights
    model = initial_model(loader).eval()
    model.load_state_dict(load_file(tmp_path / "model" / "model.safetensors"))
    chunks, target = loader.split("test")
    with torch.no_grad():
        outputs = [model(*inputs) for inputs in chunks]
    assert evaluation.score(loader.task, outputs, target) == row["final"] | {"finite": 1.0}


FACTS = facts(("constant", "cosine"), (0.5, 1.0), peak_lrs=(0.1, 0.3), seeds=2, epochs=30)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A ledger without weights, in which one strategy diverged."""
    out = tmp_path_factory.mktemp("bare")

    def outcome(name, strategy, budget, peak_lr, seed):
        return None if strategy == "cosine" else (0.9, 0.9, 0.9)

    deposit(out, made({"digits": FACTS}, outcome))
    return out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "digits"], "holds no weights: run again with another --out and --keep best, or train one model"),
        ([], "holds no weights"),
        (["--task", "digit"], "has no task 'digit' (did you mean digits?)"),
        (["--task", "vowels"], "has no task 'vowels'; there are: digits"),
        (["--task", "digits", "--strategy", "constat"], "no strategy 'constat' on digits (did you mean constant?)"),
        (["--task", "digits", "--budget", "0.3"], "--budget 0.3: digits was run at 0.5, 1"),
        (["--task", "digits", "--seed", "5"], "--seed 5: constant on digits, budget 1, was run with the seeds 0, 1"),
        (["--task", "digits", "--strategy", "cosine"], "it diverged, so there are no final weights"),
        (["--task", "digits", "--format", "onnx"], "needs onnx"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(bare, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name.startswith("onnx") else name)
    error = export(bare, *options, "--to", tmp_path / "model", code=2, capsys=capsys).err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_of_several_tasks_one_is_to_be_named(tmp_path, capsys):
    deposit(tmp_path / "out", made({"digits": FACTS, "vowels": FACTS}))
    error = export(tmp_path / "out", "--to", tmp_path / "model", code=2, capsys=capsys).err
    assert "has several tasks: name one with --task; there are: digits, vowels" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "vowels", "--epochs", "3"], "has no strategy with a result on vowels; its tasks are: digits"),
        (["--task", "digit", "--epochs", "3"], "unknown task 'digit' (did you mean digits?)"),
        (["--task", "digits", "--epochs", "0"], "--epochs 0: give a number above 0"),
        (["--task", "digits", "--epochs", "3", "--seed", "-1"], "--seed -1: give 0 or more"),
        (["--task", "digits", "--epochs", "3", "--format", "onnx"], "needs onnx"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line(bare, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name.startswith("onnx") else name)
    assert main.main(["train", "--recommended", str(bare), *options, "--to", str(tmp_path / "model")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_the_folder_of_another_training_is_not_continued(bare, tmp_path, capsys):
    deposit(tmp_path / "model" / "training", made({"digits": FACTS}))
    words = ["--task", "digits", "--epochs", "3", "--to", str(tmp_path / "model")]
    assert main.main(["train", "--recommended", str(bare), *words]) == 2
    assert "holds another training" in capsys.readouterr().err


def test_a_folder_in_use_a_seed_not_kept_and_damaged_weights_are_refused(kept, tmp_path, capsys):
    out, _ = kept
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    assert "is not empty" in export(out, "--task", CNN, "--to", tmp_path / "used", code=2, capsys=capsys).err
    shutil.copytree(out, tmp_path / "copy")
    find = partial(winner.find, tmp_path / "copy")
    own = find(winner.Request(CNN, "constant"))
    other = 1 - own.cell.settings.seed
    assert find(winner.Request(CNN, "constant", seed=1 - other)).cell == own.cell
    with pytest.raises(InputError, match=f"weights are kept of seed {1 - other} alone; --keep all keeps every seed's"):
        find(winner.Request(CNN, "constant", seed=other))
    path = paths.weights(tmp_path / "copy", own.file.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    arguments = ("--task", CNN, "--strategy", "constant", "--to", tmp_path / "model")
    assert "is damaged" in export(tmp_path / "copy", *arguments, code=2, capsys=capsys).err
    path.unlink()
    assert "its weights are not kept" in export(tmp_path / "copy", *arguments, code=2, capsys=capsys).err
    assert not (tmp_path / "model").exists()


def test_push_uploads_the_folder_only_when_asked_to(tmp_path, monkeypatch):
    calls = []

    class Stub:
        def create_repo(self, name, exist_ok):
            calls.append(("create", name))
            return type("Url", (str,), {"repo_id": name})(f"https://hub/{name}")

        def upload_folder(self, **settings):
            calls.append(("upload", settings["repo_id"], settings["folder_path"], settings["ignore_patterns"]))

    monkeypatch.setattr("huggingface_hub.HfApi", Stub)
    assert hub.push(tmp_path, "me/mine") == "https://hub/me/mine"
    assert calls == [("create", "me/mine"), ("upload", "me/mine", tmp_path, ["training/**"])]


def test_a_model_of_ones_own_data_tells_classes_and_preprocessing(tmp_path, capsys, monkeypatch):
    own_trees.expect(monkeypatch, tmp_path)
    own_trees.plant_images(tmp_path / "pets", {"ants": 30, "bees": 30})
    (tmp_path / "net.py").write_text(NET)
    task = f"imagefolder('pets', size=8, batch_size=8, model='{tmp_path}/net.py:Net')"
    run(tmp_path / "out", tasks=task, schedules="constant", budgets=(0.1,), peak_lrs=(0.02,), seeds=1)
    export(tmp_path / "out", "--task", task, "--to", tmp_path / "model", capsys=capsys)
    config = json.loads((tmp_path / "model" / "config.json").read_text())["glideslope"]
    assert config["classes"] == ["ants", "bees"]
    assert config["model"].startswith(f"{tmp_path}/net.py:Net@")
    data, given = config["preprocessing"]
    assert "tasks.own.imagefolder._read('pets', 8, True)" in data
    assert "ImageOps.fit(image, (S, S), Image.Resampling.BILINEAR)" in data
    assert "mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)" in given
    assert "(x / 255 - mean) / std for each channel" in given
    assert "- classes: ants, bees" in (tmp_path / "model" / "README.md").read_text()

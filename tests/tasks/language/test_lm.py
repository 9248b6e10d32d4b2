"""`lm`: corpora in published layouts, tokenizers, shards and models, and what is refused in one line."""

import json

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import tasks
from bench.contract import InputError, Move
from bench.engine import dry_run
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from tasks.data.dataset import ROOT
from tasks.language import rows
from tests.engine.toys import create
from tests.tasks import corpora

SIZES = {"vocab_size": 64, "max_position_embeddings": 32, "hidden_size": 16, "num_hidden_layers": 1}
SIZES |= {"num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, one_thread):
    """The folder of the data."""
    monkeypatch.setenv(ROOT, str(tmp_path))
    return tmp_path


def task(*folder, **settings):
    settings = {"context": 16, "batch": 64} | settings
    return tasks.parse(f"lm({', '.join([*map(repr, map(str, folder)), *(f'{k}={v!r}' for k, v in settings.items())])})")


def text_of(split):
    """The bytes of a split's rows, joined without the ids that two rows share."""
    return b"".join(row[1:].tobytes() for row in split.inputs[0])


def checkpoint(folder, kind="Llama", mark="<end>", **settings):
    """A causal model of a kind at initial weights, with a tokenizer of words."""
    config = getattr(transformers, f"{kind}Config")(**(SIZES | settings))
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel(unk_token="<none>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["<none>", mark])
    words.train_from_iterator(corpora.sentences(0), trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<none>", eos_token=mark)
    fast.save_pretrained(folder)
    return folder


# ------------------------------------------------------------------------------------------------- layouts


def test_parts_that_are_named_are_the_splits(place):
    """WikiText's tables, its raw files, and SlimPajama's folders of chunks."""
    split = {"train": range(4), "validation": (4,), "test": (5,)}
    for part, seeds in split.items():
        for n, seed in enumerate(seeds):
            lines = corpora.sentences(seed)
            corpora.table(place / "tables" / f"{part}-{n:05d}-of-{len(seeds):05d}.parquet", lines)
            corpora.jsonl(place / "chunks" / part / f"chunk{n}" / f"example_{n}.jsonl.gz", lines, packed=True)
            raw = {"validation": "valid"}.get(part, part)
            (place / "raw").mkdir(exist_ok=True)
            (place / "raw" / f"wiki.{raw}.{n}.tokens").write_text("".join(lines))
    first, *others = (task(name).load() for name in ("tables", "chunks", "raw"))
    assert all(same_rows(first, other) for other in others)
    for part, seed in (("control", 4), ("test", 5)):
        whole = "".join(corpora.sentences(seed)).encode()
        assert text_of(getattr(first, part)) in whole
    assert len(text_of(first.train)) > 3 * len(text_of(first.test))


def same_rows(one, other):
    return all(np.array_equal(a.inputs[0], b.inputs[0]) for a, b in zip(one, other, strict=True))


def test_a_table_alone_is_split_by_document(place):
    documents = [f"{i} {line.strip()}" for i, line in enumerate(corpora.sentences(1, 300))]
    corpora.jsonl(place / "corpus.jsonl", documents)
    data = task(place / "corpus.jsonl").load()
    for name, split in zip(("train", "control", "test"), data, strict=True):
        own = "".join(f"{d}\0" for d in documents if rows.of_document(d) == name).encode()
        assert len(split.inputs[0]) == (len(own) - 1) // 16
        assert all(row.tobytes() in own for row in split.inputs[0])


def test_shards_are_read_with_and_without_a_header_and_as_arrays(place):
    ids = [np.random.default_rng(i).integers(0, 1000, 600) for i in range(3)]
    for i, part in enumerate(("train_0", "train_1", "val_0")):
        corpora.shard(place / "raw" / f"{part}.bin", ids[i])
        corpora.shard(place / "wide" / f"{part}.bin", ids[i], "<u4")
        corpora.shard(place / "header" / f"{part}.bin", ids[i], "<u2", (20240520, 1, 600))
        (place / "arrays").mkdir(exist_ok=True)
        np.save(place / "arrays" / f"{part}.npy", ids[i].astype(np.uint32))
    settings = {"tokenizer": "ids", "vocabulary": 1000}
    raw, header, arrays = (task(name, **settings).load() for name in ("raw", "header", "arrays"))
    wide = task("wide", dtype="uint32", **settings).load()
    assert np.array_equal(raw.test.inputs[0], np.stack([ids[2][i : i + 17] for i in range(0, 577, 16)]))
    assert raw.test.inputs[0].dtype == np.int16
    assert raw.digest() == header.digest() == wide.digest()
    assert np.array_equal(arrays.test.inputs[0], raw.test.inputs[0])


def test_a_pass_is_of_so_many_tokens(place):
    corpora.plant(place, "lm")
    few, every = (task(tokens=tokens).load() for tokens in (1600, 0))
    assert len(few.train) <= 100 < len(every.train)
    assert np.array_equal(few.test.inputs[0], every.test.inputs[0])
    with pytest.raises(InputError, match=r"lm: tokens=1,000,000, and .* has .* for training: give fewer, or 0"):
        task(tokens=1_000_000).load()


# -------------------------------------------------------------------------------------------------- models


@pytest.mark.parametrize("scratch", [True, False])
def test_a_causal_model_of_transformers_trains_by_the_loss_that_it_computes_itself(place, scratch):
    corpora.plant(place, "lm")
    folder = checkpoint(place / "models" / "little", attention_dropout=0.5)
    trial = task(model="little", scratch=scratch)
    dry_run.check(trial)
    assert trial.metric == "loss"
    trained, loader = create("modules", trial, dtype=torch.float32)
    (ids,), target = loader.batch(0)
    member = trained.members[0].model
    own = member.body.body(input_ids=ids.long(), labels=ids.long()).loss
    assert trial.loss(member(ids), target).item() == pytest.approx(own.item(), rel=1e-5)
    for k in range(3):
        trained.look(loader.batch(k), k)
        trained.move([Move(0.01)])
    stored = transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict()
    fresh = initial_model(loader).body.body.state_dict()
    assert all(torch.equal(fresh[name], stored[name]) for name in stored) == (not scratch)


def test_settings_of_ties_and_z_loss_reach_the_model_and_the_loss(place):
    corpora.plant(place, "lm")
    checkpoint(place / "models" / "little")
    for model in ({}, {"model": "little", "scratch": True}):
        counts = [sum(p.numel() for p in task(tied=tied, **model).model().parameters()) for tied in (True, False)]
        assert counts[1] > counts[0]
    plain, weighted = task(), task(z_loss=0.1)
    loader = Loader(weighted, 0)
    model = initial_model(loader)
    (ids,), target = loader.batch(0)
    assert weighted.loss(model(ids), target) > plain.loss(model(ids), target)
    assert weighted.score(model(ids), target) == plain.score(model(ids), target)


# -------------------------------------------------------------------------------------------- refused corpora


def empty(place):
    (place / "lm").mkdir()
    (place / "lm" / "a.txt").touch()


def binary(place):
    corpora.texts(place / "lm")
    for file in (place / "lm").iterdir():
        file.write_bytes(b"MZ\0\1" * 100)


def latin(place):
    corpora.texts(place / "lm")
    for file in (place / "lm").iterdir():
        file.write_bytes("Zürich\n".encode("latin-1") * 100)


def short(place):
    (place / "lm").mkdir()
    for i in range(4):
        (place / "lm" / f"{i}.txt").write_text(f"{i} is short")


def alone(place):
    corpora.texts(place / "lm", 1)


def unnamed(place):
    for i in range(4):
        corpora.jsonl(place / "lm" / f"{i}.jsonl", corpora.sentences(i), column="content")


def other_column(place):
    for i in range(4):
        corpora.table(place / "lm" / f"{i}.parquet", corpora.sentences(i), column="content")


def torn(place):
    corpora.jsonl(place / "lm" / "a.jsonl", corpora.sentences(1))
    for i in range(3):
        (place / "lm" / f"{i}.jsonl").write_text('{"text": "half')


def numbers(place):
    for i in range(4):
        corpora.jsonl(place / "lm" / f"{i}.jsonl", [1, 2, 3])


def odd(place):
    for i in range(3):
        corpora.shard(place / "lm" / f"{i}.bin", np.arange(100), "u1")
        (place / "lm" / f"{i}.bin").write_bytes(b"\1" * 101)


def beyond(place):
    for i in range(3):
        corpora.shard(place / "lm" / f"{i}.bin", np.arange(1000) % 300)


def cut_short(place):
    for i in range(3):
        corpora.shard(place / "lm" / f"{i}.bin", np.arange(100), header=(20240520, 1, 999))


def planes(place):
    (place / "lm").mkdir()
    for i in range(3):
        np.save(place / "lm" / f"{i}.npy", np.zeros((4, 4)))


def mixed(place):
    corpora.texts(place / "lm")
    corpora.shard(place / "lm" / "a.bin", np.arange(100))


def partly(place):
    corpora.texts(place / "lm")
    (place / "lm" / "train.txt").write_text("".join(corpora.sentences(20)))


def nothing(place):
    pass


def whole(place):
    corpora.texts(place / "lm")


def two_files(place):
    (place / "lm").mkdir()
    for part in ("train", "val"):
        corpora.shard(place / "lm" / f"{part}.bin", np.arange(1000) % 50)


def wordless(place):
    whole(place)
    folder = checkpoint(place / "models" / "m")
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"] = {"<none>": 0, "<end>": 1}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def no_tokenizer(place):
    whole(place)
    for file in checkpoint(place / "models" / "m").glob("*token*"):
        file.unlink()


def larger(place):
    whole(place)
    checkpoint(place / "models" / "m", vocab_size=32)


def bidirectional(place):
    whole(place)
    checkpoint(place / "models" / "m", kind="Bert")


def headless(place):
    whole(place)
    folder = place / "models" / "m"
    checkpoint(folder)
    transformers.ViTConfig(hidden_size=16).save_pretrained(folder)


def crowded(place):
    whole(place)
    checkpoint(place / "models" / "m")


def weightless(place):
    whole(place)
    (checkpoint(place / "models" / "m") / "model.safetensors").unlink()


IDS = {"tokenizer": "ids", "vocabulary": 256}
REFUSED = {
    "nothing there": (nothing, {}, "no corpus 'lm': give a file or a folder"),
    "empty": (empty, {}, "holds no text: give .txt"),
    "binary": (binary, {}, "holds a byte 0: it is no text, but binary"),
    "not UTF-8": (latin, {}, "is no UTF-8 text"),
    "shorter than a context": (short, {}, "is longer than a context of 16 ids: give a shorter context"),
    "one file": (alone, {}, "cannot be split by file, and a split by position would test on"),
    "train and val": (two_files, IDS, "give three files or more of each part"),
    "no column": (unnamed, {}, "has no column text, but content"),
    "no column in a table": (other_column, {}, "has no column text, but content"),
    "half a line": (torn, {}, "a line is no JSON"),
    "numbers": (numbers, {}, "a row's text is 1, no text"),
    "odd length": (odd, IDS, "has 101 bytes of ids, no multiple of 2, as uint16 has: see dtype="),
    "ids beyond": (beyond, IDS, "holds the id 299, and there are 0 to 255"),
    "cut short": (cut_short, IDS, "has 100 ids, and its header says 999: it is cut short"),
    "planes": (planes, IDS, "holds float64 of shape (4, 4); ids are whole numbers in one dimension"),
    "texts and shards": (mixed, {}, "holds texts and shards of token ids"),
    "parts and others": (partly, {}, "is of none: name it train, validation or test"),
    "shards as texts": (beyond, {}, "holds shards of token ids: say tokenizer='ids'"),
    "texts as shards": (whole, IDS, "holds texts: do not say tokenizer='ids'"),
    "unknown dtype": (whole, {"dtype": "int64"}, "unknown dtype of lm 'int64'"),
    "no vocabulary": (beyond, {"tokenizer": "ids"}, "vocabulary is the number of kinds of ids"),
    "odd batch": (whole, {"batch": 40}, "batch is 40; it should be a multiple of 16"),
    "no scratch": (whole, {"scratch": True}, "scratch is of a checkpoint: name one by model="),
    "z-loss": (whole, {"z_loss": -1.0}, "z_loss is -1.0; it should be a finite number, 0 or more"),
    "no model": (whole, {"model": "m"}, "no model 'm': give a folder"),
    "no words": (wordless, {"model": "m"}, "m: its tokenizer knows no pieces of words"),
    "no tokenizer": (no_tokenizer, {"model": "m"}, "m: it has no tokenizer"),
    "too many pieces": (larger, {"model": "m"}, "pieces, and m 32: it is another model's"),
    "not causal": (bidirectional, {"model": "m"}, "its answers depend on later ids: it is no causal language model"),
    "no language model": (headless, {"model": "m"}, "m: no causal language model can be made of it"),
    "few places": (crowded, {"model": "m", "context": 64}, "m has places for 32 ids, and the context is 64"),
    "no weights": (weightless, {"model": "m"}, "has a config.json, but lacks weights: copy the whole folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_on_is_one_line_before_training(place, case):
    plant, settings, words = REFUSED[case]
    plant(place)
    with pytest.raises(InputError) as refusal:
        dry_run.check(task(**settings))
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)

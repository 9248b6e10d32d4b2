"""Low-rank adapters on encoders of a few dozen units: what they train, and that they fork and resume as all do."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import peft.utils
import pytest
import torch

from bench.contract import Data, InputError, Move, Split
from tasks.data import checkpoint
from tasks.text import encoder
from tests.engine.toys import create, drive, same, tensors, toy
from tests.tasks import tiny

HEADS = {
    "Albert": {"classifier"},
    "Bert": {"classifier"},
    "DebertaV2": {"pooler", "classifier"},
    "DistilBert": {"pre_classifier", "classifier"},
    "GPT2": {"score"},
    "ModernBert": {"head", "classifier"},
    "Roberta": {"classifier"},
}
LAYERS = {
    "Albert": {"query", "key", "value", "dense", "ffn", "ffn_output", "embedding_hidden_mapping_in", "pooler"},
    "Bert": {"query", "value"},
    "DebertaV2": {"query_proj", "value_proj"},
    "DistilBert": {"q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"},
    "GPT2": {"c_attn"},
    "ModernBert": {"Wqkv", "Wo", "Wi"},
    "Roberta": {"query", "value"},
}
"""The layers of the body that are adapted: those that peft names, or all that are linear."""


@pytest.fixture(autouse=True)
def _alone(one_thread):
    checkpoint.quiet()


def model_of(folder, seed=0):
    torch.manual_seed(seed)
    return encoder.pretrained(folder, 2, scratch=False, lora=4, fetch=False)


def trained(model):
    return {name.removeprefix("body.base_model.model.") for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("kind", HEADS)
def test_adapters_and_the_whole_head_are_trained_and_nothing_else(tmp_path, kind):
    saved = tiny.plant(tmp_path, kind)
    model = model_of(tmp_path)
    names = trained(model)
    layers = {name.partition(".lora_")[0].rpartition(".")[2] for name in names if ".lora_" in name}
    parts = {name.partition(".modules_to_save.")[0] for name in names if ".lora_" not in name}
    assert (layers, parts) == (LAYERS[kind], HEADS[kind])
    base = model.body.base_model.model.base_model
    frozen = {name.replace(".base_layer", ""): p for name, p in base.named_parameters() if not p.requires_grad}
    assert frozen
    assert all(torch.equal(weight, saved[name]) for name, weight in frozen.items())


def test_a_pooler_that_the_files_lack_is_trained_with_the_head(tmp_path):
    tiny.plant(tmp_path, "Bert", "ForMaskedLM")
    parts = {name.partition(".modules_to_save.")[0] for name in trained(model_of(tmp_path)) if ".lora_" not in name}
    assert parts == {"bert.pooler.dense", "classifier"}


def test_the_seed_decides_adapters_and_head_and_they_begin_at_the_checkpoint(tmp_path):
    tiny.plant(tmp_path, "DistilBert", "ForSequenceClassification")
    first, repeated, other = (dict(model_of(tmp_path, seed).named_parameters()) for seed in (0, 0, 1))
    assert all(torch.equal(weight, repeated[name]) for name, weight in first.items())
    random = [name for name in first if "lora_A" in name or ("modules_to_save" in name and name.endswith("weight"))]
    assert {name.rpartition(".")[2] for name in random} == {"weight"}
    assert not any(torch.equal(first[name], other[name]) for name in random)
    assert not any(weight.any() for name, weight in first.items() if "lora_B" in name)


def test_what_peft_does_not_adapt_is_refused_in_one_line(tmp_path, monkeypatch):
    tiny.plant(tmp_path, "Bert")
    monkeypatch.setitem(peft.utils.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING, "bert", ["of_nobody"])
    with pytest.raises(InputError, match="lora: peft has no adapters for a bert: NoMatchingPeftModuleError") as refusal:
        model_of(tmp_path)
    assert "\n" not in str(refusal.value)


# ------------------------------------------------------------------------------------------------- in the engine


def rows(n):
    draw = np.random.default_rng(n)
    ids = draw.integers(6, tiny.PIECES, (n, 9))
    kinds = np.where(np.arange(9) < draw.integers(4, 10, (n, 1)), 1, 0).astype(np.uint8)
    return Split((ids * kinds, kinds), (ids[:, 1] % 3,))


@pytest.fixture(params=["Bert", "DistilBert"])
def task(tmp_path, request):
    tiny.plant(tmp_path, request.param)
    build = partial(encoder.pretrained, tmp_path, 3, scratch=False, lora=2, fetch=False)
    return replace(toy(build), load=lambda: Data(*map(rows, (32, 16, 16))))


def test_a_fork_goes_its_own_way_and_leaves_what_is_frozen(task):
    engine, feed = create("modules", task, "adamw", 0.1)
    alone, _ = create("modules", task, "adamw", 0.1)
    before = copy.deepcopy(tensors(engine)[0])
    for k in range(8):
        for each in (engine, alone):
            each.look(feed.batch(k), k)
        if k == 3:
            engine.take([0, 0])
        engine.move([Move(0.01), Move(0.03)][: 1 if k < 3 else 2])
        alone.move([Move(0.01)])
    first, second = tensors(engine)
    assert same(first, tensors(alone)[0])
    moved = {name for name in first if not torch.equal(first[name], before[name])}
    different = {name for name in first if not torch.equal(first[name], second[name])}
    learning = {name for name, p in engine.members[0].model.named_parameters() if p.requires_grad}
    assert moved == different == learning


def test_a_saved_state_goes_on_bit_for_bit(task, tmp_path):
    whole, feed = create("modules", task, "adamw", 0.1, torch.float32)
    drive(whole, feed, 11, 0.01)
    torch.save(whole.state_dict(), tmp_path / "state")
    resumed, _ = create("modules", task, "adamw", 0.1, torch.float32)
    resumed.load_state_dict(torch.load(tmp_path / "state"))
    for engine in (whole, resumed):
        drive(engine, feed, 21, 0.01, start=11)
    assert same(whole.state_dict(), resumed.state_dict())

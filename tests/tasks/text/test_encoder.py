"""Encoders of transformers with a new head, on checkpoints of a few dozen units."""

import json
import types

import pytest
import torch

from bench.contract import InputError
from tasks.data import checkpoint
from tasks.text import encoder
from tests.tasks import tiny

CLASSIFIER = "ForSequenceClassification"


@pytest.fixture(autouse=True)
def _quiet():
    checkpoint.quiet()


def model_of(folder, outputs=2, *, seed=0, scratch=False, lora=0):
    torch.manual_seed(seed)
    return encoder.pretrained(folder, outputs, scratch=scratch, lora=lora, fetch=False)


def refused(folder, **settings):
    with pytest.raises(InputError) as refusal:
        model_of(folder, **settings)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


# -------------------------------------------------------------------------------------------------------- heads


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize(
    ("kind", "stem"),
    [("Bert", "bert."), ("Roberta", "roberta."), ("DistilBert", "distilbert."), ("DebertaV2", "deberta.")],
)
def test_a_head_that_is_in_the_files_gives_way_to_one_of_the_seed(tmp_path, kind, stem, labels):
    saved = tiny.plant(tmp_path, kind, CLASSIFIER, num_labels=labels)
    first, repeated, other = (model_of(tmp_path, seed=seed).body.state_dict() for seed in (0, 0, 1))
    assert first.keys() == saved.keys()
    for name, weight in first.items():
        assert torch.equal(weight, repeated[name])
        if name.startswith(stem):
            assert torch.equal(weight, saved[name])
        elif not name.endswith(("bias", "LayerNorm.weight")):
            assert not torch.equal(weight, other[name])
            assert weight.shape != saved[name].shape or not torch.equal(weight, saved[name])


def test_biases_of_a_trained_head_are_not_kept(tmp_path):
    from transformers import RobertaForSequenceClassification

    tiny.plant(tmp_path, "Roberta", CLASSIFIER, num_labels=3)
    trained = RobertaForSequenceClassification.from_pretrained(tmp_path)
    for weight in trained.classifier.parameters():
        torch.nn.init.ones_(weight)
    trained.save_pretrained(tmp_path)
    head = model_of(tmp_path).body.classifier
    assert head.out_proj.weight.shape == (2, 32)
    assert not any((weight == 1).any() for weight in head.parameters())


def test_the_head_that_a_checkpoint_lacks_is_the_one_that_transformers_draws(tmp_path):
    from transformers import AutoModelForSequenceClassification

    tiny.plant(tmp_path, "Bert")
    torch.manual_seed(5)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3).state_dict()
    own = model_of(tmp_path, 3, seed=5).body.state_dict()
    assert plain.keys() == own.keys()
    assert all(torch.equal(plain[name], own[name]) for name in plain)


# ----------------------------------------------------------------------------------------- what cannot be built


def settings(folder, **changed):
    file = folder / checkpoint.CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def tear(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: settings(folder, vocab_size=65), "word_embeddings.weight is not of the size that its config"),
        (lambda folder: settings(folder, num_attention_heads=5), "no text classifier can be made of it: ValueError"),
        (lambda folder: settings(folder, model_type="nobodys"), "no text classifier can be made of it: ValueError"),
        (lambda folder: settings(folder, hidden_act="nobodys"), "no text classifier can be made of it: KeyError"),
        (tear, "no text classifier can be made of it: SafetensorError"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no text classifier can be made of it: OSError"),
    ],
)
def test_what_transformers_cannot_build_is_refused_in_one_line(tmp_path, spoil, reason):
    tiny.plant(tmp_path, "Bert")
    spoil(tmp_path)
    assert reason in refused(tmp_path)


def test_weights_of_a_body_that_the_files_lack_or_have_in_excess_are_refused(tmp_path):
    """With random or dropped weights it would be another model than the named one."""
    tiny.plant(tmp_path, "Bert")
    settings(tmp_path, num_hidden_layers=3)
    assert "its files lack bert.encoder.layer.2." in refused(tmp_path)
    settings(tmp_path, num_hidden_layers=1)
    assert "its files hold encoder.layer.1." in refused(tmp_path)
    settings(tmp_path, num_hidden_layers=2, model_type="roberta")
    model_of(tmp_path)
    settings(tmp_path, model_type="distilbert", dim=32, hidden_dim=32, n_heads=2, n_layers=2)
    assert "its files lack distilbert." in refused(tmp_path)


def test_a_pooler_is_drawn_anew_where_the_files_lack_it(tmp_path):
    tiny.plant(tmp_path, "Bert", "ForMaskedLM")
    assert "bert.pooler.dense.weight" in model_of(tmp_path).body.state_dict()


@pytest.mark.parametrize(
    ("kind", "changed", "places"),
    [
        ("Bert", {"max_position_embeddings": 40}, 40),
        ("Roberta", {"max_position_embeddings": 40}, 38),
        ("DistilBert", {"max_position_embeddings": 40}, 40),
        ("DebertaV2", {"max_position_embeddings": 40}, 40),
        ("GPT2", {"n_positions": 40}, 40),
        ("ModernBert", {"max_position_embeddings": 40}, float("inf")),
    ],
)
def test_the_room_of_a_model_is_what_its_embeddings_have(tmp_path, kind, changed, places):
    tiny.plant(tmp_path, kind, **changed)
    assert encoder.room(tmp_path, fetch=False) == (tiny.PIECES, places)
    if places == float("inf"):
        return
    model, kinds = model_of(tmp_path), torch.ones(1, places, dtype=torch.uint8)
    model(torch.full((1, places), 5), kinds)
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, places + 1), 5), torch.ones(1, places + 1, dtype=torch.uint8))


# ------------------------------------------------------------------------------------------------------ padding


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("Bert", {}),
        ("DistilBert", {}),
        ("ModernBert", {}),
        ("Roberta", {}),
        ("GPT2", {}),
        ("GPT2", {"pad_token_id": 5}),
        ("GPT2", {"pad_token_id": -1, "eos_token_id": [3, 4]}),
    ],
)
def test_padding_changes_no_answer(tmp_path, kind, settings):
    tiny.plant(tmp_path, kind, **settings)
    model = model_of(tmp_path).double().eval()
    ids = torch.randint(6, tiny.PIECES, (2, 12))
    ids[1, 6], ids[1, 7:] = 0, 0  # of a decoder the piece 0 is one like others
    kinds = torch.ones_like(ids, dtype=torch.uint8)
    kinds[1, 7:] = 0
    both, alone = model(ids, kinds), model(ids[1:, :7], kinds[1:, :7])
    assert torch.allclose(both[1], alone[0], atol=1e-12)
    ids[1, 6] = 9
    assert not torch.allclose(model(ids, kinds)[1], alone[0], atol=1e-6)


def test_a_head_that_reads_the_last_place_of_a_row_is_refused(tmp_path):
    tiny.plant(tmp_path, "XLNet")
    assert "is an xlnet, whose head reads the end of a row" in refused(tmp_path)
    assert "is an xlnet" in refused(tmp_path, scratch=True)


def test_the_mask_is_of_numbers_for_some_models_reckon_with_it():
    class Body(torch.nn.Module):
        def forward(self, input_ids, attention_mask):
            return types.SimpleNamespace(logits=1.0 - attention_mask)

    kinds = torch.tensor([[1, 2, 0]], dtype=torch.uint8)
    model = encoder.Encoder(Body(), segments=False)
    assert model(torch.tensor([[7, 8, 0]]), kinds).tolist() == [[0, 0, 1]]

"""Files of models: each library loads its own to the same bits; and all training data of a task."""

import dataclasses
from types import SimpleNamespace

import pytest
import timm
import torch
import transformers
from safetensors.torch import save

import schedules
from bench.contract import Data, Split
from bench.export import formats
from bench.export.whole import WHOLE, join, whole
from tasks.text import encoder
from tasks.text.bert import Bert
from tests.engine.toys import Net, toy
from tests.tasks import tiny, trees

NAMES = ("cat", "dog", "cow")
OPEN = schedules.parse("cosine")


def pieces(*shape):
    return torch.randint(1, 20, shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("build", "library", "inputs"),
    [
        (lambda: timm.create_model("test_resnet", num_classes=3), "timm", lambda: torch.ones(2, 3, 32, 32)),
        (lambda: Bert(20, 8), "transformers", lambda: pieces(2, 8)),
        (Net, "torch", lambda: torch.ones(2, 6)),
    ],
)
def test_the_library_of_a_model_loads_its_folder_to_the_same_bits(tmp_path, one_thread, build, library, inputs):
    torch.manual_seed(1)
    model = build().eval()
    torch.manual_seed(2)
    other = build().eval()
    body = formats.body_of(model)
    assert body.library == library
    formats.save_weights(tmp_path, body, save(model.state_dict()), NAMES[: 2 + (library == "timm")])
    with torch.no_grad():
        wanted, before = (getattr(m(inputs()), "logits", m(inputs())) for m in (model, other))
        fresh = formats.load_weights(tmp_path, formats.body_of(other), other)(inputs())
    assert torch.equal(getattr(fresh, "logits", fresh), wanted)
    assert not torch.equal(before, wanted)
    texts = [path.read_text() for path in tmp_path.glob("*.json")]
    assert library == "torch" or '"cat"' in "".join(texts)


def test_a_checkpoint_takes_its_tokenizer_along_and_leaves_its_place_behind(tmp_path, one_thread):
    place, folder = tmp_path / "place", tmp_path / "model"
    tiny.plant(place, "DebertaV2")
    tiny.plant_pieces(place, trees.sentences("train", 2, ("sentence",))["sentence"])
    model = encoder.pretrained(place, 2, scratch=False, lora=0, fetch=False).eval()
    body = formats.body_of(model)
    assert (body.library, body.place) == ("transformers", "body")
    formats.save_weights(folder, body, b"")
    assert transformers.AutoTokenizer.from_pretrained(folder)("the cat")["input_ids"]
    texts = [path.read_text() for path in folder.glob("*.json")]
    assert not any(str(place) in text for text in texts)


def test_all_training_data_are_train_and_control_in_this_order():
    task = toy()
    joined, apart = whole(task, OPEN)
    data, before = joined.load(), task.load()
    assert (joined.name, apart) == ("toy" + WHOLE, "")
    assert len(data.train) == len(before.train) + len(before.control) == 48
    assert data.train.inputs[0][32:].tolist() == before.control.inputs[0].tolist()
    assert data.train.target[0][:32].tolist() == before.train.target[0].tolist()
    assert data.test is join(task.load).test
    assert data.digest() != before.digest()


def test_a_schedule_that_reads_control_trains_on_train_alone():
    assert whole(toy(), SimpleNamespace(needs={"control"}, text="mine"))[1] == "mine reads control while it trains"
    ragged = Data(*(Split((s.inputs[0][:, : 6 - i],), s.target) for i, s in enumerate(toy().load())))
    assert whole(dataclasses.replace(toy(), load=lambda: ragged), OPEN)[1].endswith("have different shapes")

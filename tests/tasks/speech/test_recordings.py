"""Sets of recordings: each layout reads back, and what is absent, cut short or mislabelled is refused in a line."""

import io
import json
import shutil

import datasets
import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import torch
from transformers import ASTFeatureExtractor, ASTForAudioClassification, Wav2Vec2FeatureExtractor

import tasks
from bench.contract import InputError
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from bench.strategies import optimizers
from tasks.data.dataset import ROOT as DATA
from tasks.speech import digits_ctc, keywords, pretrained, recordings
from tests.runs import ROOT
from tests.tasks import tiny, voices

SHARED = ROOT.parent / "shared" / "data"
real = pytest.mark.skipif(not (SHARED / "fsdd").is_dir(), reason="the packs of real data are not here")


@pytest.fixture(autouse=True)
def _afresh():
    recordings._digits.cache_clear()


def refused(name):
    with pytest.raises(InputError) as refusal:
        tasks.parse(name).load()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("plant", [voices.plant_wavs, voices.plant_digits], ids=["files", "tables"])
def test_each_layout_of_fsdd_reads_back(tmp_path, monkeypatch, plant):
    plant(tmp_path)
    voices.expect(monkeypatch, tmp_path)
    clips = recordings.digits()
    for wave, digit, speaker, take, clip in zip(*clips, voices.spoken(), strict=True):
        assert (speaker, digit, take) == clip[:3]
        assert np.array_equal(wave, clip[3])


def test_takes_and_speakers_are_kept_apart(tmp_path, monkeypatch):
    voices.plant_digits(tmp_path)
    voices.expect(monkeypatch, tmp_path)
    assert tuple(map(len, tasks.parse("fsdd").load())) == (200, 100, 100)
    train, control, test = tasks.parse("fsdd(holdout='george')").load()
    assert (len(train), len(control), len(test)) == (150, 50, 200)
    clips = recordings.digits()
    hers = [clip.tobytes() for clip in recordings.windows(clips.waves, 8000)[clips.speakers == "george"]]
    assert [clip.tobytes() for clip in test.inputs[0]] == hers
    assert "fsdd: no speaker 'anna'; there are: george" in refused("fsdd(holdout='anna')")


def test_a_window_is_the_middle_of_a_long_clip_and_centres_a_short_one():
    windows = recordings.windows([np.arange(10, dtype=np.int16), np.array([7, 8], np.int16)], 4)
    assert windows.tolist() == [[3, 4, 5, 6], [0, 7, 8, 0]]


def coded(kind, subtype):
    file = io.BytesIO()
    soundfile.write(file, voices.tone(1, 1), 8000, format=kind, subtype=subtype)
    return file.getvalue()


def another(content):
    return voices.encoded(np.zeros((100, 2), np.int16))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: content[: len(content) // 2], "row 0 of test"),
        (lambda content: b"nothing", "row 0 of test: holds no whole recording"),
        (another, "row 0 of test: is a recording of 8000 Hz, 2 channels, PCM_16"),
        (lambda content: voices.encoded(voices.tone(1, 1), 16_000), "is a recording of 16000 Hz"),
        (lambda content: coded("WAV", "PCM_U8"), "PCM_U8 in WAV"),
        (lambda content: coded("WAV", "PCM_24"), "PCM_24 in WAV"),
        (lambda content: coded("WAV", "FLOAT"), "FLOAT in WAV"),
        (lambda content: coded("AIFF", "PCM_16"), "PCM_16 in AIFF, not of 8000 Hz, 1 channel, PCM_16 in WAV or FLAC"),
        (lambda content: coded("WAV", "PCM_16")[:-2], "is cut short by 2 bytes of sound"),
        (lambda content: coded("WAV", "PCM_16")[:40], "row 0 of test"),
        (lambda content: b"", "holds no whole recording"),
        (lambda content: None, "holds no bytes of a recording"),
    ],
    ids=lambda value: None,
)
def test_a_recording_that_is_not_what_it_should_be_is_refused(tmp_path, monkeypatch, spoil, reason):
    voices.plant_digits(tmp_path, spoil=spoil)
    voices.expect(monkeypatch, tmp_path)
    assert reason in refused("fsdd")


def test_takes_that_are_missing_or_misnamed_are_refused(tmp_path, monkeypatch):
    voices.plant_wavs(tmp_path)
    voices.expect(monkeypatch, tmp_path)
    first = tmp_path / "fsdd" / "recordings" / "0_george_0.wav"
    twin = first.rename(first.with_name("0_george_20.wav"))
    assert "20 takes of each digit 0 .. 9 by each speaker; take 0 of 0 by george is missing" in refused("fsdd")
    twin = twin.rename(twin.with_name("zero_george_0.wav"))
    assert "is not named DIGIT_SPEAKER_TAKE.wav" in refused("fsdd")
    twin.unlink()
    assert "holds 399 recordings, not 400" in refused("fsdd")
    shutil.rmtree(first.parent)
    first.parent.mkdir()
    assert "holds 0 recordings, not 400" in refused("fsdd")


def test_other_samples_than_those_published_are_refused(tmp_path, monkeypatch):
    voices.plant_wavs(tmp_path)
    voices.expect(monkeypatch, tmp_path, sums={"samples": "0" * 64})
    assert "its samples: its SHA256 is" in refused("digits_ctc")


@pytest.mark.parametrize("name", ["fsdd", "digits_ctc", "speech_commands", "speech_commands_v002_testset12"])
def test_absent_recordings_are_one_line_that_says_how_to_get_them(tmp_path, monkeypatch, name):
    voices.expect(monkeypatch, tmp_path)
    assert "no data: put " in refused(name)
    monkeypatch.delenv(DATA)
    assert "give --data DIR or set GLIDESLOPE_DATA" in refused(name)


def relabel(file, change, names=None):
    """Change the rows of a table, and the names of its labels."""
    table = pyarrow.parquet.read_table(file)
    rows = change(table.to_pylist())
    metadata = table.schema.metadata if names is None else {b"huggingface": json.dumps(names).encode()}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows).replace_schema_metadata(metadata), file)


def renamed(names):
    label = {"names": list(names), "_type": "ClassLabel"}
    return {
        "info": {"features": {"audio": {"sampling_rate": 16000, "decode": False, "_type": "Audio"}, "label": label}}
    }


def test_digits_go_by_the_names_of_their_labels(tmp_path, monkeypatch):
    voices.plant_digits(tmp_path)
    voices.expect(monkeypatch, tmp_path)
    right = recordings.digits()
    order = [*reversed(recordings.NAMES)]
    for part, spell in (("train", lambda d: order.index(recordings.NAMES[d])), ("test", recordings.NAMES.__getitem__)):
        names = renamed(order) if part == "train" else {}
        file = tmp_path / "fsdd" / f"{part}.parquet"
        relabel(file, lambda rows, spell=spell: [row | {"label": spell(row["label"])} for row in rows], names)
    recordings._digits.cache_clear()
    assert np.array_equal(recordings.digits().digits, right.digits)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": -1}, "the test part: row 0 has the label -1"),
        ({"label": None}, "the test part: row 0 has the label None"),
        ({"label": 10}, "row 0 has the label 10, not one of 0 .. 9"),
        ({"speaker": None}, "has the speaker None; there are: george"),
        ({"speaker": "anna"}, "has the speaker 'anna'"),
        ({"index": None}, "row 0 has the index None"),
        ({"index": 1}, "take 0 of 0 by george is missing"),
        ({"audio": None}, "row 0 of test: holds no bytes"),
        ({"audio": {"bytes": None, "path": "0_george_0.wav"}}, "row 0 of test: holds no bytes"),
    ],
)
def test_rows_that_mean_nothing_are_refused(tmp_path, monkeypatch, change, reason):
    voices.plant_digits(tmp_path)
    voices.expect(monkeypatch, tmp_path)
    relabel(tmp_path / "fsdd" / "test.parquet", lambda rows: [rows[0] | change, *rows[1:]])
    assert reason in refused("fsdd")


# -------------------------------------------------------------------------------------------------- commands


def test_the_hubs_layout_of_speech_commands_reads_back(tmp_path, monkeypatch):
    voices.plant_hub(tmp_path)
    voices.expect(monkeypatch, tmp_path)
    train, control, test = tasks.parse("speech_commands").load()
    # In train 4 of each command, as many of the 4 x 2 unknown ones, and two recordings of 3 and 2 seconds.
    assert np.bincount(train.target[0]).tolist() == [4] * 10 + [5, 4]
    assert np.bincount(control.target[0]).tolist() == [2] * 10 + [5, 2]
    assert np.bincount(test.target[0]).tolist() == [2] * 10 + [2, 4]
    assert train.inputs[0].shape == (49, 16_000)


def test_the_hub_is_asked_for_the_revision_that_has_tables(monkeypatch):
    requests = []

    def fetch(name, split, revision, data_files):
        requests.append((name, split, revision, data_files))
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", fetch)
    monkeypatch.setenv(DATA, "hub")
    assert "the hub does not give train of google/speech_commands: no network" in refused("speech_commands")
    tables = {"train": "v0.02/train/*.parquet"}
    assert requests == [("google/speech_commands", "train", "refs/convert/parquet", tables)]


def test_the_hubs_revision_of_tables_is_read_without_its_other_configurations(tmp_path, monkeypatch):
    """By `datasets` itself: to it, a folder is a repository, too."""
    voices.plant_hub(tmp_path)
    shutil.copytree(tmp_path / "speech_commands" / "v0.02", tmp_path / "speech_commands" / "v0.01")
    voices.expect(monkeypatch, "hub", hub=str(tmp_path / "speech_commands"))
    train, control, test = tasks.parse("speech_commands").load()
    assert (len(train), len(control), len(test)) == (49, 27, 26)
    (tmp_path / "speech_commands" / "v0.02" / "test" / "0000.parquet").unlink()
    keywords._commands_of.cache_clear()
    assert "the hub does not give test of" in refused("speech_commands")


def test_commands_with_other_labels_are_refused(tmp_path, monkeypatch):
    voices.plant_commands(tmp_path, names=[str(i) for i in range(12)])
    voices.expect(monkeypatch, tmp_path)
    assert "its labels are 0, 1, 2" in refused("speech_commands_v002_testset12")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: {"label": -1}, "row 0 has the label -1"),
        (lambda row: {"label": None}, "row 0 has the label None"),
        (lambda row: {"label": 12}, "row 0 has the label 12"),
        (lambda row: {"label": max(1, row["label"])}, "the train part: has no recording of yes"),
        (
            lambda row: {"audio": {"bytes": voices.encoded(voices.tone(1, 1, 16_000, 32_000), 16_000), "path": None}},
            "row 0 of train: is a word of 32,000 samples, more than a second",
        ),
    ],
)
def test_commands_that_mean_nothing_are_refused(tmp_path, monkeypatch, change, reason):
    voices.plant_commands(tmp_path)
    voices.expect(monkeypatch, tmp_path)
    file = tmp_path / "speech_commands_v002_testset12" / "train.parquet"
    relabel(file, lambda rows: [row | change(row) if i % 12 == 0 else row for i, row in enumerate(rows)])
    assert reason in refused("speech_commands_v002_testset12")


def test_commands_go_by_the_names_of_their_labels(tmp_path, monkeypatch):
    voices.plant_commands(tmp_path)
    voices.expect(monkeypatch, tmp_path)
    right = tasks.parse("speech_commands_v002_testset12").load().digest()
    file = tmp_path / "speech_commands_v002_testset12" / "train.parquet"
    order = [*reversed(recordings.CLASSES)]
    relabel(file, lambda rows: [row | {"label": 11 - row["label"]} for row in rows], renamed(order))
    keywords._commands_of.cache_clear()
    assert tasks.parse("speech_commands_v002_testset12").load().digest() == right
    relabel(file, lambda rows: [row | {"label": order[row["label"]]} for row in rows], {})
    keywords._commands_of.cache_clear()
    assert tasks.parse("speech_commands_v002_testset12").load().digest() == right


# --------------------------------------------------------------------------------------------------- strings


def test_strings_are_made_of_whole_clips_of_one_speaker_in_their_order(tmp_path, monkeypatch):
    voices.plant_digits(tmp_path)
    voices.expect(monkeypatch, tmp_path)
    clips = recordings.digits()
    split = digits_ctc.strings(clips.takes < 5, 40, seed=1)
    own = {wave.tobytes(): (digit, speaker) for wave, digit, speaker, take in zip(*clips, strict=True) if take < 5}
    for wave_row, words in zip(split.inputs[0], split.target[0], strict=True):
        digits = [word - 1 for word in words if word]
        assert 3 <= len(digits) <= 5
        assert (words[len(digits) :] == 0).all()
        clips_in_order, start = [], 0
        while (sound := np.flatnonzero(wave_row[start:])).size:
            start += sound[0]
            size = next(n for n in range(1000, 1201, 50) if wave_row[start : start + n].tobytes() in own)
            clips_in_order.append(own[wave_row[start : start + size].tobytes()])
            start += size
        assert [digit for digit, _ in clips_in_order] == digits
        assert len({speaker for _, speaker in clips_in_order}) == 1


# ----------------------------------------------------------------------------------------- pretrained models


def ast(folder, form="ForAudioClassification", **settings):
    ASTFeatureExtractor(max_length=100, num_mel_bins=32).save_pretrained(folder)
    return tiny.plant(folder, "AST", form, **settings)


def wav2vec2(folder, form="ForSequenceClassification", **settings):
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return tiny.plant(folder, "Wav2Vec2", form, **settings)


@pytest.mark.parametrize("make", [ast, wav2vec2])
def test_a_classifier_of_transformers_is_fine_tuned_from_its_folder(tmp_path, monkeypatch, make, one_thread):
    make(tmp_path / "model")
    voices.plant_digits(tmp_path)
    voices.expect(monkeypatch, tmp_path)
    task = tasks.parse(f"fsdd(model={str(tmp_path / 'model')!r})")
    assert tasks.parse(task.name).name == task.name
    feed = Loader(task, seed=0)
    model, twin = initial_model(feed), initial_model(feed)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    inputs, target = feed.batch(0)
    torch.manual_seed(0)
    first = task.loss(model(*inputs), target)
    torch.manual_seed(0)
    assert torch.equal(task.loss(twin(*inputs), target), first), "something is drawn from another generator"
    stepper = optimizers.parse(task.optimizer).build(model, task.weight_decay, lr=3e-3)
    for step in range(20):
        inputs, target = feed.batch(step)
        loss = task.loss(model(*inputs), target)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
    assert loss < first


@pytest.mark.parametrize("labels", [10, 4])
@pytest.mark.parametrize("settings", [{}, {"use_weighted_layer_sum": True}])
def test_a_head_that_is_in_the_files_gives_way_to_one_of_the_seed(tmp_path, settings, labels):
    saved = wav2vec2(tmp_path, num_labels=labels, **settings)

    def net(seed):
        torch.manual_seed(seed)
        return pretrained.model(str(tmp_path), 10).net.state_dict()

    first, repeated, other = net(0), net(0), net(1)
    assert first.keys() == saved.keys()
    for name, weight in first.items():
        assert torch.equal(weight, repeated[name])
        if name.startswith("wav2vec2."):
            assert torch.equal(weight, saved[name])
        elif name.endswith("weight"):  # of projector and classifier
            assert not torch.equal(weight, other[name])
            assert weight.shape != saved[name].shape or not torch.equal(weight, saved[name])


def test_the_head_that_a_checkpoint_lacks_is_the_one_that_transformers_draws(tmp_path):
    ast(tmp_path, "Model")
    torch.manual_seed(5)
    plain = ASTForAudioClassification.from_pretrained(tmp_path, num_labels=10).state_dict()
    torch.manual_seed(5)
    own = pretrained.model(str(tmp_path), 10).net.state_dict()
    assert plain.keys() == own.keys()
    assert all(torch.equal(plain[name], own[name]) for name in plain)


def test_what_is_no_checkpoint_of_an_audio_classifier_is_refused_in_a_line(tmp_path, monkeypatch):
    monkeypatch.delenv(DATA, raising=False)
    assert "unknown model for speech, besides a checkpoint's folder or OWNER/NAME, 'resnet9'" in refused(
        "fsdd(model='resnet9')"
    )
    (tmp_path / "empty").mkdir()
    assert "give a folder that holds its config.json" in refused(f"fsdd(model={str(tmp_path / 'empty')!r})")
    (tmp_path / "resnet8").mkdir()
    monkeypatch.chdir(tmp_path)
    assert tasks.parse("fsdd").layers == "residual"  # whatever lies in the folder where it is called
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    assert "is a bert, not a classifier of audio" in refused(f"fsdd(model={str(tmp_path / 'bert')!r})")
    (tmp_path / "bert" / "config.json").write_text("[]")
    pretrained._config.cache_clear()
    assert "its config.json is none of transformers" in refused(f"fsdd(model={str(tmp_path / 'bert')!r})")


def test_weights_that_cannot_be_read_are_refused_in_a_line(tmp_path):
    wav2vec2(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="no classifier of audio can be made of it: SafetensorError") as refusal:
        pretrained.model(str(tmp_path), 10)
    assert "\n" not in str(refusal.value)


@real
def test_the_packs_are_what_they_were(monkeypatch):
    monkeypatch.setenv(DATA, str(SHARED))
    digits, three = tasks.parse("fsdd").load(), tasks.parse("digits_ctc").load()
    assert (tuple(map(len, digits)), digits.digest()) == ((2400, 300, 300), "026a6975fc3a")
    assert (tuple(map(len, three)), three.digest()) == ((1600, 200, 200), "abe923a7e75c")

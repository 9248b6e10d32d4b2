"""Features of sound: what Kaldi and transformers compute; augmentation that depends on its generator alone."""

import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor, Wav2Vec2FeatureExtractor

from tasks.speech import logmel, pretrained


def waves(rate=16_000, clips=3):
    draw = np.random.default_rng(0)
    time = np.arange(rate) / rate
    tones = [np.sin(2 * np.pi * (300 * (k + 1)) * time) * np.linspace(0, 1, rate) for k in range(clips)]
    return torch.from_numpy((8000 * np.stack(tones) + 300 * draw.standard_normal((clips, rate))).astype(np.int16))


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")
def test_filter_banks_are_those_of_the_extractor_of_ast(tmp_path):
    extractor = ASTFeatureExtractor(max_length=120)
    clips = [wave.float().numpy() / 32768 for wave in waves()]
    want = extractor(clips, sampling_rate=16_000, return_tensors="pt")["input_values"]
    got = pretrained._extracted(extractor, logmel.unit(waves()))
    assert got.shape == want.shape == (3, 120, 128)
    assert (got - want).abs().max() < 2e-3


def test_samples_are_those_of_the_extractor_of_wav2vec2():
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    clips = [wave.float().numpy() / 32768 for wave in waves()]
    want = extractor(clips, sampling_rate=16_000, return_tensors="pt")["input_values"]
    assert torch.allclose(pretrained._extracted(extractor, logmel.unit(waves())), want, atol=1e-4)


def test_a_clip_comes_out_the_same_however_loud_it_is_and_whatever_its_batch():
    prepare = logmel.features(8000)
    one, two = waves(8000), waves(8000) // 2 * 2
    ((whole,), _) = prepare((two,), (), None)
    ((half,), _) = prepare((two // 2,), (), None)
    ((alone,), _) = prepare((one[:1],), (), None)
    assert whole.shape == (3, 1, 98, 40)
    assert torch.allclose(whole, half, atol=1e-4)
    assert torch.allclose(whole[:1], alone, atol=1e-2)
    assert torch.allclose(whole.mean((1, 2, 3)), torch.zeros(3), atol=1e-5)


def test_silence_is_finite():
    ((mel,), _) = logmel.features(8000)((torch.zeros(2, 8000, dtype=torch.int16),), (), None)
    assert mel.isfinite().all()


def test_a_higher_tone_has_its_peak_in_a_higher_band():
    mel = logmel.log_mel(logmel.unit(waves()), 16_000, 40, 1e-6).mean(1)
    peaks = mel.argmax(1).tolist()
    assert peaks == sorted(set(peaks))


def test_augmentation_depends_on_the_generator_alone():
    def augmented(seed):
        return logmel.features(8000)((waves(8000),), (), torch.Generator().manual_seed(seed))[0][0]

    assert torch.equal(augmented(1), augmented(1))
    assert not torch.equal(augmented(1), augmented(2))


def test_a_shift_moves_a_clip_whole_and_leaves_zeros():
    wave = torch.arange(1.0, 41).expand(50, 40)
    moved = logmel.shifted(wave, torch.Generator().manual_seed(0), 5)
    offsets = {int(row[20] - 21) for row in moved}
    assert offsets == set(range(-5, 6))
    for row in moved:
        rest = row[row > 0]
        assert torch.equal(rest, torch.arange(rest[0], rest[0] + len(rest)))
        assert len(rest) == 40 - abs(int(row[20] - 21))


def test_masks_hide_one_stretch_of_time_and_one_of_bands():
    mel = logmel.masked(torch.ones(200, 30, 20), torch.Generator().manual_seed(0), (6, 4))
    hidden = mel == 0
    times, bands = hidden.all(2), hidden.all(1)
    assert torch.equal(hidden, times[:, :, None] | bands[:, None, :])
    for rows, most in ((times, 6), (bands, 4)):
        widths = rows.sum(1)
        assert set(widths.tolist()) == set(range(most + 1))
        begins = (rows & ~torch.nn.functional.pad(rows, (1, 0))[:, :-1]).sum(1)
        assert torch.equal(begins, (widths > 0).long())
        assert rows[:, 0].any()
        assert rows[:, -1].any()


def test_a_clip_of_8_khz_is_heard_at_16_khz_as_it_was():
    time = torch.arange(16_000, dtype=torch.float64) / 16_000
    tone = torch.sin(2 * torch.pi * 440 * time)[None]
    assert torch.allclose(pretrained._upsampled(tone[:, ::2], 2), tone, atol=1e-10)

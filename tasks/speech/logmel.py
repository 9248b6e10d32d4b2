"""Log-mel features of 16-bit samples, on the device; and their augmentation, batchwise.

B = batch, F = mel bands, S = samples, T = frames.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from bench.to_device import send

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.contract import Batch, Prepare

BANDS = 40
FLOOR = 0.1
"""Power of a band below which it counts as silence, for a clip at unit loudness."""


def features(rate: int, bands: int = BANDS) -> Prepare:
    """A task's `prepare`: samples [B, S] int16 to log-mel [B, 1, T, F], of mean 0 and deviation 1 in each clip.

    Training batches are shifted by up to 0.1 s, and a stretch of time and one of bands are masked.
    """

    def prepare(inputs: tuple[Tensor, ...], target: tuple[Tensor, ...], generator: torch.Generator | None) -> Batch:
        wave_BS = unit(inputs[0])
        if generator is not None:
            wave_BS = shifted(wave_BS, generator, rate // 10)
        loudness_B1 = wave_BS.square().mean(1, keepdim=True).sqrt()
        mel_BTF = log_mel(wave_BS / loudness_B1.clamp_min(0.01), rate, bands, FLOOR)
        mel_BTF = (mel_BTF - mel_BTF.mean((1, 2), keepdim=True)) / mel_BTF.std((1, 2), keepdim=True).clamp_min(1e-3)
        if generator is not None:
            mel_BTF = masked(mel_BTF, generator, (rate // 400, bands // 5))
        return (mel_BTF[:, None],), target

    return prepare


def unit(samples_BS: Tensor) -> Tensor:
    """16-bit samples scaled to [-1, 1), float32."""
    return samples_BS.float() / 32768


def log_mel(wave_BS: Tensor, rate: int, bands: int, floor: float) -> Tensor:
    """Logarithms of filter bank energies [B, T, F], as in Kaldi (compute-fbank-feats, without dither).

    Frames of 25 ms start every 10 ms from sample 0; only whole frames count. From each frame its mean is subtracted,
    then 0.97 of the previous sample, and it is multiplied by a Hann window. Its power spectrum, with the next power of
    two points, is summed by filters that are triangular and equally spaced in mel(f) = 1127 ln(1 + f / 700), from
    20 Hz to half the rate. Energies below `floor` are raised to it.
    """
    import torch

    window, hop = rate // 40, rate // 100
    points = 2 ** (window - 1).bit_length()
    frames_BTS = wave_BS.unfold(1, window, hop)
    frames_BTS = frames_BTS - frames_BTS.mean(2, keepdim=True)
    before_BTS = torch.cat([frames_BTS[..., :1], frames_BTS[..., :-1]], 2)
    spectrum = torch.fft.rfft((frames_BTS - 0.97 * before_BTS) * _hann(window, wave_BS.device), n=points)
    power = spectrum.real.square() + spectrum.imag.square()
    energy_BTF: Tensor = power @ _filters((rate, bands, points), power.dtype, power.device)
    return energy_BTF.clamp_min(floor).log()


@lru_cache(maxsize=8)
def _hann(samples: int, device: torch.device) -> Tensor:
    """A symmetric Hann window [samples]."""
    import torch

    return torch.hann_window(samples, periodic=False, device=device)


@lru_cache(maxsize=8)
def _filters(sizes: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Weights of each band [points / 2 + 1, F]; a band narrower than the spacing of the spectrum is all zero.

    `sizes` are the rate, the number of bands and the points of the spectrum.
    """
    import warnings

    import torch
    from transformers.audio_utils import mel_filter_bank

    rate, bands, points = sizes
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "At least one mel filter has all zero values")
        filters = mel_filter_bank(
            points // 2 + 1, bands, 20, rate // 2, rate, mel_scale="kaldi", triangularize_in_mel_space=True
        )
    return torch.from_numpy(filters).float().to(device, dtype)


# ------------------------------------------------------------------------------------------- augmentation
# Random numbers are drawn on the CPU, so they are the same on every device.


def shifted(wave_BS: Tensor, generator: torch.Generator, most: int) -> Tensor:
    """Each clip shifted by -most .. most samples, padded with zeros."""
    import torch
    from torch.nn.functional import pad

    size, length = wave_BS.shape
    (offset_B1,) = send(wave_BS.device, torch.randint(0, 2 * most + 1, (size, 1), generator=generator))
    return pad(wave_BS, (most, most)).gather(1, offset_B1 + torch.arange(length, device=wave_BS.device))


def masked(mel_BTF: Tensor, generator: torch.Generator, most: tuple[int, int]) -> Tensor:
    """One stretch of 0 .. most frames and one of 0 .. most bands set to 0 in each clip.

    SpecAugment (arXiv:1904.08779, section 2) without its warping.
    """
    import torch

    size, frames, bands = mel_BTF.shape
    ends = []  # the first of the masked frames, the first behind them, and the same of bands: [B, 1] each
    for length, widest in ((frames, most[0]), (bands, most[1])):
        width_B1 = torch.randint(0, min(widest, length) + 1, (size, 1), generator=generator)
        start_B1 = (torch.rand(size, 1, generator=generator) * (length - width_B1 + 1)).long()
        ends += [start_B1, start_B1 + width_B1]
    begin_B1, end_B1, low_B1, high_B1 = send(mel_BTF.device, *ends)
    frame_T, band_F = (torch.arange(length, device=mel_BTF.device) for length in (frames, bands))
    times_BT = (frame_T >= begin_B1) & (frame_T < end_B1)
    bands_BF = (band_F >= low_B1) & (band_F < high_B1)
    return mel_BTF.masked_fill(times_BT[:, :, None] | bands_BF[:, None], 0.0)

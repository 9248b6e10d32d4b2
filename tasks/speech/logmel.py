"""Log-mel features of 16-bit samples, on the device; and their augmentation, batchwise.

B = batch, F = mel bands, S = samples, T = frames.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

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
    shape_S = torch.hann_window(window, periodic=False, device=wave_BS.device)
    spectrum = torch.fft.rfft((frames_BTS - 0.97 * before_BTS) * shape_S, n=points)
    power = spectrum.real.square() + spectrum.imag.square()
    energy_BTF: Tensor = power @ _filters(rate, bands, points).to(power)
    return energy_BTF.clamp_min(floor).log()


@cache
def _filters(rate: int, bands: int, points: int) -> Tensor:
    """Weights of each band [points / 2 + 1, F]; a band narrower than the spacing of the spectrum is all zero."""
    import warnings

    import torch
    from transformers.audio_utils import mel_filter_bank

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "At least one mel filter has all zero values")
        filters = mel_filter_bank(
            points // 2 + 1, bands, 20, rate // 2, rate, mel_scale="kaldi", triangularize_in_mel_space=True
        )
    return torch.from_numpy(filters).float()


# ------------------------------------------------------------------------------------------- augmentation
# Random numbers are drawn on the CPU, so they are the same on every device.


def shifted(wave_BS: Tensor, generator: torch.Generator, most: int) -> Tensor:
    """Each clip shifted by -most .. most samples, padded with zeros."""
    import torch
    from torch.nn.functional import pad

    size, length = wave_BS.shape
    offset_B1 = torch.randint(0, 2 * most + 1, (size, 1), generator=generator).to(wave_BS.device)
    return pad(wave_BS, (most, most)).gather(1, offset_B1 + torch.arange(length, device=wave_BS.device))


def masked(mel_BTF: Tensor, generator: torch.Generator, most: tuple[int, int]) -> Tensor:
    """One stretch of 0 .. most frames and one of 0 .. most bands set to 0 in each clip.

    SpecAugment (arXiv:1904.08779, section 2) without its warping.
    """
    import torch

    hidden = torch.zeros_like(mel_BTF, dtype=torch.bool)
    for axis, widest in ((1, most[0]), (2, most[1])):
        size, length = len(mel_BTF), mel_BTF.shape[axis]
        width_B1 = torch.randint(0, min(widest, length) + 1, (size, 1), generator=generator)
        start_B1 = (torch.rand(size, 1, generator=generator) * (length - width_B1 + 1)).long()
        at = torch.arange(length)
        stretch = ((at >= start_B1) & (at < start_B1 + width_B1)).to(mel_BTF.device)
        hidden |= stretch.unsqueeze(3 - axis)
    return mel_BTF.masked_fill(hidden, 0.0)

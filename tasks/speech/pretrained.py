"""Audio classifiers of transformers with a new head, from a checkpoint on the hub or in a local folder.

A checkpoint's own feature extractor tells its input: filter banks (AST) or samples (Wav2Vec2, HuBERT, WavLM).
B = batch, S = samples.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import InputError
from schedules.user_code import blamed
from tasks.data import checkpoint
from tasks.speech import logmel

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bench.contract import Batch, Prepare

EXAMPLES = "'MIT/ast-finetuned-audioset-10-10-0.4593' or 'facebook/wav2vec2-base'"
TINY = 1.192092955078125e-07
"""Floor of energies in AST's extractor: float32's epsilon."""


def is_checkpoint(name: str) -> bool:
    """True if the name looks like a checkpoint: a folder, one in `models/`, or OWNER/NAME."""
    return "/" in name or Path(name).is_dir() or checkpoint.folder(name) is not None


def prepare(name: str, rate: int) -> Prepare:
    """A task's `prepare`: samples [B, S] int16 at `rate` to the checkpoint's input.

    Training batches are shifted by up to 0.1 s.

    Raises:
        InputError: there is no such checkpoint, it is no classifier of audio, or needs another kind of input.
    """
    extractor = _extractor(name)
    if extractor.sampling_rate % rate:
        raise InputError(f"{name} takes {extractor.sampling_rate} Hz, no multiple of the {rate} Hz of the recordings")
    times = extractor.sampling_rate // rate

    def prepared(inputs: tuple[Tensor, ...], target: tuple[Tensor, ...], generator: torch.Generator | None) -> Batch:
        wave_BS = logmel.unit(inputs[0])
        if generator is not None:
            wave_BS = logmel.shifted(wave_BS, generator, rate // 10)
        return (_extracted(extractor, _upsampled(wave_BS, times)),), target

    return prepared


def model(name: str, classes: int) -> nn.Module:
    """The checkpoint with a new head for that many classes; input as from `prepare`, output logits [B, classes].

    Masking of features, which draws from numpy's global generator, and dropping of layers are off.

    Raises:
        InputError: transformers cannot build it.
    """
    from transformers import AutoConfig, AutoModelForAudioClassification

    off = {key: value for key, value in _OFF.items() if hasattr(_config(name), key)}
    place, fetch = checkpoint.find(name)
    with blamed(f"{name}: no classifier of audio can be made of it"):
        config = AutoConfig.from_pretrained(place, num_labels=classes, local_files_only=not fetch, **off)
        net, _ = checkpoint.classifier(AutoModelForAudioClassification, place, config, fetch=fetch)
    return _classifier(net)


_OFF = {"apply_spec_augment": False, "layerdrop": 0.0}


def _classifier(net: Any) -> nn.Module:
    from torch import nn

    class Classifier(nn.Module):
        """The network, returning its logits only."""

        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, sound: Tensor) -> Tensor:
            logits: Tensor = self.net(sound).logits
            return logits

    return Classifier()


# ------------------------------------------------------------------------------------------------- input


def _extracted(extractor: Any, wave_BS: Tensor) -> Tensor:
    """The extractor's features of the clips, computed on the device."""
    from torch.nn.functional import pad

    if not hasattr(extractor, "num_mel_bins"):
        if not extractor.do_normalize:
            return wave_BS
        centred_BS = wave_BS - wave_BS.mean(1, keepdim=True)
        return centred_BS / (centred_BS.square().mean(1, keepdim=True) + 1e-7).sqrt()
    mel_BTF = logmel.log_mel(wave_BS, extractor.sampling_rate, extractor.num_mel_bins, TINY)[:, : extractor.max_length]
    mel_BTF = pad(mel_BTF, (0, 0, 0, extractor.max_length - mel_BTF.shape[1]))
    return (mel_BTF - extractor.mean) / (2 * extractor.std) if extractor.do_normalize else mel_BTF


def _upsampled(wave_BS: Tensor, times: int) -> Tensor:
    """Samples at `times` the rate, by padding the spectrum with zeros: exact for all that the old rate can hold."""
    import torch

    if times == 1:
        return wave_BS
    finer_BS: Tensor = torch.fft.irfft(torch.fft.rfft(wave_BS) * times, n=times * wave_BS.shape[1])
    return finer_BS


@cache
def _config(name: str) -> Any:
    from transformers import AutoConfig, AutoModelForAudioClassification

    checkpoint.quiet()
    place, fetch = checkpoint.find(name)
    with blamed(f"{name}: its {checkpoint.CONFIG} is none of transformers"):
        config = AutoConfig.from_pretrained(place, local_files_only=not fetch)
    if type(config) not in AutoModelForAudioClassification._model_mapping:
        raise InputError(f"{name} is a {config.model_type}, not a classifier of audio, such as {EXAMPLES}")
    return config


@cache
def _extractor(name: str) -> Any:
    from transformers import ASTFeatureExtractor, AutoFeatureExtractor, Wav2Vec2FeatureExtractor

    _config(name)
    place, fetch = checkpoint.find(name)
    with blamed(f"{name} has no preprocessor_config.json that says what the model takes"):
        extractor = AutoFeatureExtractor.from_pretrained(  # type: ignore[no-untyped-call]  # transformers' own lack
            place, local_files_only=not fetch
        )
    if not isinstance(extractor, ASTFeatureExtractor | Wav2Vec2FeatureExtractor):
        kind = type(extractor).__name__
        raise InputError(f"{name} takes what a {kind} makes; there are ASTFeatureExtractor, Wav2Vec2FeatureExtractor")
    return extractor

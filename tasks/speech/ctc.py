"""Training and evaluation of recognizers: connectionist temporal classification, and the word error rate.

A target is a row of word numbers from 1 on, padded with 0, which is also CTC's blank.
B = batch, K = words and the blank, L = most words of a target, N = strings of a split, T = frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.contract import Array, Baseline, Data

if TYPE_CHECKING:
    from torch import Tensor

BLANK = 0


def loss(logits_BTK: Tensor, target: Sequence[Tensor]) -> Tensor:
    """Mean over strings of the negative log-likelihood in nats per word (Graves et al. 2006, equation 8).

    Always computed on the CPU: on a GPU, torch's gradient of it is not deterministic.
    """
    import torch
    from torch.nn import functional

    words_BL = target[0].cpu()
    log_TBK = logits_BTK.log_softmax(2).transpose(0, 1).cpu()
    lengths_B = (words_BL != BLANK).sum(1)
    frames_B = torch.full_like(lengths_B, len(log_TBK))
    nats_B = functional.ctc_loss(log_TBK, words_BL, frames_B, lengths_B, blank=BLANK, reduction="none")
    return (nats_B / lengths_B).mean().to(logits_BTK.device)


def score(logits_NTK: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """Word error rate of greedy decoding, the share of strings without an error, and the loss."""
    guesses, truth = greedy(logits_NTK), transcripts(target[0].numpy())
    right = sum(a == b for a, b in zip(guesses, truth, strict=True)) / len(truth)
    return {"wer": wer(guesses, truth), "strings": right, "loss": loss(logits_NTK.double(), target).item()}


def greedy(logits_NTK: Tensor) -> list[list[int]]:
    """Greedy decoding: the likeliest word of each frame, with repetitions merged and blanks removed."""
    rows = logits_NTK.argmax(2).tolist()
    return [[b for a, b in zip([BLANK, *row], row, strict=False) if b not in (a, BLANK)] for row in rows]


def transcripts(words_NL: Array) -> list[list[int]]:
    """Targets without padding, as lists of word numbers."""
    return [[word for word in row if word != BLANK] for row in words_NL.tolist()]


def wer(said: Sequence[Sequence[int]], truth: Sequence[Sequence[int]]) -> float:
    """Word error rate: fewest words to insert, delete or replace in `said`, divided by the words of the truth."""
    return sum(map(_edits, said, truth)) / sum(map(len, truth))


def _edits(said: Sequence[int], truth: Sequence[int]) -> int:
    """Levenshtein distance, computed row by row."""
    row = list(range(len(truth) + 1))
    for i, word in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(truth, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def constant(data: Data) -> Baseline:
    """Word error rate on the test split of a constant answer: the most frequent word, repeated to the mean length."""
    words = data.train.target[0]
    usual = np.bincount(words[words != BLANK]).argmax()
    length = round(float((words != BLANK).sum(1).mean()))
    truth = transcripts(data.test.target[0])
    return Baseline("the most frequent word, repeated", wer([[int(usual)] * length] * len(truth), truth))

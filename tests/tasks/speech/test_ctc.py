"""Connectionist temporal classification against sums over all paths, and word error rates worked out by hand."""

import itertools

import pytest
import torch

from tasks.speech import ctc


def collapsed(path):
    return [b for a, b in zip((0, *path), path, strict=False) if b not in (0, a)]


def test_the_loss_is_that_of_a_sum_over_all_paths():
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.tensor([[1, 1, 0], [2, 0, 0]])
    expected = []
    for row, words in zip(logits.log_softmax(2), ([1, 1], [2]), strict=True):
        paths = [p for p in itertools.product(range(3), repeat=5) if collapsed(p) == words]
        total = torch.logsumexp(torch.stack([sum(row[t, k] for t, k in enumerate(p)) for p in paths]), 0)
        expected.append(-total.item() / len(words))
    assert ctc.loss(logits, [target]).item() == pytest.approx(sum(expected) / 2, rel=1e-12)


def test_greedy_decoding_joins_repetitions_and_drops_blanks():
    path = [0, 3, 3, 0, 3, 1, 1, 0]
    logits = torch.nn.functional.one_hot(torch.tensor([path]), 4).double()
    assert ctc.greedy(logits) == [[3, 3, 1]]


@pytest.mark.parametrize(
    ("answers", "truth", "rate"),
    [
        ([[1, 2, 3]], [[1, 2, 3]], 0),
        ([[]], [[1, 2]], 1),
        ([[1, 2, 3, 4]], [[1, 3]], 1),
        ([[2, 1]], [[1, 2]], 1),
        ([[5, 1, 2], [7]], [[1, 2, 3], [7]], 2 / 4),
    ],
)
def test_the_word_error_rate_counts_insertions_deletions_and_replacements(answers, truth, rate):
    assert ctc.wer(answers, truth) == rate

"""Generated English and the task made of it: what its pairs, splits, scores and model promise."""

import subprocess
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef
from torch.func import functional_call, stack_module_state, vmap

import tasks
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from tasks.metrics import pearson
from tasks.text import generate
from tasks.text.grammar import LENGTH, PAIRS, load_grammar, score
from tests.runs import ROOT

OPEN = {stem for stems in generate.OPEN.values() for stem in stems}


@pytest.fixture(scope="module")
def pairs():
    return {name: list(generate.pairs(name, each, seed)) for seed, (name, each) in enumerate(PAIRS.items())}


def sentences(split):
    return [" ".join(generate.VOCABULARY[i] for i in row[row > 0]) for row in split.inputs[0]]


def test_both_sentences_of_a_pair_are_made_of_the_same_pieces(pairs):
    for pair in [p for some in pairs.values() for p in some]:
        assert Counter(pair.good) == Counter(pair.bad)
        assert pair.good != pair.bad
        assert len(pair.good) <= LENGTH - 2


def test_a_number_pair_differs_in_which_noun_is_plural_and_in_nothing_else(pairs):
    for pair in pairs["train"]:
        if pair.phenomenon == "order":
            continue
        assert pair.good.count("##s") == 1
        assert [p for p in pair.good if p != "##s"] == [p for p in pair.bad if p != "##s"]
        plurals = {s[s.index("##s") - 1] for s in (pair.good, pair.bad)}
        assert len(plurals) == 2
        assert plurals <= set(generate.OPEN["N"])


def test_good_sentences_agree_and_bad_ones_do_not(pairs):
    """The grammar, told a second time: read off the sentences alone, without the frames."""
    number = {w: n for kind in "BSD" for forms in generate.CLOSED[kind] for n, w in enumerate(forms)}
    for pair in pairs["train"]:
        good, bad = (_clash(s, number) for s in (pair.good, pair.bad))
        assert not good, pair
        assert bad or pair.phenomenon == "order", pair


def _clash(sentence, number):
    """Does a determiner differ from the next noun, or a linking verb or reflexive from the subject of its clause?"""
    clauses = " ".join(sentence).split(" and ")
    for clause in (c.split() for c in clauses):
        nouns = [i for i, p in enumerate(clause) if p in generate.OPEN["N"]]
        plural = {i: clause[i + 1 : i + 2] == ["##s"] for i in nouns}
        for i, piece in enumerate(clause):
            if piece in number:
                is_determiner = any(piece in forms for forms in generate.CLOSED["D"])
                owner = min((n for n in nouns if n > i), default=nouns[-1]) if is_determiner else nouns[0]
                if plural[owner] != number[piece]:
                    return True
    return False


def test_an_order_pair_has_two_neighbouring_words_exchanged(pairs):
    for pair in [p for p in pairs["train"] if p.phenomenon == "order"]:
        good, bad = (" ".join(s).replace(" ##", "##").split() for s in (pair.good, pair.bad))
        places = [i for i, two in enumerate(zip(good, bad, strict=True)) if two[0] != two[1]]
        assert len(places) == 2
        assert places[1] == places[0] + 1
        assert good[places[0]] == bad[places[1]]
        assert good[places[1]] == bad[places[0]]


def test_every_phenomenon_has_equally_many_distinct_pairs_and_either_noun_is_the_plural_one(pairs):
    for name, some in pairs.items():
        assert len(set(some)) == len(some)
        assert Counter(p.phenomenon for p in some) == dict.fromkeys(generate.PHENOMENA, PAIRS[name])
        first = np.mean([p.good.index("##s") < len(p.good) / 2 for p in some if p.phenomenon == "determiner"])
        assert 0.25 < first < 0.75


def test_no_open_class_stem_is_in_two_splits():
    stems = [OPEN & set(" ".join(sentences(split)).split()) for split in load_grammar()]
    assert sum(map(len, stems)) == len(set.union(*stems))
    assert [len(words) for words in stems] == [91, 30, 30]


def test_closed_words_and_endings_of_test_are_all_known_from_training():
    train, control, test = (set(" ".join(sentences(split)).split()) - OPEN for split in load_grammar())
    assert train == control == test


def test_the_data_are_what_they_were():
    data = load_grammar()
    assert [s.inputs[0].shape for s in data] == [(2880, 14), (400, 14), (1000, 14)]
    assert [s.target[0].mean() for s in data] == [0.5, 0.5, 0.5]
    assert data.digest() == "57c97bbd3fe0"


def test_loading_the_data_and_the_baseline_imports_no_torch():
    code = "import sys, tasks; t = tasks.parse('grammar'); t.baseline(t.load()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(("longest", "value"), [(1, 0.0), (2, 0.0), (4, 0.08)])
def test_bags_of_words_and_of_ngrams_are_as_weak_as_the_task_says(longest, value):
    data, task = load_grammar(), tasks.parse("grammar")
    counts = CountVectorizer(token_pattern=r"\S+", ngram_range=(1, longest), lowercase=False)
    fit = LogisticRegression(max_iter=1000).fit(counts.fit_transform(sentences(data.train)), data.train.target[0])
    answers = fit.predict(counts.transform(sentences(data.test)))
    assert matthews_corrcoef(data.test.target[0], answers) == pytest.approx(value, abs=0.005)
    assert f"{value:.2f}" in task.chance
    assert longest > 1 or task.baseline(data) == ("bag of words", 0.0)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.93])
def test_matthews_is_that_of_scikit_learn(share):
    draw = np.random.default_rng(0)
    answers, labels = draw.random(300) < share, draw.integers(0, 2, 300)
    assert pearson(answers, labels) == pytest.approx(matthews_corrcoef(labels, answers), abs=1e-12)


def test_one_answer_for_all_scores_zero_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = score(torch.tensor([[0.0, 1.0]]).expand(8, 2), [torch.tensor([0, 1] * 4)])
    assert got["matthews"] == 0
    assert got["accuracy"] == 0.5


def test_padding_changes_no_answer():
    feed = Loader(tasks.parse("grammar"), seed=0, dtype=torch.float64)
    model = initial_model(feed).eval()
    (ids,), _ = feed.batch(0)
    short = ids[(ids[:, -4:] == 0).all(1)]
    assert len(short)
    torch.testing.assert_close(model(short), model(short[:, :-4]), rtol=1e-12, atol=1e-12)


def test_rows_under_vmap_answer_and_learn_like_modules_alone_in_float64():
    task = tasks.parse("grammar")
    feeds = [Loader(task, seed, dtype=torch.float64) for seed in range(3)]
    models = [initial_model(feed) for feed in feeds]
    inputs, target = feeds[0].batch(0)
    weights, buffers = stack_module_state(models)

    def loss_of(weights, buffers):
        return task.loss(functional_call(models[0], (weights, buffers), inputs), target)

    loss_M = vmap(loss_of, randomness="same")(weights, buffers)
    loss_M.sum().backward()
    for i, model in enumerate(models):
        loss = task.loss(model(*inputs), target)
        loss.backward()
        torch.testing.assert_close(loss_M[i], loss, rtol=1e-12, atol=0)
        for name, weight in model.named_parameters():
            torch.testing.assert_close(weights[name].grad[i], weight.grad, rtol=1e-9, atol=1e-14)

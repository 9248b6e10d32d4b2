"""GLUE (Wang et al., arXiv:1804.07461): its nine tasks, with a small BERT from scratch or any encoder of transformers.

N = examples, L = pieces of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.contract import Array, Baseline, Data, Margin, Split, Task
from schedules.spec import choose, render
from tasks import classification
from tasks.data import checkpoint
from tasks.data.registry import PACKS
from tasks.metrics import pearson
from tasks.text import recipe, sentences
from tasks.text.recipe import SMALL

if TYPE_CHECKING:
    from torch import Tensor, nn


class Kind(NamedTuple):
    """One of the nine tasks."""

    title: str
    metric: str  # the headline; accuracy is added to `f1` and `matthews`, Spearman's correlation to `pearson`
    form: sentences.Form
    chance: str


def _two(names: str, first: str = "sentence1", second: str = "sentence2") -> sentences.Form:
    return sentences.Form(tuple(names.split()), (first, second))


def _one(names: str) -> sentences.Form:
    return sentences.Form(tuple(names.split()), ("sentence",))


_MRPC = _two("not_equivalent equivalent")._replace(test=("test",), control="validation")
_MNLI = _two("entailment neutral contradiction", "premise", "hypothesis")
_MNLI = _MNLI._replace(test=("validation_matched", "validation_mismatched"))
_QQP = _two("not_duplicate duplicate", "question1", "question2")
_QNLI = _two("entailment not_entailment", "question", "sentence")
_RTE, _WNLI = _two("entailment not_entailment"), _two("not_entailment entailment")

KINDS = {
    "cola": Kind("acceptability", "matthews", _one("unacceptable acceptable"), "chance and the majority class: 0"),
    "sst2": Kind("sentiment", "accuracy", _one("negative positive"), "the majority class: 0.51"),
    "mrpc": Kind("paraphrase", "f1", _MRPC, "the majority class: 0.80 (accuracy 0.66)"),
    "stsb": Kind("similarity from 0 to 5", "pearson", _two(""), "any constant: 0"),
    "qqp": Kind("duplicate questions", "f1", _QQP, "the majority class: 0"),
    "mnli": Kind("inference", "accuracy", _MNLI, "chance: 0.33"),
    "qnli": Kind("question and answer", "accuracy", _QNLI, "chance: 0.50"),
    "rte": Kind("entailment", "accuracy", _RTE, "the majority class: 0.53"),
    "wnli": Kind("Winograd's pronouns", "accuracy", _WNLI, "the majority class: 0.56"),
}


def glue(task: str = "sst2", model: str = SMALL, *, scratch: bool = False, lora: int = 0) -> Task:
    """One of GLUE's tasks, `glue('rte')`, with a BERT of 2 layers or a checkpoint: `model='bert-base-uncased'`.

    Test is the official dev set, for the labels of most official test sets are not public; of MNLI both dev sets, the
    matched one being the headline; of MRPC the official test set, and its dev set is control. Else 1 in 10 training
    examples, 2,000 at most, are held out as control. AdamW, weight decay 0.01 but on biases and norms, batches of 32;
    3 epochs of a checkpoint, as Devlin et al. (arXiv:1810.04805), 10 of what begins at initial weights.

    Args:
        task: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte or wnli.
        model: `small`, a folder, one of `models/` in the folder of the data, or a name on the hub. A tokenizer that
            is a model of SentencePiece alone needs the extra `sentencepiece`.
        scratch: Take only the configuration and the tokenizer of the checkpoint.
        lora: Rank of low-rank adapters to train, with the head, instead of all weights (the extra `lora`); 0: none.

    Raises:
        InputError: no such task, or settings that do not go together.
    """
    kind = choose(task, KINDS, "task of glue")
    tuned = recipe.is_tuned("glue", model, scratch, lora)
    settings: dict[str, Any] = {} if model == SMALL else {"model": model}
    settings |= ({"scratch": True} if scratch else {}) | ({"lora": lora} if lora else {})
    return Task(
        name=render("glue", (task,), settings),
        family="text",
        source=f"{PACKS['glue'].source}: {kind.title}; {_splits(kind)}",
        metric=kind.metric,
        direction="max",
        load=partial(_load, task, model, tuned),
        model=partial(_model, task, model, scratch, lora),
        loss=squared if kind.form.classes == 1 else classification.loss,
        score=SCORES[kind.metric],
        baseline=partial(bag_of_words, task),
        chance=kind.chance,
        margin=Margin(0.01, "one point, which the leaderboard of GLUE tells apart"),
        **recipe.settings(model, tuned, lora),
    )


def _splits(kind: Kind) -> str:
    control = kind.form.control and f"control is `{kind.form.control}`"
    test = " and ".join(f"`{part}`" for part in kind.form.test)
    return f"test is {test}, {control or '1 in 10 training examples, 2,000 at most, is control'}"


# ------------------------------------------------------------------------------------------- data and models


def _load(task: str, model: str, tuned: bool) -> Data:
    if model == SMALL:
        return sentences.load(task, KINDS[task].form, "")
    return checkpoint.stamped(sentences.load(task, KINDS[task].form, model), model, weights=tuned)


def _model(task: str, model: str, scratch: bool, lora: int) -> nn.Module:
    load = partial(_load, task, model, tuned=False)
    return recipe.network(model, KINDS[task].form.classes, load, scratch=scratch, lora=lora)


# ---------------------------------------------------------------------------------------------------- scores


def squared(output_B1: Tensor, target: Sequence[Tensor]) -> Tensor:
    """Mean squared error of predictions [B, 1] of scores [B]."""
    from torch.nn import functional

    return functional.mse_loss(output_B1[:, 0], target[0])


def score_classes(logits_NK: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """Accuracy in [0, 1] and mean cross-entropy in nats; of MNLI for the matched part, plus the other's accuracy."""
    if len(target) == 1 or not target[1].any():
        return classification.score(logits_NK, target[:1])
    other = target[1] == 1
    matched = classification.score(logits_NK[~other], (target[0][~other],))
    return matched | {"accuracy_mismatched": classification.score(logits_NK[other], (target[0][other],))["accuracy"]}


def score_matthews(logits_N2: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """Matthews correlation in [-1, 1], accuracy and mean cross-entropy."""
    answers = logits_N2.argmax(1).numpy()
    return {"matthews": pearson(answers, target[0].numpy()), **classification.score(logits_N2, target)}


def score_f1(logits_N2: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """F1 of the second class in [0, 1], accuracy and mean cross-entropy."""
    return {"f1": f1(logits_N2.argmax(1).numpy(), target[0].numpy()), **classification.score(logits_N2, target)}


def score_numbers(output_N1: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """Correlations of Pearson and Spearman in [-1, 1], and the mean squared error."""
    from scipy.stats import rankdata

    guess, truth = output_N1[:, 0].double().numpy(), target[0].double().numpy()
    ranks = pearson(rankdata(guess), rankdata(truth))
    return {"pearson": pearson(guess, truth), "spearman": ranks, "loss": float(np.square(guess - truth).mean())}


SCORES: dict[str, Callable[[Any, Sequence[Tensor]], dict[str, float]]] = {
    "accuracy": score_classes,
    "matthews": score_matthews,
    "f1": score_f1,
    "pearson": score_numbers,
}


def f1(answers: Array, labels: Array) -> float:
    """2 TP / (2 TP + FP + FN) of the second class; 0 if there are no true positives."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, answers, zero_division=0.0))


def bag_of_words(task: str, data: Data) -> Baseline:
    """The headline of TF-IDF over pieces with logistic (of STS-B ridge) regression, trained on the train split."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression, Ridge

    assert isinstance(data.train, Split)
    assert isinstance(data.test, Split)
    width = 1 + int(max(split.inputs[0].max() for split in (data.train, data.test)))

    def counts(split: Split) -> Any:
        ids, kinds = split.inputs
        rows, columns = np.nonzero(kinds)
        return csr_array((np.ones(len(rows)), (rows, ids[rows, columns])), shape=(len(ids), width))

    weigh = TfidfTransformer(sublinear_tf=True)
    train, test = weigh.fit_transform(counts(data.train)), weigh.transform(counts(data.test))
    kind = KINDS[task]
    learner = Ridge() if kind.form.classes == 1 else LogisticRegression(max_iter=1000)
    answers = learner.fit(train, data.train.target[0]).predict(test)
    labels, name = data.test.target[0], "TF-IDF over words, linear"
    if kind.metric == "accuracy":
        first = data.test.target[1] == 0 if len(data.test.target) > 1 else slice(None)
        return Baseline(name, float(np.mean((answers == labels)[first])))
    return Baseline(name, f1(answers, labels) if kind.metric == "f1" else pearson(answers, labels))

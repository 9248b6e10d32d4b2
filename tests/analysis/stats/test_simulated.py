"""Simulated experiments of the size of `core`: how often the report is wrong, and how often it finds what is there."""

from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.comparison import Comparison
from bench.analysis.protocol import sequential
from bench.analysis.protocol.primary import PrimaryTest
from bench.analysis.stats.tests import sign_flip
from bench.ledger.rows import Margin
from tests.analysis import simulate
from tests.analysis.simulation import experiments, protocol

COUNT = 150


@pytest.fixture(scope="module")
def models():
    return experiments.models()


@pytest.fixture(scope="module")
def drawn(models):
    return simulate.Drawn.anew(models, COUNT, seed=1, looks=(8, 12))


def at_most(share):
    """Largest share of the experiments that is compatible with a true one, by two standard errors."""
    return share + 2 * np.sqrt(share * (1 - share) / COUNT)


# ------------------------------------------------------------------------------------ the simulation is the protocol


def test_the_simulation_chooses_peak_lrs_as_the_report_does(models):
    for n in (4, 8):
        values, _ = models["vowels"].draw(5, n, np.random.default_rng(0))
        assert (models["vowels"].finals(values).values[..., 0] == experiments.chosen_one_by_one(values)).all()


def test_one_set_of_signs_gives_the_p_of_sign_flips():
    draw = np.random.default_rng(0)
    for blocks in ((8, 8, 8), (8, 8, 8, 8, 8, 8)):
        tasks = [[draw.normal(shift, 1, n) for n in blocks] for shift in np.linspace(0, 0.6, 8)]
        share = [np.concatenate([protocol._standard(d, 0) / len(d) / len(x) for d in x]) for x in tasks]
        p, exact = protocol.p_values(np.array(share)), np.array([sign_flip(x).p for x in tasks])
        few = exact < protocol.OPEN
        assert (np.abs(p - exact)[few] <= 4 * np.sqrt(exact / protocol.DRAWS)[few] + 5e-5).all()
        assert (p[~few] > 0.05).all()


def comparison(models, seen, n_by_task, looks=()):
    """Comparison of one drawn experiment, with the first so many seeds of each task."""
    study = next(iter(models.values())).study
    facts = {t: replace(study.tasks[t], margin=Margin(m.margin, ""), baseline=None) for t, m in models.items()}
    plan = replace(study.plan, tasks=facts, seed_looks=tuple(looks))
    tries = (t for task, m in models.items() for t in m.tries(seen[task][:, : n_by_task[task]]))
    return Comparison(replace(study, plan=plan, tries=tuple(tries)))


def planted(models, n, sizes):
    """Drawn values by task [E, K, N, S, L, B], with a lead of these sizes in margins of each strategy."""
    draw, found = np.random.default_rng(5), {}
    for task, model in models.items():
        found[task], _ = model.draw(3, n, draw)
        for k, name in enumerate(model.strategies):
            found[task][:, k, :, 1:] += sizes.get(name, 0.0) * model.margin
    return found


SIZES = {"linear": 4.0, "cosine": -4.0, "wsd": 1.5, "rex": 2.0}


def test_the_simulation_tests_as_the_report_does(models):
    seen = planted(models, 8, SIZES)
    few = simulate.Drawn.of(models, seen, (8,))
    it = protocol.primary_test(few.blocks(8), swaps=few.swaps_at(8))
    for e in range(3):
        one = {task: values[e] for task, values in seen.items()}
        hypotheses = PrimaryTest(comparison(models, one, dict.fromkeys(models, 8))).hypotheses
        assert {h.strategy for h in hypotheses} == {
            s for s, word in zip(few.names, it.word[e], strict=True) if word != protocol.ABSENT
        }
        for h in hypotheses:
            at = e, few.names.index(h.strategy)
            assert h.word == protocol.WORDS[it.word[at]]
            assert (h.effect.mean, h.effect.half) == pytest.approx((it.mean[at], it.half[at]))
            if h.adjusted <= 0.05:
                assert it.adjusted[at] == pytest.approx(h.adjusted, rel=0.3, abs=2e-3)


def test_the_simulation_adds_seeds_as_the_rule_does(models):
    some = {task: models[task] for task in ("vowels", "digits(model='cnn')")}
    looks, seen = (8, 10, 12), planted(some, 12, SIZES)
    few = simulate.Drawn.of(some, seen, looks)
    course = protocol.sequential(few.by_look(), looks, swaps=few.swaps)
    for e in range(3):
        one, n = {task: values[e] for task, values in seen.items()}, dict.fromkeys(some, looks[0])
        for look in range(len(looks) - 1):
            needed = sequential.undecided_tasks(comparison(some, one, n), looks, look)
            n |= {task: looks[look + 1] for task in needed if n[task] == looks[look]}
        assert list(n.values()) == course.n[e].tolist()
        for h in sequential.verdicts(comparison(some, one, n, looks)):
            assert h.word == protocol.WORDS[course.word[e, few.names.index(h.strategy)]]


# ------------------------------------------------------------------------------------------------- what is promised


def test_nothing_is_significant_where_nothing_differs(drawn):
    swaps, flips = simulate.false_alarms(drawn, 8)
    assert swaps[0] <= at_most(0.05)
    assert swaps[0] <= flips[0]
    assert max(simulate.false_alarms_of_looks(drawn)) <= at_most(0.05)


def test_intervals_cover_means_and_differences_as_often_as_they_claim(drawn):
    for shares in list(zip(*simulate.coverage(drawn, 8).values(), strict=True))[:2]:
        assert 0.93 <= np.concatenate(shares).mean() <= 0.97
    assert 0.90 <= simulate.pooled_coverage(drawn, 8)[0] <= 0.97  # 91.9 % of 2,000: see results/README.md


def test_a_difference_of_one_margin_is_seldom_called_equal(drawn):
    assert np.concatenate(list(simulate.equal_by_task(drawn, 8).values())).max() <= at_most(0.05)
    assert max(simulate.equal_pooled(drawn, spread=True)[:2]) <= 0.05


def test_a_planted_difference_of_the_printed_size_is_found(drawn):
    assert np.concatenate(list(simulate.power_by_task(drawn, 8, 100).values())).mean() >= 0.78  # 79.5 % of 2,000
    assert simulate.power_pooled(drawn, 8, "cosine")[0] >= 0.80 - 2 * np.sqrt(0.8 * 0.2 / COUNT)


def test_looks_cost_less_where_the_difference_is_large(models):
    few = simulate.Drawn.anew(models, 50, seed=2)
    found = simulate.costs(few, simulate.deviations(few, 1.0))
    assert found.decided >= 0.95
    assert found.one <= 0.5

"""Simulated experiments of the size of `core`: how often the report is wrong, and how often it finds what is there."""

import numpy as np
import pytest

from tests.analysis import simulate


@pytest.fixture(scope="module")
def experiments():
    """(models, what was drawn of each task, its final values) of 400 experiments without any true difference."""
    by_task, draw = simulate.models(), np.random.default_rng(1)
    seen = {task: model.draw(400, draw) for task, model in by_task.items()}
    return by_task, seen, {task: simulate.finals(values) for task, (values, _) in seen.items()}


def test_the_simulation_chooses_peak_lrs_as_the_report_does(experiments):
    values = experiments[1]["vowels"][0][:5]
    assert (simulate.finals(values) == simulate.chosen_one_by_one(values)).all()


def test_nothing_is_significant_where_nothing_differs(experiments):
    by_task, _, drawn = experiments
    rejected, _ = simulate.family_wise(by_task, drawn)
    assert rejected <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_intervals_cover_means_and_differences_as_often_as_they_claim(experiments):
    by_task, seen, _ = experiments
    of_tasks = [simulate.coverage(*seen[task], model.grain) for task, model in by_task.items()]
    for shares in map(np.concatenate, zip(*of_tasks, strict=True)):
        assert 0.93 <= shares.mean() <= 0.97
        assert shares.min() > 0.90


def test_a_planted_difference_of_the_printed_size_is_found(experiments):
    powers = [simulate.detection_power(values[:100, :, :, -1]) for values in experiments[2].values()]
    assert np.mean(powers) >= 0.80

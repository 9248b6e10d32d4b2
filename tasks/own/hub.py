"""Texts of any data set of the hub, classified; downloads need `--data hub`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.contract import Task
from tasks.data import places
from tasks.own import scores
from tasks.own.texts import texts_task
from tasks.text import recipe


def hub(
    name: str = "OWNER/NAME",
    model: str = recipe.SMALL,
    *,
    text: str | Sequence[str] = "text",
    label: str = "label",
    config: str = "",
    metric: str = scores.HEADLINE,
    margin: float = scores.MARGIN,
) -> Task:
    """Texts of a data set of the hub, classified: `hub('stanfordnlp/imdb', text='text', label='label')`, `--data hub`.

    Its parts train, validation and test are kept, and what is missing is held out of train by content
    (`tasks/own/splits.py`). Models and settings are those of `texts`.

    Args:
        name: The data set's name on the hub.
        model: As of `texts`.
        text: The column of the texts, or two for pairs.
        label: The column of the classes.
        config: The configuration of the data set, if it has several.
        metric: The headline: balanced_accuracy, macro_f1 or accuracy.
        margin: The smallest difference of it worth having.

    Raises:
        InputError: no such metric, or settings that do not go together.
    """
    model, place = places.recorded_checkpoint(model), places.on_hub(name, config)
    own: dict[str, Any] = {"model": model, "text": text, "label": label, "metric": metric, "margin": margin}
    return replace(texts_task("hub", place, **own), name=places.call(hub, name, own | {"config": config}))

"""Gallery of the LR curves of every schedule: small multiples on one page."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import schedules
from bench.contract import Clock, InputError, Signals
from bench.report import catalogue
from bench.report.markup import Facts, Section

if TYPE_CHECKING:
    from matplotlib import figure

UPDATES, EPOCH_STEPS, PEAK = 200, 20, 0.1

EXAMPLES = {
    "exponential": "exponential(gamma=0.8)",
    "multistep": "multistep([5, 8])",
    "piecewise": "piecewise([0.2, 0.5, 1], [0.8, 0.2, 0])",
    "plateau": "plateau(patience=1)",
    "restarts": "restarts(every=4)",
    "warmup": "warmup(linear, epochs=3)",
    "cooldown": "cooldown(inverse_sqrt, fraction=0.4)",
    "stages": "stages([constant, cosine], [0.5, 0.5])",
    "chain": "chain([linear, step(every=2, gamma=0.7)])",
    "scale": "scale(cosine, 0.5)",
    "floor": "floor(linear, 0.2)",
    "noise": "noise(cosine)",
    "torch": "torch('CosineAnnealingLR', T_max='total')",
    "timm": "timm('TanhLRScheduler', t_initial='total', t_in_epochs=False)",
    "transformers": "transformers('get_cosine_schedule_with_warmup', num_warmup_steps=20, num_training_steps='total')",
}
"""Calls that are drawn of schedules that need settings, or show little with their defaults."""


def calls(name: str) -> list[str]:
    """Calls to draw of a schedule: its example or defaults, and each other value of the settings that are a choice."""
    factory, text = schedules.CATALOGUE[name], EXAMPLES.get(name, name)
    try:
        texts = [schedules.parse(text).text]
    except InputError:  # it needs settings, and there is no example
        return []
    for setting in inspect.signature(factory).parameters.values():
        for value in _choices(setting.annotation):
            if value != setting.default:
                texts.append(_with(text, setting.name, value))
    return list(dict.fromkeys(texts))


def _choices(hint: Any) -> tuple[object, ...]:
    if hint is bool:
        return (False, True)
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(value for part in get_args(hint) if get_origin(part) is Literal for value in get_args(part))


def _with(text: str, setting: str, value: object) -> str:
    more = f"{setting}={value!r}"
    return schedules.parse(f"{text[:-1]}, {more})" if text.endswith(")") else f"{text}({more})").text


def curve(text: str) -> list[float]:
    """Factors over ten epochs. A closed-loop schedule sees a loss that levels off, and gradients that turn."""
    schedule = schedules.parse(text)
    state, factors = schedule.init(), []
    for step in range(UPDATES):
        loss = max(0.3, 2 - 4 * step / UPDATES)
        turn = 1 - 2 * step / UPDATES
        signals = Signals(loss, grad_norm=5.0, control=1 / loss, evaluations=step // EPOCH_STEPS, grad_dot=25 * turn)
        setting, state = schedule(state, Clock(step, UPDATES, EPOCH_STEPS, PEAK), signals if schedule.needs else None)
        factors.append(setting.factor)
    return factors


def write(path: Path) -> None:
    """Write the page to `path`.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:  # before curves are drawn, as it may be refused
            html = _html()
            file.truncate(0)
            file.write(html)
    except OSError as error:
        raise InputError(f"--page {path}: {error.strerror}; give a file that can be written") from None


def _html() -> str:
    import matplotlib as mpl

    from bench.report import figures, page

    with TemporaryDirectory() as folder, mpl.rc_context(figures.SETTINGS):
        sections = [Section("Learning-rate schedules", _head())]
        for module, names in _families():
            texts = [text for name in names for text in calls(name)]
            drawings = [figures.save(_panels(texts), Path(folder), module, "Factor over ten epochs.")] if texts else []
            sections.append(Section(", ".join(names), (*drawings, *map(_facts, names))))
        return page.html(sections, Path(folder))


def _head() -> tuple[str, ...]:
    alone = [name for name in schedules.CATALOGUE if not calls(name)]
    return (
        "lr = peak LR * factor, over ten epochs of 20 updates. Each panel is a call: the defaults or an example, and "
        "every other choice of a setting. Closed-loop schedules see a made-up training loss that falls for four epochs "
        "and then stands still.",
        *([f"Not drawn, since they need more than numbers: {', '.join(alone)}."] if alone else []),
    )


def _families() -> Iterator[tuple[str, list[str]]]:
    """Names of the schedules of each module."""
    families: dict[str, list[str]] = {}
    for name, factory in schedules.CATALOGUE.items():
        families.setdefault(factory.__module__.rpartition(".")[2], []).append(name)
    yield from families.items()


def _facts(name: str) -> Facts:
    factory = schedules.CATALOGUE[name]
    settings = "\n".join(map(": ".join, catalogue.settings(factory))) or "none"
    description = f"{catalogue.summary(factory)} Horizon: {factory.horizon}."
    return Facts(((name, description), ("formula", factory.formula), ("settings", settings), ("source", factory.paper)))


def _panels(texts: Sequence[str]) -> figure.Figure:
    from bench.report import figures

    drawing, panels = figures.multiples(len(texts), 4, (2.7, 1.8))
    for axes, text in zip(panels, texts, strict=True):
        axes.plot([t / EPOCH_STEPS for t in range(UPDATES)], curve(text), color=figures.COLOURS[0], linewidth=1.6)
        axes.set_ylim(bottom=0)
        axes.set_title("\n".join(textwrap.wrap(text, 44)), fontsize=7, loc="left")
        axes.tick_params(labelsize=7)
    return drawing

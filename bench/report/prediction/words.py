"""The output of `glideslope predict`: errors on what was held out, then predictions, or why there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.analysis.prediction.predictor import Prediction, Predictor
from bench.analysis.prediction.recorded import BINS
from bench.analysis.stats.correlation import kendall
from bench.report import write
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, listed, number, percent, quantity
from bench.report.prediction.orders import of_noise

if TYPE_CHECKING:
    from rich.console import Console

    from bench.analysis.recommend.extrapolation import Extrapolation

Measured = Mapping[tuple[str, int], float]
"""Measured final training losses, by schedule and number of updates."""


def show_trials(p: Predictor, console: Console) -> None:
    """Print how well each law predicts what was held out, and every error of the best one."""
    r = p.readings
    seeds = max(len(c.losses) for c in r.recorded)
    _say(
        console,
        f"{r.task}: training loss of {quantity(len(r.schedules), 'schedules')} at peak LR {r.peak_lr:g}, "
        f"{quantity(len(p.budgets), 'budgets')}, {quantity(seeds, 'seeds')}; a final loss is the mean over the last "
        f"1/{BINS} of a budget.",
    )
    write.print_table(_laws(p), console)
    write.print_table(_held_out(p), console)
    for line in errors(p):
        _say(console, line)


def errors(p: Predictor) -> Iterator[str]:
    """The best law's errors in words, beside the spread that they have to be below."""
    best = p.best
    yield (
        f"Each schedule was held out in turn, at all budgets. The {best.law.name} law ({best.law.source}) is off by "
        f"{number(best.error)} (root mean square); schedules spread by {number(p.spread)} (standard deviation)."
    )
    phrases = [f"{number(o.tau)}{of_noise(o.ceiling)} at {percent(o.budget)}" for o in p.orders]
    if phrases:
        yield (
            f"Kendall's tau of the order of held-out schedules with the measured one: {'; '.join(phrases)}. "
            "After “of” stands what the true order would reach, given the noise of seeds."
        )
    if (h := p.horizon) is None:
        yield "There is no shorter budget to fit alone, so the error at a longer one is unknown."
    else:
        yield (
            f"At the largest budget, {h.longer:.3g} times as long, a fit to the shorter ones is off by "
            f"{number(h.offset, signed=True)} for all schedules alike, and by {number(h.between)} between them."
        )


def refusal(p: Predictor) -> str | None:
    """A sentence that says why nothing is predicted, if so."""
    match p.refusal:
        case "schedules":
            error = f"{number(p.best.error)} on schedules that were held out"
        case "budget" if p.horizon:
            error = f"{number(p.horizon.between)} between schedules at the largest budget when it was held out"
        case _:
            return None
    more = "; no longer budget is predicted" if p.refusal == "budget" else ""
    return f"No prediction for {p.readings.task}: the best law is off by {error}, no less than their spread{more}."


def beyond(extrapolation: Extrapolation) -> Iterator[str]:
    """Predictions for a budget beyond the recorded ones, in `glideslope recommend`."""
    p, predictions = extrapolation
    if reason := refusal(p):
        yield f"The budget is beyond the recorded ones. {reason}"
        return
    first, *rest = predictions
    same = [v.schedule for v in rest if v.loss - first.loss <= max(v.between, first.between)]
    yield (
        f"The budget is beyond the recorded ones, so this is predicted, not measured: by the {p.best.law.name} law, "
        f"{first.schedule} at peak LR {p.readings.peak_lr:g} ends with the lowest training loss, "
        f"{number(first.loss, first.half)} (95 % interval; {first.distance.longer:.3g} times as long as what was "
        f"fitted; off by {number(p.best.error)} on schedules that were held out, which spread by {number(p.spread)})."
    )
    if same:
        yield f"The law does not tell it apart from {listed(same)}."


def show_predictions(predictions: Sequence[Prediction], measured: Measured, console: Console) -> None:
    """Print predictions, best first within each budget, and the measured losses where there are any."""
    rows, compared = [], []
    for v in sorted(predictions, key=lambda v: (v.budget, v.loss)):
        loss = measured.get((v.schedule, v.total))
        compared += [] if loss is None else [(v, loss)]
        ends = (MISSING, MISSING) if loss is None else (number(loss), number(v.loss - loss, signed=True))
        texts = percent(v.budget), number(v.loss), digits(v.half), digits(v.between), *ends
        rows.append((Item(v.schedule), *map(Item, texts)))
    head = ("schedule", "budget", "predicted", "±", "± in order", "measured", "error")
    write.print_table(Table("Predicted final training loss", head, tuple(rows)), console)
    _say(console, "±: 95 % interval, of resampled seeds and held-out errors; in order: without what schedules share.")
    for line in distances(predictions):
        _say(console, line)
    if compared:
        inside = sum(abs(v.loss - loss) <= v.half for v, loss in compared)
        _say(console, f"{inside} of {len(compared)} measured losses lie within the interval.")


def distances(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Distance of the predictions at each budget from what was fitted.

    >>> from bench.analysis.prediction.predictor import Distance
    >>> [*distances([Prediction("wsd", 2.0, 200, 1.0, 0.1, 0.1, Distance(2.0, True, False))])]
    ['At 200 %: 2 times as long as the longest fitted run; LRs below the fitted ones: wsd.']
    """
    for budget in dict.fromkeys(v.budget for v in predictions):
        own = [v for v in predictions if v.budget == budget]
        longer = own[0].distance.longer
        words = [f"{longer:.3g} times as long as the longest fitted run" if longer > 1.001 else "no longer than fitted"]
        for side, names in (
            ("below", [v.schedule for v in own if v.distance.below]),
            ("above", [v.schedule for v in own if v.distance.above]),
        ):
            words += [f"LRs {side} the fitted ones: {listed(names)}"] if names else []
        words += ["LRs within the fitted ones"] if len(words) == 1 else []
        yield f"At {percent(budget)}: {'; '.join(words)}."


def digits(half: float) -> str:
    """Half of an interval, with two significant digits.

    >>> digits(0.09288), digits(0.0)
    ('0.093', '0')
    """
    return f"{half:.2g}"


def _laws(p: Predictor) -> Table:
    rows = [
        (Item(t.law.name), Item(number(t.error)), Item(_tau(p, i)), Item(t.law.source)) for i, t in enumerate(p.trials)
    ]
    return Table("Laws", ("law", "error on held-out schedules", "tau of their order", "source"), tuple(rows))


def _tau(p: Predictor, trial: int) -> str:
    """Kendall's tau of predicted and measured order, of schedules that were held out, averaged over budgets."""
    taus = []
    for budget in p.budgets:
        own = [h for h in p.trials[trial].held_out if h.budget == budget]
        taus.append(kendall([h.predicted for h in own], [h.measured for h in own]))
    sound = [tau for tau in taus if tau is not None]
    return number(sum(sound) / len(sound)) if sound else MISSING


def _held_out(p: Predictor) -> Table:
    """Measured and predicted losses of the best law."""
    by_schedule = {s: {h.budget: h for h in p.best.held_out if h.schedule == s} for s in p.readings.schedules}
    last = p.budgets[-1]
    rows = []
    for s, own in sorted(by_schedule.items(), key=lambda pair: pair[1][last].measured if last in pair[1] else 0.0):
        cells = [f"{number(h.predicted)} / {number(h.measured)}" if (h := own.get(b)) else MISSING for b in p.budgets]
        rows.append((Item(s), *map(Item, cells)))
    head = ("schedule", *map(percent, p.budgets))
    return Table(f"Held out: predicted / measured ({p.best.law.name})", head, tuple(rows))


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False)

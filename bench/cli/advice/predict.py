"""`glideslope predict`: the training loss of schedules and budgets that were not run, from recorded traces."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import Commands, new_console, numbers, path, whole
from bench.contract import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.analysis.prediction.predictor import Prediction, Predictor
    from bench.analysis.prediction.recorded import Readings
    from bench.analysis.prediction.saved import Saved
    from bench.analysis.results import Study
    from bench.report.prediction.words import Measured

KNOTS, MOST_KNOTS = 6, 20


def add(commands: Commands) -> None:
    """Add `predict` to the command line."""
    parser = commands.add_parser("predict", help="training losses of schedules and budgets that were not run, by laws")
    add = parser.add_argument
    add("directory", type=path, metavar="DIR", help="a run with its traces")
    add("--task", metavar="T", help="default: every task of the run")
    add("--schedules", metavar='"A, B"', help="open-loop schedules; default: those that were run")
    add("--budgets", type=numbers, metavar="B,B", help="shares of the full budget; default: twice the largest recorded")
    add("--peak-lr", type=float, metavar="LR", help="a recorded peak LR; default: the best one at the largest budget")
    add("--best", type=whole, nargs="?", const=KNOTS, metavar="KNOTS", help="search the decay that the law prefers")
    add("--measured", type=path, metavar="DIR", help="a run that has some of what is predicted, to compare with")
    add("--out", type=path, metavar="FOLDER", help="of the figure; default: DIR/figures")
    parser.set_defaults(do=predict)


def predict(args: argparse.Namespace) -> int:
    """Print and draw predictions of each task.

    Returns 1 where a task has none: a law's error on what was held out forbids them, or its runs do not suffice.

    Raises:
        InputError: no traces, too few schedules or updates, or a schedule or budget that cannot be predicted.
    """
    from bench.analysis.prediction import recorded

    if args.best is not None and not 1 < args.best <= MOST_KNOTS:
        raise InputError(f"--best {args.best}: give 2 to {MOST_KNOTS} knots")
    if args.budgets and not all(0 < b < float("inf") for b in args.budgets):
        raise InputError(f"--budgets {', '.join(f'{b:g}' for b in args.budgets)}: give numbers above 0")
    args.names = _texts(args.schedules)
    for name in args.names:
        recorded.open_loop_lrs(name, 2, 1, 1.0)
    study = recorded.study(args.directory)
    names = list(study.tasks) if args.task is None else [_task(args.directory, study, args.task)]
    console = new_console()
    failed = 0
    for i, name in enumerate(names):
        if i:
            console.print()
        try:
            failed += not _predict_task(args, study, name, console)
        except InputError as error:
            if len(names) == 1:
                raise
            failed += 1
            console.print(f"{error}.", highlight=False, markup=False)
    return 1 if failed else 0


def _texts(text: str | None) -> list[str]:
    import schedules

    return [] if text is None else [schedule.text for schedule in schedules.parse_list(text)]


def _task(directory: Path, study: Study, text: str) -> str:
    import tasks

    name = text if text in study.tasks else tasks.parse(text).name
    if name not in study.tasks:
        raise InputError(f"{directory} has no task {name}; it has {', '.join(study.tasks)}")
    return name


def _predict_task(args: argparse.Namespace, study: Study, task: str, console: Console) -> bool:
    """Print one task's part; False if the laws fail on it."""
    from bench.analysis.prediction import recorded, saved
    from bench.analysis.prediction.predictor import Predictor
    from bench.report.prediction import figure, words

    notes: list[str] = []
    readings = recorded.read(args.directory, study, task, args.peak_lr, notes)
    p = Predictor(readings)
    budgets = args.budgets or (2 * readings.budgets[-1],)
    for budget in budgets:
        p.updates(budget)
    measured = _measured(args.measured, readings, notes)
    words.show_trials(p, console)
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    reason = words.refusal(p)
    predictions: list[Prediction] = []
    if p.refusal != "schedules":
        allowed = [b for b in budgets if p.refusal is None or b <= readings.budgets[-1]]
        forecast = args.names or list(readings.schedules)
        predictions = [p.predict(name, budget) for budget in allowed for name in forecast]
        predictions += [_best(args, p, b, console) for b in allowed] if args.best else []
        if predictions:
            words.show_predictions(predictions, measured, console)
    if reason:
        console.print(reason, highlight=False, markup=False)
    _save(args.directory, saved.of(p, sum(t.task == task for t in study.tries)), task)
    place = figure.draw(p, predictions, measured, args.out or _figures(args.directory))
    console.print(f"Figure: {place}", highlight=False, markup=False, soft_wrap=True)
    return reason is None


def _save(directory: Path, of_task: list[Saved], task: str) -> None:
    """Write a task's held-out predictions into the run's file, for its report; those of other tasks stay."""
    from bench.analysis.prediction import saved
    from bench.ledger import atomic, paths
    from bench.report.csv_tables import csv_text

    target = paths.prediction(directory)
    rest = [s for s in saved.read(target) if s.task != task]
    text = csv_text(saved.COLUMNS, saved.lines([*rest, *of_task]))
    atomic.write(target, lambda file: file.write(text.encode()))


def _figures(directory: Path) -> Path:
    from bench.ledger import paths

    return paths.figures(directory)


def _measured(directory: Path | None, readings: Readings, notes: list[str]) -> Measured:
    """Measured losses of the run itself, and of another one at the same peak LR."""
    from bench.analysis.prediction import recorded

    curves = list(readings.recorded)
    if directory is not None:
        study = recorded.study(directory)
        if readings.task not in study.tasks:
            raise InputError(f"{directory} has no task {readings.task}; it has {', '.join(study.tasks)}")
        curves += recorded.read(directory, study, readings.task, readings.peak_lr, notes).recorded
    return {(r.schedule, r.total): float(r.finals.mean()) for r in curves}


def _best(args: argparse.Namespace, p: Predictor, budget: float, console: Console) -> Prediction:
    """Search a decay, print it and the command that runs it, and return its prediction."""
    import schedules
    from bench.analysis.prediction.shape import search

    total = p.updates(budget)
    text = schedules.parse(search(p.loss, total, p.readings.peak_lr, args.best).text).text
    console.print(f"The {p.best.law.name} law prefers, at budget {budget:g}: {text}", highlight=False, markup=False)
    seeds = max(len(r.losses) for r in p.readings.recorded)
    words = ["glideslope", "run", "--tasks", p.readings.task, "--schedules", f"constant, {text}"]
    words += ["--budgets", f"{budget:g}", "--peak-lrs", f"{p.readings.peak_lr:g}", "--seeds", str(seeds)]
    console.print("To test it:", highlight=False)
    console.print(f"  {shlex.join([*words, '--out', 'runs/best'])}", highlight=False, markup=False, soft_wrap=True)
    return p.predict(text, budget)

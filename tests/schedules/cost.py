"""What an update costs, and what deciding its LR costs: `python -m tests.schedules.cost results/cost.csv`.

Process CPU time on one thread, the median of several rounds. An update is look and move of one member on the engine
`modules`, with nothing shared: plain training. A decision is what the loop does for a cell at each update: it asks the
schedule for its factor, checks it, and makes a move of it. What a closed-loop schedule costs by waiting for a GPU's
losses is not in it.
"""

import csv
import statistics
import sys
import time
from pathlib import Path

import torch

import schedules
import tasks
from bench.contract import Cell, Signals
from bench.engine.loader import Loader
from bench.suites import EVERY
from bench.train.decisions import Decisions
from tests.speed.contestants import Crew, timed

ROUNDS = 7
UPDATES = 2000
TASKS = "digits, digits(model='cnn'), mnist5k, scenes, grammar, vowels"


def decision(text):
    """CPU seconds of one decision of a schedule."""
    schedule = schedules.parse(text)
    cell = Cell("t", schedule.text, "sgd", 0.1, 0.0, 1.0, UPDATES, 0, "d")
    seen = [Signals(1.0 / (k + 1), 1.0, 0.5, k // 20, 0.1) for k in range(UPDATES)]
    rounds = []
    for _ in range(ROUNDS):
        asked = Decisions([cell], {schedule.text: schedule}, 20)
        start = time.process_time()
        for k in range(UPDATES):
            asked.ask(0, k, seen[k])
        rounds.append((time.process_time() - start) / UPDATES)
        assert not asked.failed
    return statistics.median(rounds)


def update(task):
    """CPU seconds of one update of a single member."""
    feed, member = Loader(task, 0), Crew("modules", task, 1)
    batches = [feed.batch(k) for k in range(10)]
    return statistics.median(timed(member, batches)[0] for _ in range(ROUNDS))


def main(path):
    torch.set_num_threads(1)
    lines = [("update", task.name, update(task)) for task in tasks.parse_list(TASKS)]
    lines += [("decision", text, decision(text)) for text in EVERY]
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("of", "name", "microseconds"))
        table.writerows((of, name, f"{1e6 * seconds:.3g}") for of, name, seconds in lines)


if __name__ == "__main__":
    main(sys.argv[1])

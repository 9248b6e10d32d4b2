"""How many times as fast as `modules` is `stacked`? `python tests/engine/speed.py "digits" 16 32`, on one thread.

Process CPU time of look and move, the engines in turn, the median of several rounds.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

import tasks
from bench import engine
from bench.contract import Move
from bench.engine.loader import Loader

ROUNDS = 7
SECONDS = 0.3  # a round of the slower engine, about


def crew(name, task, members):
    """An engine with so many members."""
    built = engine.create(name, Loader(task, 0), task.optimizer, task.weight_decay)
    built.take([0] * members)
    return built


def spent(members, trained, batches):
    """CPU seconds of one update of all members."""
    moves = [Move(1e-3 * (i + 1)) for i in range(members)]
    start = time.process_time()
    for step, batch in enumerate(batches):
        trained.look(batch, step)
        trained.move(moves)
    taken = time.process_time() - start
    trained.history()
    return taken / len(batches)


def measure(task, members):
    """Member-steps per CPU second of both engines."""
    crews = {name: crew(name, task, members) for name in ("modules", "stacked")}
    loader = Loader(task, 0)
    once = max(spent(members, c, [loader.batch(0)] * 3) for c in crews.values())
    batches = [loader.batch(k) for k in range(max(2, int(SECONDS / once)))]
    rounds = [{name: spent(members, c, batches) for name, c in crews.items()} for _ in range(ROUNDS)]
    return {name: members / statistics.median(r[name] for r in rounds) for name in crews}


def main(text, *members):
    torch.set_num_threads(1)
    print(f"{'task':28} {'M':>3} {'modules':>9} {'stacked':>9}  ratio   (member-steps per CPU second)")
    for task in tasks.parse_list(text):
        for m in map(int, members):
            rate = measure(task, m)
            ratio = rate["stacked"] / rate["modules"]
            print(f"{task.name:28} {m:3} {rate['modules']:9,.0f} {rate['stacked']:9,.0f}  {ratio:5.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

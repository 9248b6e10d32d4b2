"""The page and the picture of the race, from race.csv: `python -m tests.speed.page results/speed`."""

import csv
import sys
from pathlib import Path

WAYS = {
    "sequential": "loop with torch.optim",
    "modules": "Glideslope, modules",
    "stacked": "Glideslope, stacked",
    "compiled": "Glideslope, compiled",
    "rowwise": "Glideslope, rowwise",
    "jax": "JAX jit(vmap)",
}
GOALS = {
    ("digits", "16"): 12.0,
    ("digits", "32"): 15.0,
    ("mnist5k", "16"): 3.5,
    ("vowels", "16"): 3.5,
    ("grammar", "16"): 3.0,
    ("scenes", "16"): 1.2,
    ("digits(model='cnn')", "16"): 1.2,
}
"""Aims by task and members: the rate over that of a loop."""

ALONE = 0.95
"""The aim of a single member, where an update takes more than a millisecond."""

TEXT = """# The race

Made by `python -m tests.speed.race results/speed`; {machine}.

The same work in each way, on one thread: updates of M members of a task on the same batches, forward, backward, \
clipping and optimizer; without evaluations. "Over a loop" is the rate over that of the in-process sequential loop \
with `torch.optim` in the same round, the median of the rounds with the lowest and the highest. Rates are member-steps \
per CPU second and per second. The share is that of the machine's own matrix product of 1,024 x 1,024 numbers, \
counting matrix products and convolutions. "First" are the CPU seconds of the first four updates, tracing or compiling \
included; a compiler's own processes are not counted, and its cache may be warm. CPU seconds are those of all threads. \
Where the load is above 1, other work ran: that slows compute-bound ways more than those that wait for Python, makes \
rates per second meaningless as such, and differences of some per cent noise.

What we aimed at, and what the fastest engine reached, over a loop. No way can be faster than the machine's matrix \
product allows, which is the inverse of the loop's share of the peak.

| task | M | aim | reached | by | the machine allows |
|---|---:|---:|---:|---|---:|
{goals}

| task | M | way | steps / CPU s | steps / s | over a loop | lowest to highest | share of peak | first |
|---|---:|---|---:|---:|---:|---|---:|---:|
{lines}

One run as people write it, a process of its own with DataLoader, Accelerate and a scheduler, {updates} updates:

| task | steps / CPU s | without its start | start, CPU s |
|---|---:|---:|---:|
{processes}

Published by others, on GPUs and with other work, so not to be compared: HFTA, up to 15.1 times over one job for each \
accelerator ([Wang et al. 2021](https://arxiv.org/abs/2102.02344)); Hippo, up to 2.76 times less time for one study by \
sharing prefixes ([Shin et al.](https://friendli.ai/research/hippo/)).

![Rates over those of a sequential loop, by task and way](race.svg)

"""


def machine(peak, before, after):
    """The machine in a line."""
    import torch

    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "an unknown CPU",
    )
    if torch.cuda.is_initialized():
        model = torch.cuda.get_device_name()
    return (
        f"torch {torch.__version__}, one thread of {model}, whose matrix product reached {peak / 1e9:.0f} GFLOP "
        f"per second; load average {before:.1f} at the start and {after:.1f} at the end"
    )


def number(text, digits=2):
    """A number as the table has it."""
    value = float(text or "nan")
    return f"{value:,.0f}" if value >= 100 else f"{value:.{digits}f}"


def goals(rows):
    """Lines of the aims, for the tasks that ran."""
    for (task, members), own in by_setting(rows).items():
        loop = float(own["sequential"]["steps_per_cpu_second"])
        aim = GOALS.get((task, members), ALONE if members == "1" and loop < 1000 else None)
        if aim is not None:
            best = max((own[way] for way in own if WAYS[way].startswith("Glideslope")), key=lambda r: float(r["ratio"]))
            allowed = 1 / float(own["sequential"]["share_of_peak"])
            yield f"| {task} | {members} | {aim:.2f} | {number(best['ratio'])} | {best['way']} | {allowed:.1f} |"


def by_setting(rows):
    """Rows by (task, members), each by the way."""
    settings = {}
    for row in rows:
        if row["way"] in WAYS:
            settings.setdefault((row["task"], row["members"]), {})[row["way"]] = row
    return settings


def write(folder):
    """Write README.md and race.svg from race.csv."""
    with (folder / "race.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [
        f"| {r['task']} | {r['members']} | {WAYS[r['way']]} | {number(r['steps_per_cpu_second'])} "
        f"| {number(r['steps_per_second'])} | {number(r['ratio'])} | {number(r['lowest'])} to {number(r['highest'])} "
        f"| {100 * float(r['share_of_peak']):.1f} % | {number(r['first_updates_seconds'], 1)} |"
        for r in rows
        if r["way"] in WAYS
    ]
    alone = {(r["task"], r["way"]): r for r in rows}
    processes = [
        f"| {task} | {number(r['steps_per_cpu_second'])} "
        f"| {number(alone[task, 'process without its start']['steps_per_cpu_second'])} "
        f"| {number(r['first_updates_seconds'], 1)} |"
        for (task, way), r in alone.items()
        if way == "process"
    ]
    text = TEXT.format(
        goals="\n".join(goals(rows)),
        machine=(folder / "machine.txt").read_text(encoding="utf-8"),
        lines="\n".join(lines),
        processes="\n".join(processes),
        updates=200,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    draw(folder / "race.svg", [r for r in rows if r["way"] in WAYS and r["members"] == "16"])


def draw(path, rows):
    """Bars of ratios at 16 members, by task."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "race"
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(r["task"] for r in rows))
    ways = [way for way in WAYS if way != "sequential" and any(r["way"] == way for r in rows)]
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    step = 0.8 / len(ways)
    for j, way in enumerate(ways):
        own = [r for r in rows if r["way"] == way]
        places = [names.index(r["task"]) + (j - (len(ways) - 1) / 2) * step for r in own]
        ratio, low, high = ([float(r[k]) for r in own] for k in ("ratio", "lowest", "highest"))
        spread = [[a - b for a, b in zip(ratio, low, strict=True)], [a - b for a, b in zip(high, ratio, strict=True)]]
        axes.bar(places, ratio, 0.95 * step, yerr=spread, label=WAYS[way], error_kw={"linewidth": 0.8})
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(names)), names, rotation=15, fontsize=8)
    axes.set_ylabel("times a loop with torch.optim")
    axes.set_title("16 members on one CPU thread", fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    write(Path(sys.argv[1]))

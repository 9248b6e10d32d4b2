"""`glideslope submit`: a suite as an array job, with a report job that follows it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from bench.contract import InputError
from bench.ledger import paths
from bench.ledger.lines import LedgerReader, row_of
from bench.plan import packing
from bench.plan.packing import Load
from bench.runner import kept_weights
from bench.runner.config import PreparedRun, RunConfig, prepare
from bench.runner.distributed import ProcessGroup
from bench.runner.run_dir import KINDS, open_run_dir
from bench.runner.worker import WorkerContext
from bench.slurm import memory, queue, script
from bench.slurm.request import Resources

HALF_HOUR = 1800.0  # predicted seconds of an array task, unless the user gives their number
MOST = 1000  # array tasks, unless the user gives their number: SLURM's own limit is 1,001 by default


def check(order: RunConfig, request: Resources) -> None:
    """Refuse a request that SLURM could not satisfy.

    Raises:
        InputError: an option is out of range; the message names it and its allowed values.
    """
    for name, least in {"array": 1, "max_parallel": 1, "cpus": 1, "nodes": 1, "gpus": 0, "retries": 0}.items():
        value = getattr(request, name)
        if value is not None and value < least:
            raise InputError(f"--{name.replace('_', '-')} {value}: give {least} or more")
    if request.nodes * request.processes > 1 and not order.data_parallel:
        raise InputError(
            f"{request.nodes} nodes with {request.gpus} GPUs each for one array task need --data-parallel; "
            "without it a task uses one GPU at most: ask for more array tasks with --array"
        )
    for name in ("partition", "time"):
        if (value := getattr(request, name)) is not None and not (value.strip() and value.isprintable()):
            raise InputError(f"--{name} {value!r}: give it as sbatch takes it, on one line")
    if not request.python:
        raise InputError("--python is empty: give the words that start Python")
    if bad := [word for word in request.extra if not word.startswith("-") or "\n" in word]:
        raise InputError(
            f"{bad[0]!r} is not an option of sbatch: give options with their values after --, such as --account=me"
        )


def submit(order: RunConfig, request: Resources, console: Console) -> int:
    """Plan, pack, write the scripts under `DIR/slurm/NNN/`, submit them and print the jobs' ids.

    Raises:
        InputError: the order or the request is invalid, or SLURM refuses a job; one line, which names what has been
            submitted, if anything.
    """
    check(order, request)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    world = ProcessGroup(size=request.nodes * request.processes, device="cuda" if request.gpus else "cpu")
    prepared = prepare(order, world)
    site = None if request.dry_run else WorkerContext(order.directory, prepared.plan.id)
    reader = LedgerReader(order.directory, row_of(KINDS))
    finished, notes = open_run_dir(reader, prepared, site)  # writes the plan's row, which array tasks rely on
    for note in notes:
        say(f"note: {note}")
    for line in prepared.closing or prepared.round.reasons:
        say(line)
    loads = _loads(prepared, finished if request.only_missing or prepared.planner else set())
    if not loads:
        for line in _complete(prepared, order):
            say(line)
        return 0
    count = request.array or packing.size(loads, HALF_HOUR * request.cpus, MOST)
    shares = packing.pack(loads, count)
    folder = _folder(order.directory)
    packing.save(paths.assignment(folder), prepared.plan, shares)
    memory_options = () if request.memory_given else memory.options(prepared, order, request)
    files = write_scripts(order, request, folder, len(shares), memory_options)
    longest = max(sum(load.seconds for load in share) for share in shares)
    tasks = "1 array task" if len(shares) == 1 else f"{len(shares)} array tasks, the longest"
    say(
        f"Suite {prepared.plan.suite}: {len(loads)} of {len(prepared.plan.cohorts)} cohorts in {tasks} "
        f"predicted to take {longest / request.cpus:.0f} s"
    )
    if request.dry_run:
        say("\n".join([*map(str, files), "Nothing is submitted (--dry-run)."]))
        return 0
    array, report = _submit_both(files, folder)
    say(f"Array job {array}, report job {report}; scripts and logs: {folder}")
    then = "; when the array has ended, the same command goes on" if prepared.planner else ""
    say(f"glideslope status {order.directory} shows the progress{then}")
    return 0


def _complete(prepared: PreparedRun, order: RunConfig) -> Iterator[str]:
    """Lines that say that nothing is missing, and which weights are there, once they are chosen."""
    cells = f"all {len(prepared.plan.cells):,} cells are in {order.directory}"
    yield f"Suite {prepared.plan.suite}: {cells}, nothing is missing"
    if order.keep != "none":
        yield kept_weights.settle(order.directory, order.keep)


def _submit_both(files: tuple[Path, Path], folder: Path) -> tuple[str, str]:
    """Submit both scripts and return the ids of the array job and the report job, each saved once it is known.

    Raises:
        InputError: SLURM refuses one of them; if it is the second, the message says that the first is submitted.
    """
    array = queue.submit(files[0])
    jobs = {"array": array.id} | ({"cluster": array.cluster} if array.cluster else {})

    def save() -> None:
        paths.jobs(folder).write_text(json.dumps(jobs) + "\n", "utf-8")

    save()
    try:
        jobs["report"] = queue.submit(files[1], f"--dependency=afterany:{array.id}").id
    except InputError as error:
        raise InputError(
            f"array job {array.id} is submitted, its report is not ({error}): don't submit again; glideslope report "
            "makes the tables when the array has ended"
        ) from None
    save()
    return array.id, jobs["report"]


def _loads(prepared: PreparedRun, finished: Collection[str]) -> list[Load]:
    """Predicted costs of the cohorts that are not finished."""
    missing = (cohort for cohort in prepared.plan.cohorts if cohort.id not in finished)
    return [Load.of(cohort, prepared.forecast.seconds(cohort)) for cohort in missing]


def _folder(directory: Path) -> Path:
    """Create a folder for a submission: `DIR/slurm/001`, or the next free number."""
    number = 1
    try:
        while True:
            try:
                (folder := paths.submission(directory, number)).mkdir(parents=True)
                return folder
            except FileExistsError:
                number += 1
    except OSError as error:
        raise InputError(f"cannot write to {directory}: {error.strerror or error}") from None


def write_scripts(
    order: RunConfig, request: Resources, folder: Path, tasks: int, memory_options: Sequence[str] = ()
) -> tuple[Path, Path]:
    """Write the two scripts of a submission and return their paths: (array, report)."""
    common = [f"--partition={request.partition}"] if request.partition else []
    working_folder, logs = Path.cwd(), folder.resolve()
    name = Path(order.suite).stem

    def job(*options: str) -> script.BatchScript:
        return script.BatchScript(
            name=name,
            folder=working_folder,
            logs=logs,
            python=request.python,
            setup=request.setup,
            options=(*common, *options, *request.extra),
        )

    files = folder / "array.sbatch", folder / "report.sbatch"
    shares = script.Shares(str(paths.assignment(folder)), tasks, request.max_parallel)
    array_job = job(*_shape(request), *memory_options)
    text = script.array(array_job, run_arguments(order), shares, request.retries, _step(request))
    files[0].write_text(text, "utf-8")
    files[1].write_text(script.report(job(), str(order.directory)), "utf-8")
    return files


def _shape(request: Resources) -> Iterator[str]:
    """Options of sbatch for the nodes, processes, GPUs, cores and time of an array task."""
    if request.nodes * request.processes > 1:
        yield f"--nodes={request.nodes}"
        yield f"--ntasks-per-node={request.processes}"
    if request.gpus:
        yield f"--gres=gpu:{request.gpus}"
    yield f"--cpus-per-task={request.cpus}"
    if request.time:
        yield f"--time={request.time}"


def _step(request: Resources) -> str:
    """The `srun` command that starts an array task's processes; empty for a single process.

    After one process ends, `--wait` ends the others within a minute, for they would wait for it in vain.
    """
    if request.nodes * request.processes == 1:
        return ""
    return f"srun --cpus-per-task={request.cpus} --kill-on-bad-exit=0 --wait=60"


def run_arguments(order: RunConfig) -> list[str]:
    """Arguments of `glideslope` that repeat an order, without its shard."""
    numbers = {
        "--budgets": order.budgets,
        "--epochs": order.epochs,
        "--peak-lrs": order.peak_lrs,
        "--weight-decays": order.weight_decays,
    }
    options = {
        "--out": order.directory,
        "--tasks": order.tasks,
        "--schedules": order.schedules,
        "--reference": order.reference,
        "--optimizers": order.optimizers,
        "--averagings": order.averagings,
        **{option: values and ",".join(map(repr, values)) for option, values in numbers.items()},
        "--batch-size": order.batch_size,
        "--seeds": order.seeds,
        "--tune": order.tune,
        "--until": order.until,
        "--at-most": order.at_most,
        "--engine": None if order.engine == "auto" else order.engine,
        "--workers": order.workers,
        "--data": order.data,
        "--precision": order.precision,
        "--accumulate": order.accumulate,
        "--width": order.width,
        "--snapshot-seconds": None if order.cadence == RunConfig.cadence else order.cadence,
        "--keep": None if order.keep == "none" else order.keep,
        "--wandb": None if order.wandb == "off" else order.wandb,
    }
    arguments = ["run", order.suite]
    for option, value in options.items():
        if value is not None:
            arguments += [option, str(value)]
    flags = {"--data-parallel": order.data_parallel, "--compile": order.backend, "--extend": order.extend}
    return arguments + [flag for flag, enabled in flags.items() if enabled]

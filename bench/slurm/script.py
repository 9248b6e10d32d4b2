"""Text of the batch scripts, including `SLURM/array.sbatch` and `SLURM/report.sbatch`, which are for use by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

NOTICE = 120
"""Seconds between the warning and the time limit, enough to finish an update and write a checkpoint."""

RUN = r"""
# A warning comes to this shell alone, as USR1: before the time limit, on preemption, and from
# `scancel --batch --signal=USR1`. It is passed on; the update is finished, a snapshot is written, the run ends with 75,
# and the task goes back into the queue. SIGTERM comes to every process and saves, too; whoever sent it (scancel,
# scontrol requeue, preemption) has decided what follows.
trap 'warned=yes; kill -USR1 "$run" 2>/dev/null' USR1
trap 'kill -TERM "$run" 2>/dev/null' TERM
warned=
"${command[@]}" &
run=$!
wait "$run"
while kill -0 "$run" 2>/dev/null; do wait "$run"; done # a signal cuts a wait short
wait "$run"
code=$?

if [[ $warned && ($code == 75 || $code == 138) ]]; then # 138: it was still starting, and USR1 ended it
    if ((${SLURM_RESTART_COUNT:-0} < RETRIES)); then
        echo "stopped by a warning: back into the queue, restart $((${SLURM_RESTART_COUNT:-0} + 1)) of RETRIES at most"
        # The job's own id may be that of the whole array.
        scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
    else
        echo "stopped by a warning after RETRIES restarts; glideslope submit --only-missing goes on" >&2
    fi
fi
exit "$code"
"""

CHECKOUT_PATH = (
    'PATH="$PWD/.venv/bin:$PATH" # in a checkout of Glideslope; elsewhere `glideslope` is on the PATH, or set it here'
)


@dataclass(frozen=True, kw_only=True)
class BatchScript:
    """Settings that both scripts of a submission share."""

    name: str  # of the suite
    folder: Path  # absolute: the working folder, which relative paths in the commands refer to
    logs: Path  # absolute
    python: tuple[str, ...]  # command that starts Python, perhaps in a container
    setup: tuple[str, ...] = ()  # shell lines
    options: tuple[str, ...] = ()  # of sbatch

    def glideslope(self, *words: str) -> str:
        """A `glideslope` command, one option per line.

        With Python's -P, a folder `bench` in the job's working folder does not hide this package.
        """
        return " ".join([*map(quoted, (*self.python, "-P", "-m", "bench.cli")), *map(_spell, words)])

    def script(self, purpose: str, name: str, log: str, own: Sequence[str], body: str) -> str:
        """One script: a comment with its purpose, options of sbatch, the working folder, the setup and the body."""
        head = [
            f"--job-name={name}",
            f"--output={str(self.logs).replace('%', '%%')}/{log}",
            "--open-mode=append",
            *own,
            *self.options,
        ]
        place = [f"cd {quoted(str(self.folder))} || exit 1", *self.setup]
        return _text(f"Written by `glideslope submit`. {purpose}", head, place, body)


class Shares(NamedTuple):
    """Assignment of cohorts to the tasks of an array job."""

    file: str  # lists the cohorts of each array task
    tasks: int  # of the array
    parallel: int | None  # array tasks at a time; None: as many as the cluster allows


def array(job: BatchScript, words: Sequence[str], shares: Shares, retries: int, step: str = "") -> str:
    """The script of an array job.

    Args:
        job: Settings shared with the report's script.
        words: Arguments of `glideslope`.
        shares: Number of array tasks, and the file that lists their cohorts.
        retries: Most restarts of an array task, counted by SLURM.
        step: `srun` and its options, if an array task has several processes.
    """
    limit = "" if shares.parallel is None else f"%{shares.parallel}"
    own = [f"--array=0-{shares.tasks - 1}{limit}", "--requeue", f"--signal=B:USR1@{NOTICE}"]
    assigned = f"{_spell('--assigned')} {quoted(f'{shares.file}:', '$SLURM_ARRAY_TASK_ID')}"
    command = f"command=({' '.join(filter(None, [step, job.glideslope(*words), assigned]))})\n"
    purpose = "One array task trains its share of the cohorts, and continues where it was stopped."
    return job.script(purpose, f"glideslope-{job.name}", "array-%a.log", own, command + _run(retries))


def report(job: BatchScript, directory: str) -> str:
    """The script of the job that follows the array: it writes the report and prints how complete the run is."""
    body = f"{job.glideslope('report', directory)}\n{job.glideslope('status', directory)}\n"
    return job.script("Tables, figures and page.", f"glideslope-{job.name}-report", "report.log", ["--requeue"], body)


def array_by_hand(retries: int) -> str:
    """Text of `SLURM/array.sbatch`."""
    purpose = (
        "One array task trains every n-th cohort of a suite, and continues where it was stopped:\n"
        "#     sbatch --array=0-23%4 SLURM/array.sbatch core --out DIR"
    )
    head = ["--job-name=glideslope", "--open-mode=append", "--requeue", f"--signal=B:USR1@{NOTICE}"]
    command = 'command=(glideslope run "$@" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT")\n'
    return _text(purpose, head, [CHECKOUT_PATH], command + _run(retries))


def report_by_hand() -> str:
    """Text of `SLURM/report.sbatch`."""
    purpose = "Tables, figures and page of a run: sbatch --dependency=afterany:ARRAY SLURM/report.sbatch DIR"
    head = ["--job-name=glideslope-report", "--open-mode=append", "--requeue"]
    return _text(purpose, head, [CHECKOUT_PATH], 'glideslope report "$1"\nglideslope status "$1"\n')


def quoted(text: str, variable: str = "") -> str:
    r"""Quote a text as one word of the shell and of an #SBATCH line, optionally with a variable at its end.

    >>> print(quoted("core"), quoted("it's 5 $"), quoted("a/b:", "$I"))
    core "it's 5 \$" "a/b:$I"
    """
    if re.fullmatch(r"[\w@%+=:./-]+", text, re.ASCII) and not variable:
        return text
    escaped = re.sub(r'([\\"$`])', r"\\\1", text)
    return f'"{escaped}{variable}"'


def _option(text: str) -> str:
    """Quote the value in an option of sbatch, such as `--account=me`."""
    name, equals, value = text.partition("=")
    return f"{name}{equals}{quoted(value) if value else ''}"


def _spell(word: str) -> str:
    return ("\\\n    " if word.startswith("--") else "") + quoted(word)


def _run(retries: int) -> str:
    return RUN.replace("RETRIES", str(retries))


def _text(purpose: str, head: Sequence[str], place: Sequence[str], body: str) -> str:
    options = "\n".join(f"#SBATCH {_option(option)}" for option in head)
    lines = "\n".join(place)
    return f"#!/usr/bin/env bash\n# {purpose}\n{options}\n\nset -uo pipefail\n{lines}\n\n{body}"

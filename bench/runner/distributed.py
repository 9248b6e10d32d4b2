"""This process among those that Accelerate, torchrun or SLURM started."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.ledger.machine import processors
from bench.numerics import Arithmetic, Precision
from bench.runner import rendezvous

PRECISIONS: dict[Any, Precision] = {"no": "fp32", "fp32": "fp32", "bf16": "bf16", "fp16": "fp16"}
"""Of members, by Accelerate's names for them."""

UNFOLLOWED = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism config",
    "ACCELERATE_USE_SAGEMAKER": "SageMaker",
    "ACCELERATE_DYNAMO_MODE": "a mode of Dynamo",
    "ACCELERATE_DYNAMO_USE_FULLGRAPH": "Dynamo's fullgraph",
    "ACCELERATE_DYNAMO_USE_DYNAMIC": "Dynamo's dynamic shapes",
    "ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION": "Dynamo's regional compilation",
    "ACCELERATE_DOWNCAST_BF16": "bf16 on a TPU",
    "XLA_USE_BF16": "bf16 on a TPU",
    "XLA_DOWNCAST_BF16": "bf16 on a TPU",
}
"""What `accelerate config` or `accelerate launch` may ask for by a variable, and is not done here."""

UNASKED = ("", "0", "false", "no", "n", "f", "off", "none", "default")
"""Values of those variables that ask for nothing."""

PORTS = range(20_000, 30_000)
"""Where the processes of a SLURM step meet, below the ports that systems give out by themselves (32,768 on Linux)."""


STEP = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_NODES", "SLURM_JOB_ID", "SLURM_STEP_ID")
"""What srun tells each task of a step, besides their number."""


def of_slurm(environment: Mapping[str, str]) -> dict[str, str]:
    """Torchrun's variables for a task of an `srun` of several tasks; none for any other process.

    The first task's host is the one that `srun` was called on, as a batch script does on its first node, and the port
    follows from the job's id; MASTER_ADDR and MASTER_PORT, where given, come before both. A command typed into a shell
    of `srun --pty` is alone: the step's other tasks run no such command, so waiting for them would never end.

    >>> step = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "12"}
    >>> step |= {"SLURM_STEP_ID": "0", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7", "SLURM_STEP_NUM_NODES": "2"}
    >>> of_slurm(step)["RANK"], of_slurm(step)["MASTER_ADDR"], of_slurm({"SLURM_PROCID": "0"})
    ('3', '10.0.0.7', {})

    Raises:
        InputError: a variable of a step is not there.
    """
    size = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if size == 1 or "RANK" in environment or "SLURM_PTY_PORT" in environment:
        return {}
    if missing := [name for name in STEP if name not in environment]:
        raise InputError(
            f"this is a task of {size} of a SLURM step, but {', '.join(missing)} is not set: start it by srun itself, "
            "or set SLURM_STEP_NUM_TASKS=1 if it is to run alone"
        )
    nodes = int(environment["SLURM_STEP_NUM_NODES"])
    address = environment.get("MASTER_ADDR") or environment.get("SLURM_LAUNCH_NODE_IPADDR")
    if not address and nodes > 1:
        raise InputError("SLURM_LAUNCH_NODE_IPADDR is not set: set MASTER_ADDR to the address of the step's first node")
    step = int(environment["SLURM_JOB_ID"]) * 7 + int(environment["SLURM_STEP_ID"])
    return {
        "RANK": environment["SLURM_PROCID"],
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": str(size // nodes),
        "MASTER_ADDR": address or "127.0.0.1",
        "MASTER_PORT": environment.get("MASTER_PORT", str(PORTS[step % len(PORTS)])),
    }


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those that Accelerate, torchrun or SLURM started."""

    rank: int = 0
    size: int = 1
    local_size: int = 1
    device: str = "cpu"
    memory: float | None = None  # bytes that one worker may fill anywhere; None: not looked up
    run: str = ""  # what the processes of this run, and no others, call it
    meet: Callable[[str, Any], list[Any]] = field(default=lambda name, own: [own], compare=False)  # all have, by rank

    @classmethod
    def here(cls, data_parallel: bool = False) -> ProcessGroup:
        """What the launcher says.

        On several machines it is torchrun's or Accelerate's own variables (RANK, WORLD_SIZE, MASTER_ADDR ...) that do.
        Only processes that share each batch form a group of torch.distributed. Others tell each other a few words at
        the beginning, through the store that such a group would be formed by, and share the run's directory then.

        Raises:
            InputError: a configuration of Accelerate that is not followed, or processes that do not find each other.
        """
        import torch
        from accelerate import PartialState
        from accelerate.utils import get_cpu_distributed_information, parse_flag_from_env, set_numa_affinity

        refuse(os.environ)
        os.environ.update(of_slurm(os.environ))
        # Unless told that it is on CPUs, Accelerate takes each process for the only one there.
        cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
        place = get_cpu_distributed_information()
        if data_parallel or place.world_size == 1 or not (cpu or "LOCAL_RANK" in os.environ):
            state = PartialState(cpu=cpu)
            rank, size, device = state.process_index, state.num_processes, state.device
            meet = partial(_gathered, size)
        else:
            rank, size, device = place.rank, place.world_size, _device(place.local_rank, cpu)
            if parse_flag_from_env("ACCELERATE_CPU_AFFINITY"):
                set_numa_affinity(place.local_rank)
            meet = partial(rendezvous.told, rendezvous.store(rank, size), rank, size)
        local = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        met = meet("begin", [_memory(device), secrets.token_hex(4)])
        memory = min(memory for memory, _ in met)  # of mixed GPUs the smallest plans for all
        return cls(rank, size, local, str(device), memory, met[0][1], meet)

    def arithmetic(self, data_parallel: bool, **wishes: Any) -> Arithmetic:
        """What was wished for; of None, what `accelerate config` or `accelerate launch` chose.

        Raises:
            InputError: a precision that members do not have, or no micro-batch.
        """
        launched: dict[str, Any] = {
            "precision": os.environ.get("ACCELERATE_MIXED_PRECISION", "no"),
            "accumulate": int(os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", 1)),
            "backend": os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no").lower(),
        }
        chosen = launched | {k: v for k, v in wishes.items() if v is not None}
        if chosen["precision"] not in PRECISIONS:
            raise InputError(f"precision {chosen['precision']!r}: there are fp32, bf16 and fp16")
        if chosen["accumulate"] < 1:
            raise InputError(f"{chosen['accumulate']} micro-batches to accumulate: give 1 or more")
        return Arithmetic(
            precision=PRECISIONS[chosen["precision"]],
            accumulate=chosen["accumulate"],
            processes=self.size if data_parallel else 1,
            backend="" if chosen["backend"] == "no" else chosen["backend"],
        )

    @property
    def cores(self) -> int:
        """CPU cores for this process: what the system allows, and no more than SLURM has given the job on this node."""
        allowed = processors()
        return max(1, min(allowed, int(os.environ.get("SLURM_CPUS_ON_NODE", allowed))) // self.local_size)

    def agree(self, plan: str) -> None:
        """Refuse to begin unless all processes have made the plan of this id: some would wait for what others never do.

        Raises:
            InputError: they have not, on each of them.
        """
        plans = self.meet("plan", plan)
        if len(set(plans)) > 1:
            raise InputError(
                f"processes have made different plans ({', '.join(dict.fromkeys(plans))}): suite, settings, data and "
                "versions should be the same for all"
            )

    def accelerator(self) -> Any:
        """What data parallelism needs; None in a world of one."""
        if self.size == 1:
            return None
        from accelerate import Accelerator

        return Accelerator(cpu=self.device == "cpu", mixed_precision="no")  # members have an autocast of their own


def refuse(environment: Mapping[str, str]) -> None:
    """Refuse what Accelerate is configured to do and would be left undone.

    Raises:
        InputError: naming it and its variable.
    """
    for name, what in UNFOLLOWED.items():
        if environment.get(name, "").strip().lower() not in UNASKED:
            raise InputError(
                f"accelerate is configured for {what} ({name}={environment[name]}), which is not done here: leave it "
                "out of `accelerate config` or `accelerate launch`; its precision, accumulation and Dynamo backend are "
                "followed"
            )


def _device(local_rank: int, cpu: bool) -> Any:
    """The accelerator of one of this machine's processes, in turn where there are fewer; made the current one."""
    import torch

    if cpu:
        return torch.device("cpu")
    found = torch.accelerator.current_accelerator()
    assert found is not None, "there is one unless `cpu`"
    index = local_rank % torch.accelerator.device_count()
    torch.accelerator.set_device_index(index)
    return torch.device(found.type, index)


def _gathered(size: int, name: str, own: Any) -> list[Any]:
    """What each process of a group has, by rank."""
    if size == 1:
        return [own]
    from accelerate.utils import gather_object

    parts: list[Any] = gather_object([own])
    return parts


def _memory(device: Any) -> float:
    """Bytes of a GPU, whatever lies in it; without one, a core's share of the machine, or of what we are held to."""
    import torch

    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    held = limit.read_text().strip() if limit.exists() else "max"
    return (whole if held == "max" else min(whole, int(held))) / processors()

"""The group of processes that Accelerate, torchrun or SLURM started, as one of them sees it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.ledger.machine import processors, variable
from bench.numerics import Arithmetic, Precision
from bench.runner import rendezvous

PRECISIONS: dict[Any, Precision] = {"no": "fp32", "fp32": "fp32", "tf32": "tf32", "bf16": "bf16", "fp16": "fp16"}
"""Precisions of members, by Accelerate's names."""

UNSUPPORTED = {
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
"""Features of Accelerate that are not supported, by the variable that turns them on."""

RANKS = (
    ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK"),
    ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"),
)
"""Variables of torchrun and MPI for the process and the number of processes, in the order that Accelerate reads."""

PLACES = {
    0: (
        *RANKS[0],
        *("LOCAL_RANK", "MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_RANK"),
        *("MASTER_PORT", "SLURM_RESTART_COUNT"),
    ),
    1: (
        *RANKS[1],
        *("LOCAL_WORLD_SIZE", "MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE"),
        "SLURM_CPUS_ON_NODE",
    ),
}
"""Variables that are whole numbers, by the least that they may be."""

FLAGS = ("ACCELERATE_USE_CPU", "ACCELERATE_CPU_AFFINITY", "ACCELERATE_DEBUG_MODE")
"""Variables that are true or false."""

NO = ("n", "no", "f", "false", "off", "0")

OFF_VALUES = ("", "0", "false", "no", "n", "f", "off", "none", "default")
"""Values of these variables that leave the feature off."""

PORTS = range(20_000, 30_000)
"""Ports for the processes of a SLURM step, below the ephemeral ports of the system (from 32,768 on Linux)."""

STEP_VARIABLES = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_NODES", "SLURM_JOB_ID", "SLURM_STEP_ID")
"""Variables that srun sets for each task of a step, besides the number of tasks."""


def slurm_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Torchrun's variables for a task of an `srun` of several tasks; none for any other process.

    MASTER_ADDR is the host that `srun` was called on, for a batch script its first node, and MASTER_PORT follows from
    the job's id, unless these variables are set. A command typed into a shell of `srun --pty` is a single process: the
    step's other tasks run no such command, and waiting for them would never end.

    >>> step = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "12"}
    >>> step |= {"SLURM_STEP_ID": "0", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7", "SLURM_STEP_NUM_NODES": "2"}
    >>> environment = slurm_environment(step)
    >>> environment["RANK"], environment["MASTER_ADDR"], slurm_environment({"SLURM_PROCID": "0"})
    ('3', '10.0.0.7', {})

    Raises:
        InputError: a variable of the step is not set, or is no number.
    """
    number = partial(variable, environment=environment)
    size = number("SLURM_STEP_NUM_TASKS", 1, least=1)
    if size == 1 or "RANK" in environment or "SLURM_PTY_PORT" in environment:
        return {}
    if missing := [name for name in STEP_VARIABLES if name not in environment]:
        raise InputError(
            f"this is a task of {size} of a SLURM step, but {', '.join(missing)} is not set: start it by srun itself, "
            "or set SLURM_STEP_NUM_TASKS=1 if it is to run alone"
        )
    nodes = number("SLURM_STEP_NUM_NODES", 1, least=1)
    rank, local_rank = number("SLURM_PROCID", 0), number("SLURM_LOCALID", 0)
    address = environment.get("MASTER_ADDR") or environment.get("SLURM_LAUNCH_NODE_IPADDR")
    if not address and nodes > 1:
        raise InputError("SLURM_LAUNCH_NODE_IPADDR is not set: set MASTER_ADDR to the address of the step's first node")
    step = number("SLURM_JOB_ID", 0) * 7 + number("SLURM_STEP_ID", 0)
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(local_rank),
        "LOCAL_WORLD_SIZE": str(max(1, size // nodes)),
        "MASTER_ADDR": address or "127.0.0.1",
        "MASTER_PORT": environment.get("MASTER_PORT", str(PORTS[step % len(PORTS)])),
    }


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run, and the place of this one among them."""

    rank: int = 0
    size: int = 1
    local_size: int = 1
    device: str = "cpu"
    memory: float | None = None  # bytes that one worker may fill on any machine; None: unlimited
    run: str = ""  # an id that all processes of this run share, and no other run has
    # all_gather(name, own value, stop=...) gives the values of all processes, by rank; see `rendezvous.exchange`.
    all_gather: Callable[..., list[Any]] = field(default=lambda name, own, stop=None: [own], compare=False)

    @classmethod
    def detect(cls, data_parallel: bool = False) -> ProcessGroup:
        """Detect the group from the launcher's variables (RANK, WORLD_SIZE, MASTER_ADDR ...).

        Only processes that share each batch form a group of torch.distributed. Others exchange a few values at the
        start, through the store that such a group would use, and then share the run's directory.

        Raises:
            InputError: Accelerate is configured for a feature that is not supported, or processes do not find each
                other.
        """
        import torch
        from accelerate import PartialState
        from accelerate.utils import get_cpu_distributed_information, parse_flag_from_env, set_numa_affinity

        refuse_unsupported(os.environ)
        os.environ.update(slurm_environment(os.environ))
        refuse_unread(os.environ)
        # Without ACCELERATE_USE_CPU, Accelerate treats each process on CPUs as the only one.
        cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
        launch = get_cpu_distributed_information()
        if data_parallel or launch.world_size == 1 or not (cpu or "LOCAL_RANK" in os.environ):
            try:
                state = PartialState(cpu=cpu)
            except (RuntimeError, ValueError) as error:
                raise InputError(f"accelerate cannot begin: {str(error).splitlines()[0]}") from None
            rank, size, device = state.process_index, state.num_processes, state.device
            all_gather = partial(_all_gather, size)
        else:
            rank, size, device = launch.rank, launch.world_size, _device(launch.local_rank, cpu)
            if parse_flag_from_env("ACCELERATE_CPU_AFFINITY"):
                set_numa_affinity(launch.local_rank)
            all_gather = partial(rendezvous.exchange, rendezvous.store(rank, size), rank, size)
        local = variable("LOCAL_WORLD_SIZE", size, least=1)
        replies = all_gather("begin", [_memory(device), secrets.token_hex(4)])
        memory = min(memory for memory, _ in replies)  # of different GPUs, the smallest decides
        return cls(rank, size, local, str(device), memory, replies[0][1], all_gather)

    def arithmetic(self, data_parallel: bool, **requested: Any) -> Arithmetic:
        """The arithmetic of the run: the given settings, and for None those that Accelerate is configured with.

        Raises:
            InputError: an unknown precision, one that the device lacks, or less than one micro-batch.
        """
        launched: dict[str, Any] = {
            "precision": os.environ.get("ACCELERATE_MIXED_PRECISION", "no"),
            "accumulate": variable("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", 1, least=1),
            "backend": os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no").lower(),
        }
        settings = launched | {k: v for k, v in requested.items() if v is not None}
        if settings["precision"] not in PRECISIONS:
            raise InputError(f"precision {settings['precision']!r}: there are fp32, tf32, bf16 and fp16")
        if settings["precision"] == "tf32":
            self._check_tf32()
        if settings["accumulate"] < 1:
            raise InputError(f"{settings['accumulate']} micro-batches to accumulate: give 1 or more")
        return Arithmetic(
            precision=PRECISIONS[settings["precision"]],
            accumulate=settings["accumulate"],
            processes=self.size if data_parallel else 1,
            backend="" if settings["backend"] == "no" else settings["backend"],
        )

    def _check_tf32(self) -> None:
        """Refuse tf32 on a device without such products.

        Raises:
            InputError: one line that names the device.
        """
        if not self.device.startswith("cuda"):
            raise InputError(f"precision tf32 is for CUDA devices, and this run is on {self.device}: use fp32")
        import torch

        # A plan for other machines is made where there may be no GPU, and has no id of a run.
        if self.run and not torch.cuda.is_tf32_supported():
            name = torch.cuda.get_device_name(self.device)
            raise InputError(f"precision tf32: {name} has no such products (Ampere and later have): use fp32")

    @property
    def cores(self) -> int:
        """CPU cores for this process: those that the system allows, at most those of the SLURM job on this node."""
        allowed = processors()
        return max(1, min(allowed, variable("SLURM_CPUS_ON_NODE", allowed, least=1)) // self.local_size)

    def agree(self, plan: str) -> None:
        """Check that all processes have made the plan of this id; otherwise some would wait for others in vain.

        Raises:
            InputError: the plans differ. It is raised in each process.
        """
        plans = self.all_gather("plan", plan)
        if len(set(plans)) > 1:
            raise InputError(
                f"processes have made different plans ({', '.join(dict.fromkeys(plans))}): suite, settings, data and "
                "versions should be the same for all"
            )

    def accelerator(self) -> Any:
        """The accelerator for data parallelism; None for a single process."""
        if self.size == 1:
            return None
        from accelerate import Accelerator

        return Accelerator(cpu=self.device == "cpu", mixed_precision="no")  # members use their own autocast


def refuse_unsupported(environment: Mapping[str, str]) -> None:
    """Refuse features that Accelerate is configured for and that are not supported.

    Raises:
        InputError: one line that names the feature and its variable.
    """
    for name, feature in UNSUPPORTED.items():
        if environment.get(name, "").strip().lower() not in OFF_VALUES:
            raise InputError(
                f"accelerate is configured for {feature} ({name}={environment[name]}), which is not done here: leave "
                "it out of `accelerate config` or `accelerate launch`; its precision, accumulation and Dynamo backend "
                "are followed"
            )


def refuse_unread(environment: Mapping[str, str]) -> None:
    """Refuse values that Accelerate or torch could not read of the variables by which a launcher tells a place.

    Raises:
        InputError: one line that names the variable and what it should be.
    """
    for least, names in PLACES.items():
        for name in names:
            variable(name, least, least, environment)
    for name in FLAGS:
        if environment.get(name, "no").lower() not in ("y", "yes", "t", "true", "on", "1", *NO):
            raise InputError(f"{name} is {environment[name]!r}: it should be true or false")
    rank, size = (next((environment[name] for name in names if name in environment), "") for names in RANKS)
    if int(rank or 0) >= int(size or 1):
        raise InputError(f"this is process {rank} of {size}: RANK should lie in 0 .. WORLD_SIZE - 1")


def _device(local_rank: int, cpu: bool) -> Any:
    """The device of one of this machine's processes, made the current one. Processes take accelerators in turn."""
    import torch

    if cpu:
        return torch.device("cpu")
    accelerator = torch.accelerator.current_accelerator()
    assert accelerator is not None, "without `cpu` there is one"
    index = local_rank % torch.accelerator.device_count()
    torch.accelerator.set_device_index(index)
    return torch.device(accelerator.type, index)


def _all_gather(size: int, name: str, own: Any, *, stop: Callable[[], bool] | None = None) -> list[Any]:
    """The values of all processes of a torch.distributed group, by rank. Such processes stop together, and all gather.

    A single process is a group, too.
    """
    if size == 1:
        return [own]
    from accelerate.utils import gather_object

    parts: list[Any] = gather_object([own])
    return parts


def _memory(device: Any) -> float:
    """Bytes of a whole GPU, used or not; on a CPU, one core's share of the machine, or of the control group's limit."""
    import torch

    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    control_group = Path("/sys/fs/cgroup/memory.max")
    limit = control_group.read_text().strip() if control_group.exists() else "max"
    return (whole if limit == "max" else min(whole, int(limit))) / processors()

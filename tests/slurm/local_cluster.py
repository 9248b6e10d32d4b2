"""A private SLURM cluster for tests: a controller and two node daemons on this machine, in a temporary folder.

Debian's daemons are built to run several to a host (`slurmd -N NAME`), need no systemd and no accounting, and find
everything through SLURM_CONF; munge has its own key and socket. Nothing outside the folder is touched.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

CONFIGURATION = """
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/finished
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
SlurmdParameters=config_overrides
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
MailProg=/bin/true
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait={grace}
OverTimeLimit=0
InactiveLimit=0
Waittime=0
JobRequeue=1
SlurmdTimeout=20
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1} CPUs={cpus} RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n2} CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=60 DefaultTime=30 PriorityTier=10
PartitionName=low Nodes=ALL MaxTime=60 DefaultTime=30 PriorityTier=1 GraceTime={grace}
"""
NODES = ("n1", "n2")
GRACE = 10  # seconds between SIGTERM and SIGKILL


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Cluster:
    """Two nodes, `n1` and `n2`, and partitions `main` and `low`; jobs of the first preempt those of the second."""

    def __init__(self, cpus=2):
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # short, for a socket's path
        self.configuration = self.folder / "slurm.conf"
        self.environment = os.environ | {"SLURM_CONF": str(self.configuration)}
        for name in ("munge", "state", "log", "spool/n1", "spool/n2"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge").chmod(0o755)
        self.folder.chmod(0o755)
        controller, n1, n2 = free_ports(3)
        about = {"controller": controller, "n1": n1, "n2": n2, "host": socket.gethostname(), "cpus": cpus}
        self.configuration.write_text(CONFIGURATION.format(folder=self.folder, grace=GRACE, **about))

    def start(self):
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed", "log-file": "log"}
        places = [f"--{option}={self.folder / 'munge' / name}" for option, name in names.items()]
        self.call("munged", *places, "--num-threads=1", "--force")
        self.call("slurmctld", "-c", "-f", str(self.configuration))
        for node in NODES:
            self.start_node(node)
        await_(lambda: self.call("sinfo", "-h", "-t", "idle", "-o", "%D", check=False).strip() == "2", 30)

    def start_node(self, node):
        self.call("slurmd", "-N", node, "-f", str(self.configuration))

    def stop_node(self, node):
        """Kill the daemon, as a crash does; its jobs run on without it."""
        end(self.folder / f"{node}.pid", signal.SIGKILL)

    def stop(self):
        self.call("scancel", "--user=root", "--signal=KILL", "--full", check=False)
        self.call("scancel", "--user=root", check=False)
        with contextlib.suppress(AssertionError):
            await_(lambda: not self.queue(), 20)
        for name in (*(f"{node}.pid" for node in NODES), "slurmctld.pid", "munge/pid"):
            end(self.folder / name, signal.SIGTERM)
        shutil.rmtree(self.folder)

    def call(self, *words, check=True, timeout=60):
        """Run a command and return its output."""
        result = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=timeout)
        if check and result.returncode:
            raise AssertionError(f"{words}: exit code {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result.stdout

    def queue(self):
        """State of every job that has not ended, by its id (7_3 in an array)."""
        lines = self.call("squeue", "-h", "-r", "-o", "%i %T", check=False).splitlines()
        return dict(line.split() for line in lines)

    def ended(self):
        """SLURM's record of every job that has ended, including requeued attempts, under SLURM's own names."""
        file = self.folder / "finished"
        lines = file.read_text().splitlines() if file.exists() else []
        return [dict(word.partition("=")[::2] for word in line.split()) for line in lines]

    def finish(self, seconds):
        """Wait until the queue is empty. A requeued job waits until its old credential expires, about 6 s here."""
        await_(lambda: not self.queue(), seconds)

    def processes(self, **variables):
        """Python processes of jobs whose environment has these values: {pid: environment}."""
        expected = variables | {"SLURM_CONF": str(self.configuration)}
        environments = {}
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if folder.name.isdecimal() and b"\0bench.cli\0run" in (folder / "cmdline").read_bytes():
                    text = (folder / "environ").read_bytes().decode().split("\0")
                    environment = dict(line.split("=", 1) for line in text if line)
                    if expected.items() <= environment.items() and "SLURM_JOB_ID" in environment:
                        environments[int(folder.name)] = environment
        return environments


def await_(condition, seconds):
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds} s in vain"
        time.sleep(0.2)


def end(pid_file, number):
    """End the daemon that a pid file names, and wait until it has ended."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        for _ in range(50):
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)

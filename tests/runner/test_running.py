"""A run among others: leases and signals inside an evaluation, Ctrl-C, failures of one cohort, configurations."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from rich.console import Console

from bench import preempt
from bench.contract import InputError
from bench.engine import loader, modules, rows
from bench.ledger import leases, ledger
from bench.runner import distributed, rendezvous, session
from bench.runner.config import RunConfig, prepare
from bench.runner.worker import WorkerContext, train
from tests.runs import ROOT, attempt, payloads, traces

LEASE = 300.0


class Clock:
    """Time that passes when told to; also the file server's."""

    def __init__(self):
        self.now = time.time()

    def monotonic(self):
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(leases, "time", clock)
    monkeypatch.setattr(leases, "_touch", lambda path: os.utime(path, (clock.now, clock.now)), raising=False)
    monkeypatch.setattr(leases, "_now", lambda folder: clock.now)
    return clock


@pytest.fixture
def cohort(one_thread):
    order = RunConfig(
        suite="smoke", tasks="digits", schedules="constant, cosine", seeds=1, budgets=(0.1,), peak_lrs=(0.1,)
    )
    yield prepare(order).plan.cohorts[0]
    torch.use_deterministic_algorithms(False)


def trained(cohort, out, flag):
    book = ledger.Ledger(out, attempt(fingerprint="here"))
    try:
        return train(cohort, WorkerContext(out, "plan", lease_seconds=LEASE), book, flag, lambda *news: None)
    finally:
        book.close()


@pytest.fixture
def chunks(monkeypatch):
    """Make an evaluation of many chunks, and do something at each; returns the list of things done by chunk."""
    monkeypatch.setattr(loader, "CHUNK", 16)
    begun = []

    def at_each(do):
        for module in (modules, rows):
            real = module.collect_outputs

            def answers(parts, forward, accelerator=None, real=real):
                def slow(inputs):
                    begun.append(len(begun))
                    do(len(begun))
                    return forward(inputs)

                return real(parts, slow, accelerator)

            monkeypatch.setattr(module, "collect_outputs", answers)
        return begun

    return at_each


def test_an_evaluation_of_three_leases_keeps_its_cohort(cohort, tmp_path, clock, chunks):
    taken = []

    def late(count):
        clock.now += 0.15 * LEASE
        taken.append(leases.take(tmp_path, cohort.id, LEASE))

    begun = chunks(late)
    assert trained(cohort, tmp_path, preempt.Flag()) == "done"
    assert 0.15 * len(begun) >= 3
    assert taken == [None] * len(begun)


def test_a_signal_inside_an_evaluation_is_heard_within_a_chunk_and_the_same_rows_follow(cohort, tmp_path, chunks):
    flag, ends = preempt.Flag(), {3, 10}

    def interrupt(count):
        if count in ends:
            flag.signal = signal.SIGTERM

    begun = chunks(interrupt)
    for end in sorted(ends):
        flag.signal = None
        assert trained(cohort, tmp_path / "cut", flag) == "stopped"
        assert len(begun) == end
    state = torch.load(tmp_path / "cut" / "snapshots" / f"{cohort.id}.pt", weights_only=True)
    assert state["due"]
    ends.clear()
    flag.signal = None
    assert trained(cohort, tmp_path / "cut", flag) == "done"
    assert trained(cohort, tmp_path / "whole", flag) == "done"
    assert payloads(tmp_path / "cut") == payloads(tmp_path / "whole")
    assert traces(tmp_path / "cut") == traces(tmp_path / "whole")


def test_a_cohort_is_not_taken_to_and_fro_for_ever(tmp_path, clock):
    pause, takeovers = 10 * LEASE, 0
    claim = leases.take(tmp_path, "a", LEASE)
    for _ in range(20):
        clock.now += pause
        if (other := leases.take(tmp_path, "a", LEASE)) is None:
            break
        claim, takeovers = other, takeovers + 1
    claim.check()
    assert takeovers == 4  # 300, 600, 1200, 2400 s were too short


def test_who_waits_writes_nothing_and_sees_leases_expire(tmp_path, clock):
    claim = leases.take(tmp_path, "a", LEASE)
    watch, before = leases.LeaseWatch(tmp_path), (tmp_path / "claims").stat().st_mtime_ns
    for _ in range(10):
        assert watch.standing() == {"a"}
        clock.now += LEASE / 4
        leases._touch(claim.path)
    clock.now += LEASE
    assert watch.standing() == {"a"}  # it was renewed since the last look
    clock.now += LEASE + 1
    assert watch.standing() == set()
    assert (tmp_path / "claims").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", distributed.UNSUPPORTED)
def test_configurations_of_accelerate_that_are_not_followed_are_refused(monkeypatch, name):
    monkeypatch.setenv(name, "true")
    with pytest.raises(InputError, match=name) as refused:
        distributed.ProcessGroup.detect()
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("value", ["", "false", "False", "default", "no", "0"])
def test_what_accelerate_always_sets_is_no_configuration(value):
    distributed.refuse_unsupported(dict.fromkeys(distributed.UNSUPPORTED, value))


class Store(dict):
    """A store of torch.distributed, as far as it is used."""

    set = dict.__setitem__

    def check(self, keys):
        return all(key in self for key in keys)


def test_processes_tell_each_other_without_a_group(monkeypatch):
    store = Store({"plan/1": '"b"', "plan/read/1": "1"})
    assert rendezvous.exchange(store, 0, 2, "plan", "a") == ["a", "b"]
    with pytest.raises(InterruptedError):
        rendezvous.exchange(Store(), 0, 2, "plan", "a", stop=lambda: True)
    monkeypatch.setattr(rendezvous, "PATIENCE", 0.0)
    with pytest.raises(InputError, match=r"processes \[1\] of 2 have not come as far"):
        rendezvous.exchange(Store(), 0, 2, "plan", "a")


def test_ranks_train_all_but_what_fails_and_the_first_tells(tmp_path, monkeypatch, capsys, one_thread):
    """Rank 1 runs first and fails a cohort: it goes on, ends with 0, and rank 0 neither tries again nor hides it."""
    order = RunConfig(
        suite="smoke", tasks="linreg", schedules="constant", seeds=3, budgets=(0.05,), workers=1, out=tmp_path
    )
    tried, real = [], train
    bad = prepare(order).plan.cohorts[1].id

    def failing(cohort, site, book, flag, told):
        def broken(*news):
            tried.append(cohort.id)
            if cohort.id == bad:
                raise MemoryError("no room")

        return real(cohort, site, book, flag, broken)

    monkeypatch.setattr(session.pool, "train", failing)
    monkeypatch.setattr(session.write, "write", lambda directory, rows: directory / "report.html")
    monkeypatch.setattr(session.write, "show", lambda rows, console: None)

    def run(rank, name):
        here = distributed.ProcessGroup(rank, 2, 2, "cpu", None, name)
        return session.Session(order, prepare(order), here, preempt.Flag(), Console(quiet=bool(rank))).run()

    assert run(1, "first") == 0
    assert len(set(tried)) == 3
    before = tried.count(bad)
    assert run(0, "first") == 1
    assert tried.count(bad) == before
    assert f"failed: linreg seed {prepare(order).plan.cohorts[1].seed}: MemoryError: no room" in capsys.readouterr().out
    tried.clear()
    monkeypatch.setattr(session.pool, "train", lambda c, *more: tried.append(c.id) or real(c, *more))
    assert run(0, "again") == 0
    assert tried == [bad]
    assert not list((tmp_path / "claims").iterdir())
    torch.use_deterministic_algorithms(False)


INTERRUPTED = """
import os, signal, sys
from bench import preempt

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts with & ignore Ctrl-C
{before}
os.kill(os.getpid(), signal.SIGINT)
{after}
"""


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("preempt.quiet_start()", "", 75),
        ("flag = preempt.Flag(speaks=True).install()", "sys.exit(3 if flag else 4)", 3),
        ("flag = preempt.Flag(speaks=True).install()", "os.kill(os.getpid(), signal.SIGINT)", 75),
    ],
)
def test_ctrl_c_once_and_twice(before, after, code):
    text = INTERRUPTED.format(before=before, after=after)
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert done.stderr == (preempt.STOPPING if "speaks" in before else "")


def test_the_main_process_does_not_watch_its_shell(cohort, tmp_path, monkeypatch):
    numbers = iter([os.getppid()] + [1] * 10**6)
    monkeypatch.setattr(os, "getppid", lambda: next(numbers))
    assert trained(cohort, tmp_path, preempt.Flag()) == "done"


def stay():
    flag = preempt.Flag().install()
    while not flag:
        time.sleep(0.01)


def test_a_signal_that_comes_before_a_worker_listens_is_heard_then():
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=stay)
    with preempt.hold_signals():
        process.start()
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 0

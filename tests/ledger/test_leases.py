"""Leases: one holder at a time while it renews, and nobody waits for one that has ended."""

import json
import multiprocessing
import os
import time

import pytest

from bench.ledger import leases

LONG, SHORT = 300.0, 0.3


def grow_old(lease, seconds):
    """Set back the time of the last renewal by `seconds`."""
    then = time.time() - seconds
    os.utime(lease.path, (then, then))


def elsewhere(lease):
    """Make the lease look like one of another machine, whose processes cannot be checked."""
    process = json.loads(lease.path.read_text())
    lease.path.write_text(json.dumps(process | {"machine": "another", "host": "far", "process": 1}))


def test_a_leased_cohort_is_refused_and_another_is_not(tmp_path):
    assert leases.take(tmp_path, "a", LONG)
    assert leases.take(tmp_path, "a", LONG) is None
    assert leases.take(tmp_path, "b", LONG)


def test_a_released_cohort_is_free(tmp_path):
    leases.take(tmp_path, "a", LONG).release()
    assert leases.take(tmp_path, "a", LONG)


def test_a_lease_expires_by_its_own_length_and_not_by_the_takers(tmp_path):
    lease = leases.take(tmp_path, "a", 60)
    elsewhere(lease)
    grow_old(lease, 50)
    assert leases.take(tmp_path, "a", 1) is None
    grow_old(lease, 70)
    assert leases.take(tmp_path, "a", LONG)


def test_who_was_displaced_finds_out_and_the_new_holder_goes_on(tmp_path):
    old = leases.take(tmp_path, "a", LONG)
    grow_old(old, LONG + 1)
    new = leases.take(tmp_path, "a", LONG)
    new.check()
    with pytest.raises(leases.LostError, match="cohort a was not renewed for 300 s"):
        old.check()
    old.release()
    assert leases.take(tmp_path, "a", LONG) is None
    new.release()
    assert not list((tmp_path / "claims").iterdir())


def test_who_was_displaced_by_one_that_is_done_already_finds_out_too(tmp_path):
    old = leases.take(tmp_path, "a", LONG)
    grow_old(old, LONG + 1)
    leases.take(tmp_path, "a", LONG).release()
    with pytest.raises(leases.LostError):
        old.check()


def test_renewing_waits_for_a_fifth_of_the_lease_and_then_extends_it(tmp_path):
    lease = leases.take(tmp_path, "a", SHORT)
    grow_old(lease, 1000)
    lease.renew()
    assert leases.standing(tmp_path) == {}
    time.sleep(SHORT / 4)
    lease.renew()
    assert leases.standing(tmp_path)["a"].age < SHORT


def hold(directory, ready):
    leases.take(directory, "a", LONG)
    ready.set()
    time.sleep(60)


def test_a_holder_killed_on_this_machine_is_followed_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=hold, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(60)
    assert leases.take(tmp_path, "a", LONG) is None
    assert leases.standing(tmp_path)["a"].process == holder.pid
    holder.kill()
    while leases.standing(tmp_path):  # until the kernel has ended it; nobody has reaped it yet
        time.sleep(0.01)
    assert leases.take(tmp_path, "a", LONG)
    holder.join()


def test_a_process_with_the_same_number_is_not_the_holder(tmp_path):
    lease = leases.take(tmp_path, "a", LONG)
    process = json.loads(lease.path.read_text())
    lease.path.write_text(json.dumps(process | {"started": "1"}))
    assert leases.take(tmp_path, "a", LONG)


def test_on_another_machine_only_time_tells(tmp_path):
    elsewhere(leases.take(tmp_path, "a", LONG))
    assert leases.take(tmp_path, "a", LONG) is None


@pytest.mark.parametrize("text", ["", '{"host": "x'])
def test_a_lease_cut_off_while_it_was_written_stands_until_it_expires(tmp_path, text):
    lease = leases.take(tmp_path, "a", LONG)
    lease.path.write_text(text)
    assert leases.take(tmp_path, "a", LONG) is None
    grow_old(lease, leases.LEASE + 1)
    assert leases.take(tmp_path, "a", LONG)


def race(directory, begin, name, won):
    begin.wait()
    taken = [c for c in map(str, range(40)) if leases.take(directory, c, LONG)]
    won.put((name, taken))
    time.sleep(1)  # an ended holder's leases would be free


@pytest.mark.parametrize("expired", [False, True])
def test_of_several_takers_at_once_one_wins_each_cohort(tmp_path, expired):
    for cohort in map(str, range(40)) if expired else ():
        grow_old(leases.take(tmp_path, cohort, LONG), LONG + 1)
    context = multiprocessing.get_context("spawn")
    begin, won = context.Barrier(3), context.Queue()
    takers = [context.Process(target=race, args=(tmp_path, begin, i, won)) for i in range(3)]
    for taker in takers:
        taker.start()
    taken = [c for _ in takers for c in won.get(timeout=60)[1]]
    for taker in takers:
        taker.join()
    assert sorted(taken, key=int) == [str(i) for i in range(40)]

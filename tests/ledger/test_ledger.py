"""The ledger's promise: a row is there whole or not at all; a replayed payload equals the old one."""

import gzip
import multiprocessing

import pytest

from bench.contract import InputError
from bench.ledger.ledger import Ledger, ReplayError, read
from bench.ledger.lines import row
from bench.ledger.paths import parts
from tests.runs import attempt

HERE = attempt(fingerprint="a machine")


def rows_of(directory, kind="cell"):
    return {r.key: r.payload for r in read(directory) if r.kind == kind}


def written(directory, **payloads):
    ledger = Ledger(directory, HERE)
    for key, value in payloads.items():
        ledger.append("cell", key, {"value": value})
    ledger.close()
    return parts(directory)[0]


def test_a_row_comes_back_as_it_went_in(tmp_path):
    written(tmp_path, a=0.1 + 0.2, b=None, c=[1, "ü"])
    assert rows_of(tmp_path) == {"a": {"value": 0.1 + 0.2}, "b": {"value": None}, "c": {"value": [1, "ü"]}}


def test_numbers_that_are_not_finite_become_null(tmp_path):
    written(tmp_path, a=float("nan"), b=[float("inf")])
    assert rows_of(tmp_path) == {"a": {"value": None}, "b": {"value": [None]}}


def test_a_replay_is_not_written_twice(tmp_path):
    part = written(tmp_path, a=1.5)
    before = part.read_bytes()
    written(tmp_path, a=1.5)
    assert part.read_bytes() == before


def test_another_payload_under_the_same_environment_is_fatal(tmp_path):
    written(tmp_path, a=1.5)
    with pytest.raises(ReplayError, match="cell row a replays to another payload"):
        written(tmp_path, a=1.25)


def test_another_payload_under_another_environment_is_reported_and_the_old_one_stays(tmp_path):
    written(tmp_path, a=1.5)
    ledger = Ledger(tmp_path, attempt(fingerprint="another machine"))
    ledger.append("cell", "a", {"value": 1.25})
    ledger.close()
    assert "another environment" in ledger.notes[0]
    assert rows_of(tmp_path) == {"a": {"value": 1.5}}


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_torn_last_line_loses_no_whole_row(tmp_path, cut):
    part = written(tmp_path, a=1.5, b=2.5)
    part.write_bytes(part.read_bytes()[:-cut])
    notes = []
    kept = {"a": {"value": 1.5}} | ({"b": {"value": 2.5}} if cut == 1 else {})
    assert {r.key: r.payload for r in read(tmp_path, notes) if r.kind == "cell"} == kept
    ledger = Ledger(tmp_path, HERE)
    ledger.append("cell", "c", {"value": 3.5})
    ledger.close()
    assert "repaired" in ledger.notes[0]
    assert rows_of(tmp_path) == kept | {"c": {"value": 3.5}}
    assert part.read_bytes().endswith(b"\n")


def test_a_corrupt_line_in_the_middle_is_named_and_nothing_is_touched(tmp_path):
    part = written(tmp_path, a=1.5, b=2.5)
    lines = part.read_bytes().split(b"\n")
    lines[1] = lines[1][:20]
    part.write_bytes(b"\n".join(lines))
    before = part.read_bytes()
    with pytest.raises(InputError, match=r"part-\w+-000.jsonl, line 2: not a row"):
        read(tmp_path)
    with pytest.raises(InputError, match="line 2"):
        Ledger(tmp_path, HERE)
    assert part.read_bytes() == before


def test_a_compressed_part_is_read_too(tmp_path):
    part = written(tmp_path, a=1.5)
    with gzip.open(part.with_name("old.jsonl.gz"), "wb") as file:
        file.write(part.read_bytes().replace(b'"key":"a"', b'"key":"z"'))
    assert set(rows_of(tmp_path)) == {"a", "z"}


def test_no_ledger_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="holds no ledger"):
        read(tmp_path)


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to"):
        Ledger(tmp_path / "file" / "run", HERE)


def test_every_row_names_an_attempt_that_is_there_first(tmp_path):
    part = written(tmp_path, a=1.5)
    first, second = map(row, part.read_bytes().splitlines())
    assert (first.kind, first.payload) == ("attempt", HERE.payload())
    assert second.attempt == first.key


def append_many(directory, name, count):
    ledger = Ledger(directory, attempt(fingerprint="a machine", process=name))
    for i in range(count):
        ledger.append("cell", f"{name}-{i}", {"value": i})
        ledger.flush()
    ledger.close()


def test_writers_at_the_same_time_have_parts_of_their_own(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(tmp_path, name, 50)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(rows_of(tmp_path)) == 150


def test_a_disk_that_fills_up_tears_nothing(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path, HERE)
    ledger.append("cell", "a", {"value": 1})
    ledger.flush()
    ledger.append("cell", "b", {"value": 2})
    real, calls = __import__("os").write, []

    def half(file, data):
        calls.append(data)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(file, data[: len(data) // 2])

    monkeypatch.setattr("bench.ledger.ledger.os.write", half)
    with pytest.raises(OSError, match="No space left"):
        ledger.flush()
    monkeypatch.undo()
    assert set(rows_of(tmp_path)) == {"a"}
    ledger.close()  # space was freed: the row that waited is written now
    assert set(rows_of(tmp_path)) == {"a", "b"}

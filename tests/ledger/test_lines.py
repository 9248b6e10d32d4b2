"""Reading a ledger: everything once, then what is new; what is not wanted is passed over, what is torn is left out."""

from dataclasses import replace

import pytest

from bench.contract import InputError
from bench.ledger import lines, paths
from bench.ledger.ledger import Ledger, brief, read
from tests.runs import attempt

HERE = attempt(fingerprint="a machine")


def keys(rows):
    return [row.key for row in rows if row.kind != "attempt"]


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path, HERE)
    ledger.append("cell", "a", {"value": 1})
    ledger.append("eval", "x/0/1", {"value": 2})
    ledger.flush()
    return ledger


def test_a_reader_gives_each_row_once_and_then_what_is_new(ledger, tmp_path):
    reader = lines.LedgerReader(tmp_path, lines.row)
    assert keys(reader.new()) == ["a", "x/0/1"]
    assert keys(reader.new()) == []
    ledger.append("cell", "b", {"value": 3})
    ledger.flush()
    other = Ledger(tmp_path, replace(HERE, process=2))
    other.append("cell", "c", {"value": 4})
    other.flush()
    assert keys(reader.new()) == ["b", "c"]


def test_a_line_being_written_is_read_when_it_is_whole(ledger, tmp_path):
    (part,) = paths.parts(tmp_path)
    reader = lines.LedgerReader(tmp_path, lines.row)
    list(reader.new())
    text = lines.line("cell", "b", "it", '{"value":"ü"}').encode()
    with part.open("ab", buffering=0) as file:
        file.write(text[:30])
        assert keys(reader.new()) == []
        file.write(text[30:])
        assert keys(reader.new()) == ["b"]


def test_a_line_that_its_writer_ends_while_it_is_read_is_no_two_lines(ledger, tmp_path):
    (part,) = paths.parts(tmp_path)
    text = lines.line("cell", "b", "it", '{"value":"ü"}').encode()
    with part.open("ab", buffering=0) as file:
        file.write(text[:30])

        def parse(line):
            if line == text[:30]:
                file.write(text[30:])
            return lines.row(line)

        reader, notes = lines.LedgerReader(tmp_path, parse), []
        reader.notes = notes
        assert keys(reader.new()) == ["a", "x/0/1"]
        assert notes == [f"{part.name}: its last line was cut off in the middle of a write and is left out"]
        assert keys(reader.new()) == ["b"]


def test_a_torn_tail_that_is_mended_while_it_is_read_mixes_no_rows(ledger, tmp_path):
    (part,) = paths.parts(tmp_path)
    ledger.close()
    torn = lines.line("cell", "torn", "it", lines.text({"value": "t" * 400_000})).encode()[:-1000]
    with part.open("ab", buffering=0) as file:
        file.write(torn)

    def parse(line):
        if b'"key":"x/0/1"' in line and part.read_bytes().endswith(torn):  # of the torn line, a buffer has been read
            other = Ledger(tmp_path, HERE)
            other.append("cell", "b", {"value": "b" * 500_000})
            other.close()
        return lines.row(line)

    reader = lines.LedgerReader(tmp_path, parse)
    assert keys(reader.new()) == ["a", "x/0/1"]
    assert keys(reader.new()) == ["b"]


def test_rows_of_other_kinds_are_passed_over(ledger, tmp_path):
    assert [row.kind for row in read(tmp_path, kinds=("eval", "plan"))] == ["eval"]
    (part,) = paths.parts(tmp_path)
    loose = b"".join(
        b'{"kind": "%s", "v": 1, "key": "%s", "payload": {}}\n' % it for it in ((b"cell", b"loose"), (b"eval", b"y"))
    )
    part.write_bytes(part.read_bytes() + loose)
    assert keys(read(tmp_path, kinds=("eval",))) == ["x/0/1", "y"]
    assert keys(read(tmp_path, kinds=("cell",))) == ["a", "loose"]


@pytest.mark.parametrize("kinds", [None, ("plan",)])
def test_a_line_cut_short_in_the_middle_is_fatal_whatever_is_asked_for(ledger, tmp_path, kinds):
    (part,) = paths.parts(tmp_path)
    texts = part.read_bytes().split(b"\n")
    part.write_bytes(b"\n".join([texts[0], texts[1][:-1], texts[2], b""]))
    with pytest.raises(InputError, match="line 2: not a row"):
        read(tmp_path, kinds=kinds)


def test_blocks_that_never_reached_the_disk_are_left_out_and_mentioned(ledger, tmp_path):
    (part,) = paths.parts(tmp_path)
    data = part.read_bytes()
    hole = data.index(b'"key":"a"')
    part.write_bytes(data[:hole] + bytes(16) + data[hole + 16 :])
    notes = []
    assert keys(read(tmp_path, notes)) == ["x/0/1"]
    assert notes == [f"{part.name}: line 2 did not reach the disk before a crash and is left out"]


@pytest.mark.parametrize("key", ["plain", "ü", 'a "quote"', "back\\slash"])
def test_a_row_in_brief_is_the_row(key):
    row = lines.line("cell", key, "it", lines.text({"value": [0.1, None, "ü}"]})).encode()
    spread = row.replace(b'"kind":', b'"kind": ')
    assert brief(row) == brief(spread)
    assert brief(row)[:3] == ("cell", key, "it")
    assert brief(row[:-4]) is None


def test_appenders_learn_of_each_others_rows(ledger, tmp_path):
    other = Ledger(tmp_path, replace(HERE, process=2))
    assert ("cell", "a") in other
    ledger.append("cohort", "x", {"cells": 1})
    ledger.flush()
    assert ("cohort", "x") not in other
    other.refresh()
    assert ("cohort", "x") in other
    other.append("cohort", "x", {"cells": 1})
    other.close()
    assert keys(read(tmp_path)) == ["a", "x/0/1", "x"]
    assert len(list(lines.LedgerReader(tmp_path, lines.row).new())) == 4  # the attempt, too


def test_rows_of_one_kind_and_key_that_differ_get_keys_of_their_own(ledger, tmp_path):
    for error in ("one", "two", "one", "two"):
        ledger.append_another("failure", "x", {"error": error})
    ledger.close()
    Ledger(tmp_path, HERE).append_another("failure", "x", {"error": "two"})
    assert [(r.key, r.payload["error"]) for r in read(tmp_path, kinds=("failure",))] == [
        ("x", "one"),
        ("x/2", "two"),
    ]


def test_a_ledger_keeps_nothing_of_the_eval_rows_of_finished_cohorts(ledger, tmp_path):
    ledger.append("cohort", "x", {"cells": 1})
    ledger.append("eval", "y/0/1", {"value": 2})
    ledger.close()
    other = Ledger(tmp_path, HERE)
    assert ("eval", "x/0/1") not in other
    assert ("eval", "y/0/1") in other


def test_a_ledger_without_locks_has_a_part_that_nobody_else_can_have(tmp_path, monkeypatch):
    def no_locks(file, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("bench.ledger.ledger.fcntl.flock", no_locks)
    for name in ("a", "b"):
        it = Ledger(tmp_path, HERE)
        it.append("cell", name, {"value": 1})
        it.flush()
    assert keys(read(tmp_path)) in (["a", "b"], ["b", "a"])
    assert len([part for part in paths.parts(tmp_path) if part.stat().st_size]) == 2

"""Reader of `.wandb` files: a log in blocks of 32 KiB, as LevelDB's, whose records are messages of wandb's own."""

import json
import struct
import zlib
from types import SimpleNamespace

from wandb.proto import wandb_internal_pb2

BLOCK, HEAD, MARK = 32768, struct.Struct("<IHB"), b":W&B"
WHOLE, LAST = 1, 4


def records(path):
    """Every record of a file, which must be complete."""
    data, at, partial = path.read_bytes(), 7, b""
    assert data.startswith(MARK)
    while at < len(data):
        remaining = BLOCK - at % BLOCK
        if remaining < HEAD.size:
            at += remaining
            continue
        check, size, kind = HEAD.unpack_from(data, at)
        part = data[at + HEAD.size : at + HEAD.size + size]
        assert zlib.crc32(bytes([kind]) + part) == check
        at, partial = at + HEAD.size + size, partial + part
        if kind in (WHOLE, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(partial)
            partial = b""
            yield record


def values(items):
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def run(path):
    """The run of a file, with the attributes of the stand-in's runs: settings, rows, results."""
    run = SimpleNamespace(settings={}, rows=[], results={}, state="running")
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.name, run.group, run.job_type = record.run.run_id, record.run.run_group, record.run.job_type
            run.tags = list(record.run.tags)
            run.settings |= values(record.run.config.update)
        elif kind == "config":
            run.settings |= values(record.config.update)
        elif kind == "history":
            row = values(record.history.item)
            run.rows.append({key: value for key, value in row.items() if not key.startswith("_")})
        elif kind == "summary":
            run.results |= values(record.summary.update)
        elif kind == "exit":
            run.state = "finished" if record.exit.exit_code == 0 else "failed"
    return run

"""Reading a `.wandb` file: a log of records in blocks of 32 KiB, as LevelDB's, each record a message of wandb's own."""

import json
import struct
import zlib
from types import SimpleNamespace

from wandb.proto import wandb_internal_pb2

BLOCK, HEAD, MARK = 32768, struct.Struct("<IHB"), b":W&B"
WHOLE, LAST = 1, 4


def records(path):
    """Every record of a file that has no tear."""
    data, at, held = path.read_bytes(), 7, b""
    assert data.startswith(MARK)
    while at < len(data):
        left = BLOCK - at % BLOCK
        if left < HEAD.size:
            at += left
            continue
        check, size, kind = HEAD.unpack_from(data, at)
        part = data[at + HEAD.size : at + HEAD.size + size]
        assert zlib.crc32(bytes([kind]) + part) == check
        at, held = at + HEAD.size + size, held + part
        if kind in (WHOLE, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(held)
            held = b""
            yield record


def values(items):
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def run(path):
    """The run of a file, as the stand-in's runs are read: settings, rows, results."""
    it = SimpleNamespace(settings={}, rows=[], results={}, state="running")
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            it.name, it.group, it.job_type = record.run.run_id, record.run.run_group, record.run.job_type
            it.tags = list(record.run.tags)
            it.settings |= values(record.run.config.update)
        elif kind == "config":
            it.settings |= values(record.config.update)
        elif kind == "history":
            row = values(record.history.item)
            it.rows.append({key: value for key, value in row.items() if not key.startswith("_")})
        elif kind == "summary":
            it.results |= values(record.summary.update)
        elif kind == "exit":
            it.state = "finished" if record.exit.exit_code == 0 else "failed"
    return it

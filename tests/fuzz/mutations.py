"""A catalogue of mutations: each turns a tree into another one, or returns None where it does not apply.

A mutation is a function of a tree, the layout it is of, and a random generator. Where it leaves another good data set
in a user's own folder, the change says by how many examples it may differ. Mutations in `DIGEST_ONLY` make changes that
only a digest reveals, so they are tried only where there is one.
"""

import csv
import gzip
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image


@dataclass
class Change:
    """Another tree, and what may be said of it."""

    tree: dict
    touched: tuple  # paths that differ
    fewer: int = 0  # examples that a user's set may have lost
    more: int = 0  # examples that it may have won
    words: tuple = field(default=())  # besides names of files, what a refusal may name: a value that was put in


def _is(path, *suffixes):
    return path.endswith(suffixes)


def _pick(rng, paths):
    paths = sorted(paths)
    return paths[rng.integers(len(paths))] if paths else None


def _with_file(tree, path, content, **more):
    return Change(tree | {path: content}, (path,), **more)


def _example(path):
    """True if a file is one example, which a user may add or remove."""
    return _is(path.lower(), ".jpeg", ".jpg", ".png")


# -------------------------------------------------------------------------------------------------------- files


def remove(tree, layout, rng):
    path = _pick(rng, tree)
    return Change({p: c for p, c in tree.items() if p != path}, (path,), fewer=int(_example(path)))


def remove_folder(tree, layout, rng):
    folder = _pick(rng, {str(PurePosixPath(p).parent) for p in tree} - {"."})
    if folder is None:
        return None
    paths = tuple(p for p in tree if p.startswith(f"{folder}/"))
    return Change({p: c for p, c in tree.items() if p not in paths}, (*paths, folder))


def _moved(tree, path, new, **more):
    if new in tree or new == path:
        return None
    return Change({p: c for p, c in tree.items() if p != path} | {new: tree[path]}, (path, new), **more)


def rename(tree, layout, rng):
    path = PurePosixPath(_pick(rng, tree))
    new = [path.with_name(f"x{path.name}"), path.with_suffix(""), path.with_name(path.name.swapcase())]
    new += [path.with_suffix(path.suffix.upper()), path.with_name(f"{path.name}.bak"), path.with_name(f" {path.name}")]
    new += [path.with_name(f"[{path.stem}]{path.suffix}"), path.with_suffix(".webp"), path.with_name(f".{path.name}")]
    return _moved(tree, str(path), str(new[rng.integers(len(new))]), fewer=int(_example(str(path))))


def rename_folder(tree, layout, rng):
    folders = {str(PurePosixPath(p).parent) for p in tree} - {"."}
    folder = _pick(rng, folders)
    if folder is None:
        return None
    path = PurePosixPath(folder)
    new = [path.with_name(path.name.swapcase()), path.with_name(f"{path.name}s"), path.with_name(f"[{path.name}]")]
    new = str(new[rng.integers(len(new))])
    if new in folders:
        return None
    moved = {new + p[len(folder) :] if p.startswith(f"{folder}/") else p: c for p, c in tree.items()}
    return Change(moved, (folder, new, *(p for p in tree if p.startswith(f"{folder}/"))))


def nest(tree, layout, rng):
    path = PurePosixPath(_pick(rng, tree))
    return _moved(tree, str(path), str(path.parent / "deeper" / path.name), fewer=int(_example(str(path))))


def nest_all(tree, layout, rng):
    return Change({f"deeper/{path}": content for path, content in tree.items()}, tuple(tree))


def flatten(tree, layout, rng):
    """The folder of the set is itself given as DIR."""
    top = {path.split("/")[0] for path in tree if "/" in path}
    if len(top) != 1:
        return None
    return Change({p.partition("/")[2] if "/" in p else p: c for p, c in tree.items()}, tuple(tree))


def duplicate(tree, layout, rng):
    path = PurePosixPath(_pick(rng, tree))
    new = path.with_name(f"{path.stem} (1){path.suffix}")
    return _with_file(tree, str(new), tree[str(path)], more=int(_example(str(path))))


def stray(tree, layout, rng):
    parent = PurePosixPath(_pick(rng, tree)).parent
    kinds = [(".DS_Store", b"\0\0\0\1Bud1"), ("Thumbs.db", b"\xd0\xcf"), ("README.md", b"# data"), ("._x", b"")]
    name, content = kinds[rng.integers(4)]
    return _with_file(tree, str(parent / name), content)


def stray_folder(tree, layout, rng):
    parent = PurePosixPath(_pick(rng, tree)).parent
    return _with_file(tree, str(parent / [".ipynb_checkpoints", "__MACOSX", "empty"][rng.integers(3)] / "x.txt"), b"")


def empty(tree, layout, rng):
    return _with_file(tree, _pick(rng, tree), b"")


def a_folder_for_a_file(tree, layout, rng):
    path = _pick(rng, tree)
    rest = {p: c for p, c in tree.items() if p != path}
    return Change(rest | {f"{path}/x": b""}, (path,), fewer=int(_example(path)))


def truncate(tree, layout, rng):
    path = _pick(rng, tree)
    content = tree[path]
    cut = [1, 2, 10, len(content) // 2, len(content) - 10, int(rng.integers(len(content)))][rng.integers(6)]
    lines = len(content.splitlines()) if _is(path, ".csv") else 0  # of a log cut between two lines the rest is a log
    return _with_file(tree, path, content[: max(0, len(content) - cut)], fewer=lines)


def garbage(tree, layout, rng):
    path = _pick(rng, tree)
    return _with_file(tree, path, rng.bytes(len(tree[path])))


def of_another_kind(tree, layout, rng):
    kinds = [
        b"<!DOCTYPE html><html>404 Not Found</html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    ]
    kinds += [b"PK\3\4", b"\0" * 100, b"\n", b"null", b"[]", b"{}"]
    return _with_file(tree, _pick(rng, tree), kinds[rng.integers(len(kinds))])


def flip(tree, layout, rng):
    path = _pick(rng, tree)
    content = bytearray(tree[path])
    for at in rng.integers(len(content), size=rng.integers(1, 4)):
        content[at] ^= int(rng.integers(1, 256))
    return _with_file(tree, path, bytes(content))


def swap(tree, layout, rng):
    one, other = _pick(rng, tree), _pick(rng, tree)
    return Change(tree | {one: tree[other], other: tree[one]}, (one, other))


# --------------------------------------------------------------------------------------------------- re-encoded


def pack(tree, layout, rng):
    path = _pick(rng, tree)
    packed = gzip.compress(tree[path], int(rng.integers(1, 10)), mtime=int(rng.integers(1 << 30)))
    if rng.integers(2):
        return _with_file(tree, path, packed)
    return Change(
        {p: c for p, c in tree.items() if p != path} | {f"{path}.gz": packed}, (path,), fewer=int(_example(path))
    )


def repack(tree, layout, rng):
    path = _pick(rng, [p for p in tree if _is(p, ".gz")])
    if path is None:
        return None
    content = gzip.decompress(tree[path])
    packed = gzip.compress(content, int(rng.integers(1, 10)), mtime=int(rng.integers(1 << 30)))
    ways = [packed, packed[:-1], packed + b"\0", packed + packed, gzip.compress(content[: len(content) // 2])]
    if (way := rng.integers(len(ways) + 1)) < len(ways):
        return _with_file(tree, path, ways[way])
    return _moved(tree | {path: content}, path, path.removesuffix(".gz"))


def resave_image(tree, layout, rng):
    path = _pick(rng, [p for p in tree if _example(p)])
    if path is None:
        return None
    image = Image.open(io.BytesIO(tree[path]))
    file = io.BytesIO()
    way = rng.integers(4)
    if way == 0:
        image.save(file, "PNG")  # of a JPEG its pixels, whatever its name
    elif way == 1:
        image.resize((image.width + 1, image.height)).save(file, "PNG")
    elif way == 2:
        image.save(file, "WEBP", lossless=True, exact=True)
    else:
        image.convert("F").save(file, "TIFF")
    return _with_file(tree, path, file.getvalue(), fewer=int(way % 2), more=int(way % 2))


def resave_sound(tree, layout, rng):
    path = _pick(rng, [p for p in tree if _is(p, ".wav")])
    if path is None:
        return None
    return _with_file(tree, path, _resaved_sound(tree[path], rng))


def _resaved_sound(content, rng):
    wave, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    file = io.BytesIO()
    ways = ["FLAC", "PCM_U8", "PCM_24", "PCM_32", "FLOAT", "stereo", "rate", "AIFF", "OGG", "none", "cut"]
    way = ways[rng.integers(len(ways))]
    if way in ("FLAC", "AIFF"):
        soundfile.write(file, wave, rate, format=way, subtype="PCM_16")
    elif way == "OGG":
        soundfile.write(file, wave, rate, format="OGG")
    elif way == "cut":
        soundfile.write(file, wave, rate, format="WAV", subtype="PCM_16")
        return file.getvalue()[: -int(rng.integers(1, len(wave)))]
    else:
        kind = way if way.startswith(("PCM", "FLOAT")) else "PCM_16"
        sound = np.stack([wave, wave], 1) if way == "stereo" else wave[:0] if way == "none" else wave
        soundfile.write(file, sound, 2 * rate if way == "rate" else rate, format="WAV", subtype=kind)
    return file.getvalue()


# ------------------------------------------------------------------------------------------------------- tables


def _table(tree, rng):
    path = _pick(rng, [p for p in tree if _is(p, ".parquet")])
    return path, path and pq.read_table(io.BytesIO(tree[path]))


def _parquet(table, **how):
    file = io.BytesIO()
    pq.write_table(table, file, **how)
    return file.getvalue()


def _of_table(change):
    """A mutation of one table; `change` gives a table, and perhaps what a refusal may name."""

    def mutation(tree, layout, rng):
        path, table = _table(tree, rng)
        if path is None or (changed := change(table, rng)) is None:
            return None
        return _with_file(tree, path, _parquet(changed))

    return mutation


def _column(table, rng):
    return int(rng.integers(table.num_columns))


def _label(table):
    return next(name for name in table.column_names if "label" in name)


def drop_rows(table, rng):
    return table.slice(0, table.num_rows - int(rng.integers(1, table.num_rows)))


def no_rows(table, rng):
    return table.slice(0, 0)


def repeat_rows(table, rng):
    return pa.concat_tables([table, table.slice(0, int(rng.integers(1, table.num_rows)))])


def reorder_rows(table, rng):
    return table.take(rng.permutation(table.num_rows))


def drop_column(table, rng):
    return table.remove_column(_column(table, rng))


def rename_column(table, rng):
    names = table.column_names
    at = _column(table, rng)
    ways = names[at].upper(), f"{names[at]}_", f" {names[at]}", names[at - 1]
    return table.rename_columns([ways[rng.integers(4)] if i == at else name for i, name in enumerate(names)])


def add_column(table, rng):
    return table.append_column("extra", pa.array(range(table.num_rows)))


def reorder_columns(table, rng):
    return table.select([table.column_names[i] for i in rng.permutation(table.num_columns)])


def retype_column(table, rng):
    """Values that stay what they are, in another type."""
    at = _column(table, rng)
    kinds = [pa.int8(), pa.int16(), pa.uint64(), pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.bool_()]
    try:
        column = table.column(at).cast(kinds[rng.integers(len(kinds))])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if column.cast(table.column(at).type) != table.column(at):  # as of three classes to bool
        return None
    return table.set_column(at, table.column_names[at], column)


def forget_types(table, rng):
    """Without what the hub says of the columns, such as the names of labels."""
    return table.replace_schema_metadata(None)


def null_a_value(table, rng):
    at = _column(table, rng)
    values = table.column(at).to_pylist()
    values[rng.integers(len(values))] = None
    if table.column_names[at] not in USED:
        return None
    return table.set_column(at, table.column_names[at], pa.array(values, table.column(at).type))


USED = {"img", "image", "label", "fine_label", "audio", "speaker", "index", "sentence", "sentence1", "premise"}


def a_label_out_of_range(table, rng):
    name = _label(table)
    values = table.column(name).to_pylist()
    wrong = [-1, 100, 2**40, float("nan"), float("inf"), -0.25]
    wrong += [] if pa.types.is_floating(table.schema.field(name).type) else [0.5]  # which is a score
    values[rng.integers(len(values))] = wrong[rng.integers(len(wrong))]
    kind = pa.int64() if all(isinstance(v, int) for v in values) else pa.float64()
    return table.set_column(table.column_names.index(name), name, pa.array(values, kind))


def labels_of_another_type(table, rng):
    name = _label(table)
    values = table.column(name).to_pylist()
    ways = [lambda v: f"class {v}", lambda v: [v], lambda v: {"of": v}, lambda v: str(v).encode(), lambda v: f" {v}"]
    way = ways[rng.integers(len(ways))]
    return table.set_column(table.column_names.index(name), name, pa.array([way(v) for v in values]))


def labels_in_another_order(table, rng):
    """Numbers and names of labels permuted together, in this part alone: the same labels by name."""
    metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    label = metadata.get("info", {}).get("features", {}).get("label", {})
    if "names" not in label:
        return None
    order = rng.permutation(len(label["names"]))
    place = np.argsort(order)
    label["names"] = [label["names"][i] for i in order]
    numbers = pa.array([int(place[v]) for v in table.column("label").to_pylist()], table.schema.field("label").type)
    at = table.column_names.index("label")
    return table.set_column(at, "label", numbers).replace_schema_metadata({"huggingface": json.dumps(metadata)})


def labels_as_names(table, rng):
    """The text of each label instead of its number."""
    metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    names = metadata.get("info", {}).get("features", {}).get("label", {}).get("names")
    if names is None:
        return None
    texts = pa.array([names[v] for v in table.column("label").to_pylist()])
    return table.set_column(table.column_names.index("label"), "label", texts).replace_schema_metadata(None)


def compress_table(tree, layout, rng):
    path, table = _table(tree, rng)
    how = [{"compression": "gzip"}, {"compression": "zstd"}, {"row_group_size": 7}, {"use_dictionary": False}]
    return path and _with_file(tree, path, _parquet(table, **how[rng.integers(4)]))


def shard_table(tree, layout, rng):
    """A part in shards, of which one may be missing, there twice, or of another number."""
    path, table = _table(tree, rng)
    if path is None or "-of-" in path or not path.split("/")[-1].startswith(("train", "test", "validation")):
        return None
    stem, half = path.removesuffix(".parquet"), table.num_rows // 2
    parts = {
        f"{stem}-00000-of-00002.parquet": table.slice(0, half),
        f"{stem}-00001-of-00002.parquet": table.slice(half),
    }
    rest = {p: c for p, c in tree.items() if p != path or rng.integers(4) == 0}
    files = {p: _parquet(t) for p, t in parts.items()}
    way = rng.integers(4)
    if way == 1:
        files.pop(sorted(files)[rng.integers(2)])
    elif way == 2:
        files[f"{stem}-00002-of-00003.parquet"] = files[f"{stem}-00001-of-00002.parquet"]
    elif way == 3:
        files = {p.replace("-of-00002", "-of-00003"): c for p, c in files.items()}
    return Change(rest | files, (path, *files))


def _of_value(name, change):
    """A mutation of one value in a column of a table; `change` gives another value for it."""

    def mutation(tree, layout, rng):
        path, table = _table(tree, rng)
        if path is None or name not in table.column_names:
            return None
        values = table.column(name).to_pylist()
        at = int(rng.integers(len(values)))
        values[at] = change(values[at], rng)
        column = pa.array(values, table.schema.field(name).type)
        return _with_file(tree, path, _parquet(table.set_column(table.column_names.index(name), name, column)))

    return mutation


def resave_table_sound(sound, rng):
    ways = [None, {"bytes": None, "path": "x.wav"}, {"bytes": b"", "path": None}]
    ways += [{"bytes": _resaved_sound(sound["bytes"], rng), "path": None}] * 5
    return ways[rng.integers(len(ways))]


def resave_table_image(value, rng):
    image = Image.open(io.BytesIO(value["bytes"]))
    ways = [("JPEG", image), ("WEBP", image), ("BMP", image), ("TIFF", image), ("PNG", image.resize((9, 8)))]
    ways += [("PNG", image.convert("RGBA")), ("TIFF", image.convert("F"))]
    kind, picture = ways[rng.integers(len(ways))]
    file = io.BytesIO()
    picture.save(file, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    return {"bytes": [file.getvalue(), file.getvalue()[:-30], b"", None][rng.integers(4)], "path": None}


# --------------------------------------------------------------------------------------------------------- JSON


def _of_json(change):
    def mutation(tree, layout, rng):
        path = _pick(rng, [p for p in tree if _is(p, ".json")])
        if path is None:
            return None
        content = json.loads(tree[path])
        more = change(content, rng) or {}
        return _with_file(tree, path, json.dumps(content).encode(), **more)

    return mutation


def _a_row(content, rng):
    rows = content[("images", "annotations", "categories")[rng.integers(3)]]
    return rows, int(rng.integers(len(rows)))


def drop_field(content, rng):
    if rng.integers(4) == 0:
        content.pop(("images", "annotations", "categories")[rng.integers(3)])
        return None
    rows, at = _a_row(content, rng)
    name = _pick(rng, rows[at])
    del rows[at][name]
    return {"words": (name,)}


WRONG = (None, "", "x", -1, 1.5, [], {}, True, 10**30, float("nan"), [1, 2], "NaN", -0.0)


def retype_field(content, rng):
    rows, at = _a_row(content, rng)
    name = _pick(rng, rows[at].keys() - {"name"})
    rows[at][name] = WRONG[rng.integers(len(WRONG))]


def retype_box(content, rng):
    row = content["annotations"][rng.integers(len(content["annotations"]))]
    wrong = (None, "", "x", [], {}, True, 1e30, float("nan"), [1, 2], "NaN", 1e9, -50)
    row["bbox"][rng.integers(4)] = wrong[rng.integers(len(wrong))]
    if rng.integers(3) == 0:
        row["bbox"] = [row["bbox"], row["bbox"][:3], [*row["bbox"], 1], "10,10,5,5", None][rng.integers(5)]


def boxes_as_shares(content, rng):
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    for row in content["annotations"]:
        wide, high = sizes[row["image_id"]]
        left, top, width, height = row["bbox"]
        row["bbox"] = [left / wide, top / high, width / wide, height / high]


def ids_as_text(content, rng):
    way = rng.integers(3)
    for image in content["images"]:
        image["id"] = str(image["id"])
    for row in content["annotations"]:
        row["image_id"] = str(row["image_id"]) if way else row["image_id"]
        row["category_id"] = str(row["category_id"]) if way == 2 else row["category_id"]


def sizes_as_text(content, rng):
    for image in content["images"]:
        image["width"] = str(image["width"])


def reorder_json(content, rng):
    for rows in content.values():
        rng.shuffle(rows)


def renumber_categories(content, rng):
    """The same categories by name, under other ids in this part."""
    other = {category["id"]: 20 - category["id"] for category in content["categories"]}
    for category in content["categories"]:
        category["id"] = other[category["id"]]
    for row in content["annotations"]:
        row["category_id"] = other[row["category_id"]]


def rename_category(content, rng):
    row = content["categories"][rng.integers(len(content["categories"]))]
    row["name"] = [row["name"].title(), f"{row['name']} ", "", None, content["categories"][0]["name"]][rng.integers(5)]


def repeat_json_row(content, rng):
    rows = content[("images", "categories")[rng.integers(2)]]
    rows.append(dict(rows[rng.integers(len(rows))]))


def lose_images(content, rng):
    content["images"].pop(rng.integers(len(content["images"])))
    return {"fewer": 5}  # the image and its boxes


def far_file_name(content, rng):
    image = content["images"][rng.integers(len(content["images"]))]
    names = ("/etc/hostname", "../../x.png", "../images/" + image["file_name"], "", ".", image["file_name"].upper())
    image["file_name"] = names[rng.integers(len(names))]


def no_boxes(content, rng):
    content["annotations"] = []
    return {"fewer": 20}


# --------------------------------------------------------------------------------------------------------- text


def _of_text(change, *suffixes):
    def mutation(tree, layout, rng):
        path = _pick(rng, [p for p in tree if _is(p, *suffixes)])
        content = path and change(tree[path], rng)
        if content is None:
            return None
        content, more = content if isinstance(content, tuple) else (content, {})
        return _with_file(tree, path, content, **more)

    return mutation


def mark(content, rng):
    return b"\xef\xbb\xbf" + content


def crlf(content, rng):
    return content.replace(b"\n", (b"\r\n", b"\r")[rng.integers(2)])


def utf16(content, rng):
    return content.decode().encode(("utf-16", "utf-16-le", "utf-32")[rng.integers(3)])


def latin1(content, rng):
    at = int(rng.integers(len(content)))
    return content[:at] + b"\xe9" + content[at:]


def blank_lines(content, rng):
    return b"\n".join(content.split(b"\n")) + b"\n\n"


def nul(content, rng):
    at = int(rng.integers(len(content)))
    return content[:at] + b"\0" + content[at:]


def _of_log(change):
    def changed(content, rng):
        rows = list(csv.reader(io.StringIO(content.decode())))
        more = change(rows, rng) or {}
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows(rows)
        return file.getvalue().encode(), more

    return _of_text(changed, ".csv")


def drop_log_column(rows, rng):
    at = int(rng.integers(len(rows[0])))
    for row in rows:
        del row[at]
    return {"fewer": 0}


def reorder_log_columns(rows, rng):
    order = rng.permutation(len(rows[0]))
    rows[:] = [[row[i] for i in order] for row in rows]


def repeat_log_column(rows, rng):
    at = int(rng.integers(len(rows[0])))
    for row in rows:
        row.append(row[at])


def rename_log_column(rows, rng):
    at = int(rng.integers(len(rows[0])))
    rows[0][at] = (rows[0][at].upper(), f" {rows[0][at]} ", "", rows[0][at - 1])[rng.integers(4)]


def drop_log_rows(rows, rng):
    count = int(rng.integers(1, len(rows)))
    del rows[1 : 1 + count]
    return {"fewer": count}


def reorder_log_rows(rows, rng):
    rows[1:] = [rows[1 + i] for i in rng.permutation(len(rows) - 1)]


def repeat_log_row(rows, rng):
    rows.insert(int(rng.integers(1, len(rows))), list(rows[rng.integers(1, len(rows))]))


def cut_log_row(rows, rng):
    row = rows[rng.integers(1, len(rows))]
    row.pop() if rng.integers(2) else row.append("x")


def numbers_as_floats(rows, rng):
    """As pandas writes columns of whole numbers with gaps."""
    for row in rows[1:]:
        for name in ("parameters", "steps", "warmup_steps", "seed"):
            at = rows[0].index(name)
            row[at] = f"{float(row[at])!r}"


def a_decimal_comma(rows, rng):
    row, at = rows[rng.integers(1, len(rows))], rows[0].index(("peak_lr", "final_val_loss")[rng.integers(2)])
    if "." not in row[at]:
        return
    if rng.integers(2):
        row[at] = row[at].replace(".", ",")
    else:
        row[at : at + 1] = row[at].split(".")


def a_wrong_log_value(rows, rng):
    wrong = ("nan", "-inf", "-1", "x", "1e400", "1_0", "0x10", "", "None", "1.5", "-0.5", "٣", "True")
    name = ("parameters", "cooldown_fraction", "peak_lr", "steps", "warmup_steps", "seed", "final_lr")[rng.integers(7)]
    row, at = rows[rng.integers(1, len(rows))], rows[0].index(name)
    row[at] = wrong[rng.integers(len(wrong))]
    return {"fewer": 1, "more": 1}  # 1.5 is a peak LR, too


def quoted(content, rng):
    rows = csv.reader(io.StringIO(content.decode()))
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return file.getvalue().encode()


def semicolons(content, rng):
    return content.replace(b",", (b";", b"\t", b"|")[rng.integers(3)])


# ------------------------------------------------------------------------------------------------------- suites

SPOILT = {
    "def suite": ("def other", "suite = None\ndef other", "class suite:\n    pass\ndef other", "async def suite"),
    "suite():": ("suite(:", "suite(needed):", "suite()"),
    "return ": ("", "yield ", "raise SystemExit(0) #", "raise ValueError('a\\nb') #", "return None #", "exit() #"),
    "Suite('mine', (grid,))": (
        "Suite('mine', grid)", "Suite('mine', ())", "Suite('mine', [grid])", "Suite(3, (grid,))", "Suite('', (grid,))",
        "Suite('mine', (grid, grid))", "Suite('mine', (grid,), 'nothing')", "Suite('mine', (grid,), None)", "grid",
        "Suite('mine', {'a': grid})", "Suite('mine')", "lambda: 3", "Suite('mine', (grid, None))",
    ),
    "'linreg'": ("'linregg'", "3", "None", "''", "'linreg('", "'linreg(a=1)'", "('linreg',)", "'linreg, digits'"),
    "('constant', 'rex')": (
        "'rex'", "('rexx',)", "()", "None", "(3,)", "('rex(',)", "['constant', 'rex']", "{'constant', 'rex'}",
        "('rex', None)",
    ),
    "(0.1, 0.5)": ("0.5", "()", "('0.1',)", "(0,)", "(-1,)", "(float('nan'),)", "[0.1, 0.5]", "None", "(True,)"),
    "(0.1, 0.3)": ("0.1", "()", "('0.1',)", "(0,)", "(-1,)", "(float('inf'),)", "[0.1, 0.3]", "(0.3, 0.1)", "(None,)"),
    "seeds=2": ("seeds=0", "seeds=-1", "seeds='2'", "seeds=2.0", "seeds=None", "seeds=True", "sedes=2", "seeds=2,)("),
    "seeds=2)": (
        "seeds=2, optimizer=3)", "seeds=2, optimizer='sgdd')", "seeds=2, weight_decay='0')",
        "seeds=2, weight_decay=-1)",
        "seeds=2, averagings='none')", "seeds=2, averagings=('none',))", "seeds=2, averagings=('mean',))",
    ),
    "from bench": ("from bench.", "import sys; sys.exit(3) #", "# A\nfrom bench", "1/0\nfrom bench"),
}  # fmt: skip
"""Texts in the suite file, and their replacements."""


def spoil_suite(content, rng):
    text = content.decode()
    old = _pick(rng, [old for old in SPOILT if old in text])
    new = old and SPOILT[old][rng.integers(len(SPOILT[old]))]
    return old and (text.replace(old, new, 1).encode(), {"words": tuple(re.findall(r"[\w.-]+", new))})


# ----------------------------------------------------------------------------------------------------- SHA256SUMS

SUMS = "SHA256SUMS"


def spoil_sums(content, rng):
    """A list of digests as other programs write it, or of other files."""
    lines = content.decode().splitlines()
    at = int(rng.integers(len(lines)))
    digest, name = lines[at].split("  ")
    ways = [
        "\n".join(line.replace("  ", " *") for line in lines),
        "\n".join(line[:64].upper() + line[64:] for line in lines),
        "\n\n".join(lines) + "\n\n",
        "# made by hand\n" + "\n".join(lines),
        "\n".join([*lines, f"{digest}  not/there.parquet"]),
        "\n".join(lines[:at] + lines[at + 1 :]),
        "\n".join([*lines[:at], f"{'0' * 64}  {name}", *lines[at + 1 :]]),
        "\n".join([*lines[:at], f"{digest[:-1]}  {name}", *lines[at + 1 :]]),
        "\n".join([*lines[:at], digest, *lines[at + 1 :]]),
        "\n".join([*lines, lines[at], f"{'0' * 64}  {name}"]),
        "\n".join(f"SHA256 ({line.split('  ')[1]}) = {line[:64]}" for line in lines),
        "\r\n".join(lines),
        "\ufeff" + "\n".join(lines),
        "\t".join(lines),
        "",
    ]
    way = ways[rng.integers(len(ways))].encode()
    return [way, way, way, way.decode().encode("utf-16"), b"\xff\xfe\0"][rng.integers(5)]


# ---------------------------------------------------------------------------------------------------- catalogue

FILES = (remove, remove_folder, rename, rename_folder, nest, nest_all, flatten, duplicate, stray, stray_folder, empty)
FILES += (a_folder_for_a_file, truncate, garbage, of_another_kind)
TABLES = (drop_rows, no_rows, repeat_rows, reorder_rows, drop_column, rename_column, add_column, reorder_columns)
TABLES += (retype_column, forget_types, null_a_value, a_label_out_of_range, labels_of_another_type)
TABLES += (labels_in_another_order, labels_as_names)
JSON = (drop_field, retype_field, retype_box, boxes_as_shares, ids_as_text, sizes_as_text)
JSON += (reorder_json, renumber_categories, rename_category, repeat_json_row, lose_images, far_file_name, no_boxes)
TEXT = (mark, crlf, utf16, latin1, blank_lines, nul)
LOG = (drop_log_column, reorder_log_columns, repeat_log_column, rename_log_column, drop_log_rows, reorder_log_rows)
LOG += (repeat_log_row, cut_log_row, numbers_as_floats, a_decimal_comma, a_wrong_log_value)
MUTATIONS = {
    **{f.__name__: f for f in (*FILES, pack, repack, resave_image, resave_sound)},
    **{f.__name__: _of_table(f) for f in TABLES},
    **{f.__name__: f for f in (compress_table, shard_table)},
    "resave_table_sound": _of_value("audio", resave_table_sound),
    "resave_table_image": _of_value("img", resave_table_image),
    **{f.__name__: _of_json(f) for f in JSON},
    **{f.__name__: _of_text(f, ".csv", ".json", ".py") for f in TEXT},
    **{f.__name__: _of_log(f) for f in LOG},
    **{f.__name__: _of_text(f, ".csv") for f in (quoted, semicolons)},
    "spoil_suite": _of_text(spoil_suite, ".py"),
    "spoil_sums": _of_text(spoil_sums, SUMS),
    "flip": flip,
    "swap": swap,
}
DIGEST_ONLY = ("flip", "swap")
"""Only a digest tells these from other data."""

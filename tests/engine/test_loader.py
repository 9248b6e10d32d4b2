"""The loader: augmentation and prefetching are functions of (seed, step), on any number of processes."""

import multiprocessing
import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from bench.contract import Data, InputError, Split, Stream
from bench.engine import loader as loading
from bench.engine import prefetch
from bench.engine.loader import Loader, key
from bench.engine.prefetch import WorkerReader
from tasks.image.augment import crop_and_flip, from_bytes, standardised
from tasks.text import recipe
from tests.engine.toys import toy

SIZES = (40, 20, 20)


def pictures():
    draw = np.random.default_rng(0)
    return Data(*(Split((draw.integers(0, 256, (n, 3, 6, 6), np.uint8),), (np.arange(n) % 3,)) for n in SIZES))


@dataclass(frozen=True)
class Read:
    """An example of a held split, the key's last digits added where there is one."""

    split: Split

    def __call__(self, i, key):
        if i == 13 and len(self.split) == 20:
            raise InputError("example 13 holds no whole image")
        return (self.split.inputs[0][i].astype(np.float32) + (key or 0) % 100,), (self.split.target[0][i],)


def streamed():
    return Data(*(Stream(Read(split), split.target, "made here") for split in pictures()))


def sentences():
    """Ids and kinds of up to 9 pieces; kind 0 is padding."""
    draw = np.random.default_rng(1)
    splits = []
    for n in SIZES:
        kinds = (np.arange(9) < draw.choice([3, 4, 9], (n, 1), p=[0.5, 0.4, 0.1])) * draw.integers(1, 3, (n, 9))
        splits.append(Split((kinds * draw.integers(1, 50, (n, 9)), kinds.astype(np.uint8)), (np.arange(n) % 3,)))
    return Data(*splits)


TEXTS = replace(toy(), load=sentences, lengths=recipe.lengths)
HELD = replace(toy(), load=pictures, prepare=from_bytes((0.5,) * 3, (0.25,) * 3, crop_and_flip))
STREAM = replace(toy(), load=streamed)


def equal(a, b):
    return all(torch.equal(x, y) for one, two in zip(a, b, strict=True) for x, y in zip(one, two, strict=True))


def test_augmentation_is_a_function_of_seed_and_step():
    loader = Loader(HELD, 0)
    later = loader.batch(7)
    loader.batch(2)
    assert equal(loader.batch(7), later)
    assert equal(Loader(HELD, 0).batch(7), later)
    assert not equal(Loader(HELD, 1).batch(7), later)
    plain = Loader(replace(HELD, prepare=from_bytes((0.5,) * 3, (0.25,) * 3)), 0)
    assert torch.equal(plain.batch(7)[1][0], later[1][0]), "the order of the examples does not depend on augmentation"
    assert not torch.equal(plain.batch(7)[0][0], later[0][0])


@pytest.mark.parametrize("task", [HELD, replace(HELD, prepare=None), STREAM], ids=["prepared", "plain", "stream"])
def test_slices_of_ranks_make_up_the_batch_of_one_process(task):
    whole, halves = Loader(task, 3).batch(6), [Loader(task, 3, rank=rank, world=2).batch(6) for rank in range(2)]
    joined = [tuple(torch.cat(parts) for parts in zip(*kind, strict=True)) for kind in zip(*halves, strict=True)]
    assert equal(joined, whole)


@pytest.mark.parametrize("task", [HELD, replace(HELD, prepare=None), STREAM], ids=["prepared", "plain", "stream"])
@pytest.mark.parametrize("world", [2, 4])
def test_ranks_are_dealt_the_chunks_of_a_split_in_turn_and_some_may_get_none(monkeypatch, task, world):
    monkeypatch.setattr("bench.engine.loader.CHUNK", 15)
    chunks, target = Loader(task, 3).split("train")
    whole = list(chunks)
    assert len(whole) == 3
    for rank in range(world):
        own, same = Loader(task, 3, rank=rank, world=world).split("train")
        for _ in range(2):
            assert equal(list(own), whole[rank::world])
        assert torch.equal(same[0], target[0])


def test_evaluation_is_not_augmented_and_can_be_repeated():
    chunks, target = Loader(HELD, 0).split("test")
    split = pictures().test
    want = standardised(torch.tensor(split.inputs[0]), (0.5,) * 3, (0.25,) * 3)
    for _ in range(2):
        assert torch.equal(torch.cat([inputs for (inputs,) in chunks]), want)
    assert torch.equal(target[0], torch.tensor(split.target[0]))


def trimmed(inputs):
    """Rows cut to the longest of them, which is read from the tensors themselves."""
    return tuple(a[:, : int((inputs[1] > 0).any(0).sum())] for a in inputs)


def test_texts_are_cut_to_the_longest_of_their_batch_or_chunk(monkeypatch):
    monkeypatch.setattr(loading, "CHUNK", 3)
    cut, whole = Loader(TEXTS, 0), Loader(replace(TEXTS, lengths=None), 0)
    ranks = [Loader(TEXTS, 0, rank=rank, world=2) for rank in range(2)]
    widths = set()
    for step in range(2 * cut.epoch_steps):
        want = trimmed(whole.batch(step)[0])
        widths.add(want[0].shape[1])
        parts = [rank.batch(step)[0] for rank in ranks]
        for got in (cut.batch(step)[0], [torch.cat(pair) for pair in zip(*parts, strict=True)]):
            assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    assert widths == {4, 9}
    chunks = [list(loader.split("test")[0]) for loader in (cut, whole, *ranks)]
    ours, theirs = chunks[0], [trimmed(chunk) for chunk in chunks[1]]
    dealt = [chunks[2 + i % 2][i // 2] for i in range(len(ours))]
    for got in (ours, dealt):
        assert all(
            torch.equal(a, b) for one, two in zip(got, theirs, strict=True) for a, b in zip(one, two, strict=True)
        )
    assert len({inputs[0].shape[1] for inputs in ours}) > 1


def test_what_is_prepared_has_the_type_of_the_weights():
    assert Loader(HELD, 0, dtype=torch.float64).batch(0)[0][0].dtype == torch.float64


def test_crops_and_mirrors_equal_those_made_one_by_one():
    images = torch.randint(0, 256, (64, 3, 8, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    got = crop_and_flip(images, torch.Generator().manual_seed(5), padding=2)
    draw = torch.Generator().manual_seed(5)
    offsets, flips = torch.randint(0, 5, (64, 2), generator=draw), torch.randint(0, 2, (64,), generator=draw)
    for image, (top, left), flip, one in zip(images, offsets.tolist(), flips.tolist(), got, strict=True):
        padded = torch.zeros(3, 12, 10, dtype=torch.uint8)
        padded[:, 2:10, 2:8] = image
        cut = padded[:, top : top + 8, left : left + 6]
        assert torch.equal(one, cut.flip(2) if flip else cut)
    assert len({*map(tuple, offsets.tolist())}) > 15
    assert 16 < flips.sum() < 48


def test_a_stream_has_the_order_of_a_held_split_and_a_key_for_every_example_and_epoch():
    loader, resident = Loader(STREAM, 0), Loader(replace(HELD, prepare=None), 0)
    for step in (0, 1, 2, 9, 3, 4):
        (images,), (labels,) = loader.batch(step)
        (plain,), (same,) = resident.batch(step)
        assert torch.equal(labels, same)
        picked = resident._examples(step, slice(None)).tolist()
        added = torch.tensor([key(0, step // resident.epoch_steps, i, "read") % 100 for i in picked])
        assert torch.equal(images, plain + added.view(-1, 1, 1, 1))


def test_a_stream_goes_on_after_evaluation_and_is_evaluated_as_it_lies():
    loader = Loader(STREAM, 0)
    first = loader.batch(0)
    chunks, target = loader.split("train")
    for _ in range(2):
        assert torch.equal(torch.cat([x for (x,) in chunks]), torch.tensor(pictures().train.inputs[0]).float())
    assert torch.equal(target[0], torch.tensor(pictures().train.target[0]))
    assert equal(loader.batch(1), Loader(STREAM, 0).batch(1))
    assert equal(loader.batch(0), first)


def test_an_example_that_cannot_be_read_is_one_line():
    chunks, _ = Loader(STREAM, 0).split("test")
    with pytest.raises(InputError, match=r"^example 13 holds no whole image$"):
        list(chunks)


@pytest.fixture
def crew_of_two(monkeypatch):
    """As with a GPU, on a machine without one."""
    monkeypatch.setattr(prefetch, "worker_count", lambda device: 2)


def test_workers_read_what_the_process_itself_would(one_thread, crew_of_two):
    workers, alone = Loader(STREAM, 0), Loader(STREAM, 0)
    alone._reader = lambda: WorkerReader(alone._data, alone.device, workers=0)
    for step in (0, 1, 7, 8):
        assert equal(workers.batch(step), alone.batch(step))
    with pytest.raises(InputError, match=r"^example 13 holds no whole image$"):
        list(workers.split("test")[0])
    assert equal(workers.batch(9), alone.batch(9)), "and goes on"
    workers.close()
    assert not multiprocessing.active_children(), "its workers end with it"


def test_workers_get_no_in_memory_split(one_thread, crew_of_two):
    """A lock can't be copied to another process, so it would not start."""
    loader = Loader(replace(STREAM, load=lambda: streamed()._replace(control=Split((threading.Lock(),), ([0],)))), 0)
    loader.batch(0)
    loader.close()


def test_the_digest_of_a_stream_covers_its_stamp_and_its_targets():
    data = streamed()
    other = data._replace(test=replace(data.test, stamp="made there"))
    relabelled = data._replace(test=replace(data.test, target=(1 - data.test.target[0],)))
    assert len({data.digest(), other.digest(), relabelled.digest()}) == 3
    assert data.digest() == streamed().digest()

"""The cache of embeddings: one table whatever its state, within its limit, and no reader is disturbed."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

from samstudy import embedding_files
from samstudy.embedding_files import embeddings_dir, limit_bytes
from samstudy.embeddings import embed, embedding_key
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate

# float16 features of the tiny model and the header of the file
FILE_BYTES = 32 * 4 * 4 * 2 + 200


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def files():
    return [path for path in embeddings_dir().rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def nothing_written(monkeypatch):
    monkeypatch.setattr(embedding_files, "_written_since", {})


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_cold_warm_and_without_the_cache_are_one_embedding(tiny_model, dtype):
    found = [
        embed(tiny_model, picture(), cache=cache, cache_dtype=dtype) for cache in (False, True, True, False)
    ]
    assert all(torch.equal(found[0].features, other.features) for other in found)
    assert found[0].features.dtype == torch.float32
    exact = tiny_model.embed(picture()).features
    assert torch.equal(found[0].features, exact) == (dtype == "float32")
    torch.testing.assert_close(found[0].features, exact, rtol=2**-11, atol=1e-6)


def test_one_table_whatever_the_state_of_the_cache(tiny_model, drawn, own_cache):
    def table(cache=True, forget=()):
        for path in own_cache.rglob("*.*"):
            if path.suffix in forget:
                path.unlink()
        return evaluate(drawn, [tiny_model], ["box", "clicks_3", "everything_8"], cache=cache, progress=False)

    tables = [
        table(cache=False),
        table(),
        table(),
        table(forget=(".json",)),
        table(forget=(".json", ".safetensors")),
    ]
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other)


def test_files_are_of_two_bytes_a_number_unless_told_otherwise(tiny_model, monkeypatch):
    embed(tiny_model, picture())
    (small,) = files()
    with safe_open(small, framework="pt") as handle:
        assert handle.get_tensor("features").dtype == torch.float16
    monkeypatch.setenv("SAMSTUDY_CACHE_DTYPE", "float32")
    embed(tiny_model, picture())
    (large,) = set(files()) - {small}
    assert large.stat().st_size > 1.5 * small.stat().st_size
    key = embedding_key(tiny_model, picture())
    assert large.stem == key != embedding_key(tiny_model, picture(), "float16")
    monkeypatch.setenv("SAMSTUDY_CACHE_DTYPE", "float61")
    with pytest.raises(StudyError, match=r"unknown cache_dtype 'float61'; did you mean 'float16'"):
        embed(tiny_model, picture())


def test_rows_are_kept_apart_by_what_embeddings_are_rounded_to(tiny_model, drawn, monkeypatch, own_cache):
    evaluate(drawn, [tiny_model], ["box"], progress=False)
    n_rows = len(list(own_cache.rglob("*.json")))
    monkeypatch.setenv("SAMSTUDY_CACHE_DTYPE", "float32")
    evaluate(drawn, [tiny_model], ["box"], progress=False)
    assert len(list(own_cache.rglob("*.json"))) == 2 * n_rows


def test_what_has_no_room_in_two_bytes_stays_as_it_is(tiny_model, monkeypatch):
    found = tiny_model.embed(picture())
    found.features[0, 0, 0, 0] = 1e6
    monkeypatch.setattr(type(tiny_model), "embed", lambda *_: found)
    assert all(embed(tiny_model, picture()).features[0, 0, 0, 0] == 1e6 for _ in range(2))


def test_the_least_recently_read_go_first_and_that_is_told(tiny_model, monkeypatch):
    for seed in range(6):
        embed(tiny_model, picture(seed))
    size = files()[0].stat().st_size
    by_seed = {
        seed: embeddings_dir()
        / tiny_model.encoder_sha
        / f"{embedding_key(tiny_model, picture(seed))}.safetensors"
        for seed in range(7)
    }
    for seed in range(6):
        os.utime(by_seed[seed], (1000 + seed, 1000 + seed))
    embed(tiny_model, picture(0))
    monkeypatch.setattr(embedding_files, "_written_since", {})
    monkeypatch.setenv("SAMSTUDY_CACHE_GB", str(4.5 * size / 1e9))
    with pytest.warns(UserWarning, match=r"the 3 used least recently were removed.*SAMSTUDY_CACHE_GB"):
        embed(tiny_model, picture(6))
    assert {seed for seed, path in by_seed.items() if path.exists()} == {0, 4, 5, 6}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(tiny_model, picture(6))


def test_the_folder_stays_within_its_limit(tiny_model, monkeypatch):
    monkeypatch.setenv("SAMSTUDY_CACHE_GB", str(5 * FILE_BYTES / 1e9))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(20):
            embed(tiny_model, picture(seed))
            assert sum(path.stat().st_size for path in files()) <= 5 * FILE_BYTES


def test_a_reader_keeps_a_file_that_is_removed(tiny_model):
    fresh = embed(tiny_model, picture(), cache_dtype="float32")
    cached = embed(tiny_model, picture(), cache_dtype="float32")
    files()[0].unlink()
    assert torch.equal(fresh.features, cached.features)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = embed(tiny_model, picture(), cache_dtype="float32")
    assert torch.equal(fresh.features, again.features)


def test_what_a_killed_process_left_is_removed_when_it_is_old(tiny_model, monkeypatch):
    embed(tiny_model, picture())
    folder = files()[0].parent
    old, new = folder / ".a.tmp.safetensors", folder / ".b.tmp.safetensors"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    monkeypatch.setattr(embedding_files, "_written_since", {})
    embed(tiny_model, picture(1))
    assert not old.exists()
    assert new.exists()


def test_the_limit_is_a_number_of_gigabytes(tiny_model, monkeypatch, tmp_path):
    assert 0 < limit_bytes(tmp_path, 0) <= 20e9
    monkeypatch.setenv("SAMSTUDY_CACHE_GB", "0")
    embed(tiny_model, picture())
    assert not embeddings_dir().exists()
    for text in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("SAMSTUDY_CACHE_GB", text)
        with pytest.raises(StudyError, match=f"SAMSTUDY_CACHE_GB is '{text}', but a number of gigabytes"):
            limit_bytes(tmp_path, 0)

"""A tuned file and the file of its base: moved, given, wrong, or tuned itself."""

from __future__ import annotations

import pytest
from drawn import TINY, DrawnDataset, tiny_sam

from samstudy import models
from samstudy.cli import DONE, REFUSED, main
from samstudy.errors import ModelError, StudyError
from samstudy.models import SamModel, load_model
from samstudy.paths import checkpoints_dir
from samstudy.tuning import Recipe, finetune, save_tuned
from samstudy.vit_t import save_vit_t

QUICK = Recipe(prompts=("box",), steps=2, validate_every=2, learning_rate=1e-2, blend=())


def write_base(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_vit_t(tiny_sam(seed).state_dict(), TINY, path, {})


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """A tuned file, where its base was, and where it is now."""
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path / "project"))
    base = write_base(tmp_path / "bases" / "mine.safetensors")
    tuned = finetune(load_model(base, "cpu"), DrawnDataset(only="disc"), 2, recipe=QUICK, progress=False)
    weights = save_tuned(tuned, tmp_path / "tuned" / "weights.safetensors")
    there = tmp_path / "away" / "renamed.safetensors"
    there.parent.mkdir()
    return weights, tuned.weights_sha, base, base.rename(there)


def test_the_base_is_where_the_file_says(moved):
    weights, sha, base, there = moved
    there.rename(base)
    assert load_model(weights).weights_sha == sha


def test_a_base_that_has_come_along_is_found(moved):
    weights, sha, base, there = moved
    there.rename(weights.parent / base.name)
    assert load_model(weights).weights_sha == sha


def test_a_base_among_the_checkpoints_is_found(moved):
    weights, sha, base, there = moved
    checkpoints_dir().mkdir(parents=True)
    there.rename(checkpoints_dir() / base.name)
    assert load_model(weights).weights_sha == sha


def test_another_file_of_the_same_name_is_refused(moved):
    weights, _, base, _ = moved
    write_base(weights.parent / base.name, seed=1)
    with pytest.raises(ModelError, match=r"tuned from 'mine' with the image encoder .* use the same base"):
        load_model(weights)


def test_a_base_that_is_nowhere_says_what_to_do(moved, tmp_path, capsys):
    weights, _, base, there = moved
    output = tmp_path / "whole.safetensors"
    assert main(["export", "--weights", str(weights), "--output", str(output)]) == REFUSED
    said = capsys.readouterr().err
    assert f"tuned from 'mine', its base: no checkpoint at {base}" in said
    assert "--base" in said
    assert main(["export", "--weights", str(weights), "--base", str(there), "--output", str(output)]) == DONE


def test_the_base_can_be_given(moved):
    weights, sha, _, there = moved
    assert load_model(weights, base=there).weights_sha == sha
    with pytest.raises(ModelError, match="use the same base"):
        load_model(weights, base=write_base(there.with_name("other.safetensors"), seed=1))


def test_what_is_not_tuned_takes_no_base(moved):
    there = moved[3]
    for name in ("vit_t", there):
        with pytest.raises(StudyError, match="is no tuned model, so it has no base"):
            load_model(name, base="vit_t")


def test_a_tuned_model_can_be_tuned_again(tmp_path, monkeypatch):
    monkeypatch.setitem(models.MODELS._items, "tiny", lambda _: SamModel("tiny", tiny_sam(), source="tiny"))
    discs = DrawnDataset(only="disc")
    first = save_tuned(finetune("tiny", discs, 2, recipe=QUICK, progress=False), tmp_path / "1.safetensors")
    again = finetune(load_model(first), discs, 2, "lora", recipe=QUICK, progress=False)
    second = save_tuned(again, tmp_path / "2.safetensors")
    assert load_model(second).weights_sha == again.weights_sha

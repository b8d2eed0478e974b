"""Checkpoints: every form that is published loads, and what does not fit is explained."""

from __future__ import annotations

import pickle

import pytest
import torch
from drawn import tiny_sam
from safetensors.torch import save_file

from samstudy.checkpoints import Checkpoint, load_into, read_checkpoint, state_sha, variant_of
from samstudy.errors import ModelError
from samstudy.models import load_model

STATE = {"image_encoder.a": torch.arange(6.0).view(2, 3), "mask_decoder.b": torch.tensor(1.5)}


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"model": s, "epoch": 3}, lambda s: {"state_dict": s}]
)
def test_bare_and_wrapped_state_dicts_read_the_same(tmp_path, wrap):
    torch.save(wrap(STATE), tmp_path / "c.pth")
    read = read_checkpoint(tmp_path / "c.pth").state
    assert read.keys() == STATE.keys()
    assert all(torch.equal(read[k], STATE[k]) for k in STATE)


def test_module_prefix_of_parallel_training_is_removed(tmp_path):
    torch.save({f"module.{k}": v for k, v in STATE.items()}, tmp_path / "c.pth")
    assert read_checkpoint(tmp_path / "c.pth").state.keys() == STATE.keys()


def test_safetensors_keeps_its_header(tmp_path):
    save_file(STATE, tmp_path / "c.safetensors", {"note": "x"})
    checkpoint = read_checkpoint(tmp_path / "c.safetensors")
    assert checkpoint.metadata == {"note": "x"}
    assert torch.equal(checkpoint.state["image_encoder.a"], STATE["image_encoder.a"])


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"no checkpoint at .*nowhere\.pth"):
        read_checkpoint(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_empty_file(tmp_path, suffix):
    (tmp_path / f"c{suffix}").touch()
    with pytest.raises(ModelError, match="is empty"):
        read_checkpoint(tmp_path / f"c{suffix}")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_truncated_file(tmp_path, suffix, part):
    whole = tmp_path / f"whole{suffix}"
    state = {"image_encoder.a": torch.zeros(100, 100)}
    save_file(state, whole) if suffix == ".safetensors" else torch.save(state, whole)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * part)])
    with pytest.raises(ModelError, match="copy"):
        read_checkpoint(cut)


def test_a_text_file_is_no_checkpoint(tmp_path):
    (tmp_path / "c.pth").write_text("<html>not found</html>")
    with pytest.raises(ModelError, match="is not a PyTorch checkpoint"):
        read_checkpoint(tmp_path / "c.pth")


class Evil:
    """Unpickles to a call."""

    def __reduce__(self):
        return (print, ("executed",))


def test_code_in_a_pickle_is_never_run(tmp_path, capsys):
    torch.save({"a": torch.zeros(1), "evil": Evil()}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match="not loaded for safety"):
        read_checkpoint(tmp_path / "c.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError):
        read_checkpoint(tmp_path / "raw.pth")
    assert "executed" not in capsys.readouterr().out


def test_no_tensors(tmp_path):
    torch.save({"lr": 0.1}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match=r"holds no state dict of tensors \(found: \['lr'\]\)"):
        read_checkpoint(tmp_path / "c.pth")


def test_another_network_is_not_a_sam(tmp_path):
    torch.save({"backbone.conv1.weight": torch.zeros(3)}, tmp_path / "resnet.pth")
    with pytest.raises(ModelError, match=r"resnet\.pth is not a SAM checkpoint.*backbone\.conv1\.weight"):
        load_model(tmp_path / "resnet.pth")


def test_unknown_encoder_width():
    state = {"image_encoder.patch_embed.proj.weight": torch.zeros(384, 3, 16, 16)}
    with pytest.raises(ModelError, match="width 384"):
        variant_of(Checkpoint("c.pth", state))


def test_mismatch_is_explained_key_by_key():
    sam = tiny_sam()
    state = dict(sam.state_dict())
    del state["mask_decoder.iou_token.weight"]
    state["mask_decoder.mask_tokens.weight"] = torch.zeros(4, 7)
    state["neck.extra"] = torch.zeros(1)
    with pytest.raises(ModelError) as error:
        load_into(tiny_sam(), Checkpoint("c.pth", state), "vit_t")
    text = str(error.value)
    assert "1 missing (mask_decoder.iou_token.weight)" in text
    assert "1 unexpected (neck.extra)" in text
    assert "mask_decoder.mask_tokens.weight is (4, 7), not (4, 32)" in text


def test_hash_depends_on_names_shapes_and_values_only():
    other_order = dict(reversed(STATE.items()))
    assert state_sha(STATE) == state_sha(other_order)
    assert state_sha(STATE) != state_sha({**STATE, "mask_decoder.b": torch.tensor(1.25)})
    assert state_sha(STATE) != state_sha({**STATE, "image_encoder.a": torch.arange(6.0).view(3, 2)})
    assert state_sha(STATE, "image_encoder.") == state_sha(
        {**STATE, "mask_decoder.b": torch.tensor(0.0)}, "image_encoder."
    )

"""The whole path with a ViT-B file as it is published, of random weights: minutes, so not in the default run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import DrawnDataset
from segment_anything import SamPredictor, sam_model_registry

from samstudy.embeddings import embed
from samstudy.evaluation import evaluate
from samstudy.exporting import export
from samstudy.models import SamModel, load_model
from samstudy.official import OFFICIAL_FILES
from samstudy.prompts import make_prompt
from samstudy.seeds import rng_for
from samstudy.tuning import Recipe, finetune, save_tuned

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project whose vit_b checkpoint has the official keys and shapes and random values."""
    folder = tmp_path_factory.mktemp("project")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = sam_model_registry["vit_b"]()
    path = folder / "data" / "raw" / "checkpoints" / OFFICIAL_FILES["vit_b"].filename
    path.parent.mkdir(parents=True)
    torch.save(sam.state_dict(), path)
    return folder


def test_prediction_cache_and_tuning(root, monkeypatch, tmp_path):
    monkeypatch.setenv("SAMSTUDY_ROOT", str(root))
    torch.set_num_threads(2)
    model = load_model("vit_b", "cpu")
    assert model.image_size == 1024
    dataset = DrawnDataset(3, "tve", only="disc")
    sample = dataset.load("page2")
    embedding = embed(model, sample.image, cache_dtype="float32")
    assert embedding.features.shape == (1, 256, 64, 64)

    official = SamPredictor(sam_model_registry["vit_b"](OFFICIAL_FILES["vit_b"].path))
    official.set_image(sample.image)
    prompt = make_prompt("box", sample.labels["disc"], rng_for(0))
    ours = model.predict(embedding, [prompt])[0]
    masks, iou_pred, _ = official.predict(box=prompt.box_xyxy, multimask_output=True)
    np.testing.assert_array_equal(ours.masks[1:], masks)
    np.testing.assert_allclose(ours.iou_pred[1:], iou_pred, atol=1e-5)

    recipe = replace(Recipe(prompts=("box",)), steps=3, validate_every=3)
    tuned = finetune(model, dataset, shots=1, recipe=recipe, progress=False)
    monkeypatch.setattr(SamModel, "embed", lambda *_: pytest.fail("the encoder ran again"))
    table = evaluate(dataset, [model, tuned], ["box"], progress=False)
    assert set(table.status) <= {"ok", "pred_empty"}
    assert set(table.tuning) == {"none", "decoder"}
    path = save_tuned(tuned, tmp_path / "w.safetensors")
    assert load_model(path, "cpu").weights_sha == tuned.weights_sha

    exported = SamPredictor(sam_model_registry["vit_b"](export(path, tmp_path / "sam.pth").path))
    # its encoder is the same, as seen below: one pass of it takes most of a minute
    exported.features, exported.is_image_set = embedding.features, True
    exported.original_size, exported.input_size = embedding.size_hw, embedding.input_hw
    masks, iou_pred, _ = exported.predict(box=prompt.box_xyxy, multimask_output=True)
    ours = tuned.predict(embedding, [prompt])[0]
    np.testing.assert_array_equal(ours.masks[1:], masks)
    np.testing.assert_allclose(ours.iou_pred[1:], iou_pred, atol=1e-5)
    encoder = exported.model.image_encoder.state_dict()
    assert all(
        torch.equal(encoder[name], value) for name, value in model.sam.image_encoder.state_dict().items()
    )

"""Domains that are apart are told apart, domains that are one are not, and a group is never on both sides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import DrawnDataset, tiny_sam

from samstudy.domain import IMAGE, Pooled, embedding_map, pool, pooled_embeddings, separability
from samstudy.errors import StudyError
from samstudy.inference import Embedding
from samstudy.models import SamModel, load_model

N_GROUPS, N_PER_GROUP = 8, 3


def drawn(apart=6.0, within=0.0, names=("one", "two", "three")):
    """Vectors of a few data sets, ``apart`` between data sets and ``within`` between groups, over noise of 1."""
    rng = np.random.default_rng(0)
    rows, features = [], []
    for i, name in enumerate(names):
        for group in range(N_GROUPS):
            offset = rng.normal(0, within, 12) + apart * (np.arange(12) == i)
            for item in range(N_PER_GROUP):
                rows.append((name, f"image{group}_{item}", f"group{group}", "vit_t"))
                features.append(offset + rng.normal(size=12))
    return Pooled(pd.DataFrame(rows, columns=IMAGE), np.array(features, np.float32))


def test_domains_that_are_apart_are_told_apart():
    found = separability(drawn())
    assert found.datasets == ("one", "two", "three")
    assert found.balanced_accuracy > 0.95
    assert found.low <= found.balanced_accuracy <= found.high
    assert found.recall.sum(axis=1) == pytest.approx(1)
    assert found.balanced_accuracy == pytest.approx(np.diag(found.recall).mean())
    assert (found.n_folds, found.n_images) == (5, 72)


def test_what_groups_share_is_no_domain():
    found = separability(drawn(apart=0.0, within=20.0))
    assert found.balanced_accuracy < 0.6
    assert found.low < 1 / 3 < found.high


def test_a_data_set_of_one_group_is_left_out_and_named():
    pooled = drawn()
    third = pooled.images["dataset"] == "three"
    images = pooled.images.assign(group_id=pooled.images["group_id"].mask(third, "only"))
    found = separability(Pooled(images, pooled.features))
    assert found.datasets == ("one", "two")
    assert found.left_out == {"three": "1 group"}
    with pytest.raises(StudyError, match="nothing to tell apart"):
        separability(Pooled(images[third], pooled.features[third]))


def test_the_map_keeps_neighbours_and_is_the_same_twice():
    pooled = drawn(apart=12.0)
    plane = embedding_map(pooled)
    centres = plane.groupby("dataset")[["x", "y"]].mean()
    distances = [
        np.hypot(plane["x"] - centre.x, plane["y"] - centre.y).to_numpy() for centre in centres.itertuples()
    ]
    nearest = centres.index.to_numpy()[np.argmin(distances, axis=0)]
    assert (nearest == plane["dataset"]).mean() > 0.95
    pd.testing.assert_frame_equal(plane, embedding_map(pooled))


def test_a_map_of_few_images_is_refused_or_drawn():
    pooled = drawn()
    assert len(embedding_map(Pooled(pooled.images[:4], pooled.features[:4]))) == 4
    with pytest.raises(StudyError, match="at least 4 images, not 3"):
        embedding_map(Pooled(pooled.images[:3], pooled.features[:3]))


def test_padding_is_not_pooled():
    features = torch.zeros(1, 2, 4, 4)
    features[:, :, :2] = torch.tensor([3.0, 5.0])[None, :, None, None]
    assert pool(Embedding(features, (32, 64), (100, 200)), 64) == pytest.approx([3, 5])
    assert pool(Embedding(features, (64, 64), (100, 100)), 64) == pytest.approx([1.5, 2.5])


def test_images_are_embedded_in_order_and_broken_ones_passed_over():
    dataset, model = DrawnDataset(broken=(1,)), SamModel("tiny", tiny_sam())
    found = pooled_embeddings([dataset], model, {"drawn": dataset.ids("all")}, cache=False, progress=False)
    assert list(found.images["image_id"]) == ["page0", "page2", "page3", "page4", "page5"]
    assert found.features.shape == (5, 32)
    assert np.isfinite(found.features).all()
    with pytest.raises(StudyError, match="no image to embed"):
        pooled_embeddings([dataset], model, {}, progress=False)
    with pytest.raises(StudyError, match="ellipse looks at no image"):
        pooled_embeddings([dataset], load_model("ellipse"), {"drawn": ["page0"]}, progress=False)

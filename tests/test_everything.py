"""Everything mode is the official generator, run once per image, matched to objects as it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import DrawnDataset, tiny_sam
from score_tables import row
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from samstudy import everything
from samstudy.baselines import EllipseModel
from samstudy.decoder import attend, draw_masks, predict_iou
from samstudy.embeddings import embed
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.everything import OFFICIAL, SMALL, Thresholds, n_proposals, propose, thresholds_of
from samstudy.inference import Embedding
from samstudy.models import SamModel
from samstudy.proposals import candidates
from samstudy.recall import object_recall, say_recall
from samstudy.results import make_table
from samstudy.types import Prediction, Prompt
from samstudy.vit_t import load_vit_t, set_image_size

SIDE = 3
LOOSE = Thresholds(0.0, 0.0)


@pytest.fixture
def loose(monkeypatch):
    """Thresholds that random weights pass."""
    monkeypatch.setattr(everything, "thresholds_of", lambda sam: LOOSE)


@pytest.fixture(scope="module")
def small_vit_t():
    """The packaged model at a small side: random weights would propose the whole image and nothing else."""
    sam = load_vit_t()
    set_image_size(sam, 128)
    return SamModel("vit_t", sam)


def by_the_official_generator(model, image, points_per_side, wanted, **more):
    """Masks and predicted IoU of the official generator, surest first."""
    found = SamAutomaticMaskGenerator(
        model.sam,
        points_per_side,
        pred_iou_thresh=wanted.predicted_iou,
        stability_score_thresh=wanted.stability,
        **more,
    ).generate(image)
    found.sort(key=lambda candidate: -candidate["predicted_iou"])
    masks = [candidate["segmentation"] for candidate in found]
    return np.stack(masks), np.array([candidate["predicted_iou"] for candidate in found], np.float32)


def drawn_image(size_hw):
    image = np.random.default_rng(0).integers(0, 90, (*size_hw, 3), dtype=np.uint8)
    image[5:25, 5:25] += 120
    image[25:38, 30:50] += 80
    return image


@pytest.mark.parametrize("size_hw", [(40, 56), (128, 128), (200, 150)])
@pytest.mark.parametrize("wanted", [LOOSE, SMALL])
def test_equals_the_official_generator(small_vit_t, monkeypatch, size_hw, wanted):
    monkeypatch.setattr(everything, "thresholds_of", lambda sam: wanted)
    image = drawn_image(size_hw)
    masks, iou_pred = by_the_official_generator(small_vit_t, image, SIDE, wanted)
    ours = propose(small_vit_t.sam, small_vit_t.embed(image), SIDE)
    assert n_proposals(ours) == len(masks) > 1
    assert (np.diff(ours.iou_pred) <= 0).all()
    np.testing.assert_allclose(ours.iou_pred, iou_pred, atol=1e-6)
    np.testing.assert_array_equal(ours.masks, masks)


class PooledEncoder(torch.nn.Module):
    """Stands for an image encoder: colours, averaged over cells and mixed."""

    img_size = 64

    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Conv2d(3, 32, 1)

    def forward(self, pixels):
        return self.mix(torch.nn.functional.avg_pool2d(pixels, 4))


@pytest.fixture(scope="module")
def official_kind():
    """The official prompt encoder and decoder, small, whose masks lie on both sides of the official thresholds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        transformer = TwoWayTransformer(depth=2, embedding_dim=32, num_heads=2, mlp_dim=64)
        decoder = MaskDecoder(transformer_dim=32, transformer=transformer, iou_head_hidden_dim=32)
        sam = Sam(PooledEncoder(), PromptEncoder(32, (16, 16), (64, 64), 16), decoder).eval()
    with torch.no_grad():
        sam.mask_decoder.iou_prediction_head.layers[-1].bias.add_(0.93)
        for head in sam.mask_decoder.output_hypernetworks_mlps:
            head.layers[-1].weight.mul_(1500)
            head.layers[-1].bias.mul_(1500)
    return SamModel("official_kind", sam.requires_grad_(False))


def test_equals_the_official_generator_where_its_thresholds_drop_some(official_kind, monkeypatch):
    monkeypatch.setattr("samstudy.proposals._NMS_IOU", 1.0)  # the boxes of random masks are all alike
    image = drawn_image((48, 64))
    embedding = official_kind.embed(image)
    found = {}
    for wanted in (LOOSE, Thresholds(OFFICIAL.predicted_iou, 0.0), OFFICIAL):
        masks, iou_pred = by_the_official_generator(official_kind, image, 6, wanted, box_nms_thresh=1.0)
        found[wanted], ours = candidates(official_kind.sam, embedding, 6, wanted)
        np.testing.assert_allclose(ours, iou_pred, atol=1e-6)
        np.testing.assert_array_equal(found[wanted], masks)
    everything_there, sure, stable = map(len, found.values())
    assert everything_there > sure > stable > 0


def test_what_prompts_share_is_computed_once_with_the_same_result(official_kind):
    sam = official_kind.sam
    features = official_kind.embed(drawn_image((48, 64))).features
    points_xy = torch.rand(5, 1, 2, generator=torch.Generator().manual_seed(0)) * 64
    with torch.inference_mode():
        sparse, dense = sam.prompt_encoder((points_xy, torch.ones(5, 1)), boxes=None, masks=None)
        tokens, cells = attend(sam, features, sparse, dense)
        image_pe = sam.prompt_encoder.get_dense_pe()
        logits, iou_pred = sam.mask_decoder.predict_masks(features, image_pe, sparse, dense)
    torch.testing.assert_close(draw_masks(sam, tokens, cells), logits, rtol=1e-6, atol=1e-4)
    torch.testing.assert_close(predict_iou(sam, tokens), iou_pred, rtol=1e-6, atol=1e-6)


def test_no_mask_is_drawn_that_the_model_is_not_sure_of(official_kind, monkeypatch):
    monkeypatch.setattr("samstudy.proposals.draw_masks", lambda *_: pytest.fail("a mask was drawn"))
    masks, iou_pred = candidates(
        official_kind.sam, official_kind.embed(drawn_image((48, 64))), 6, Thresholds(9, 0)
    )
    assert masks.shape == (0, 48, 64)
    assert iou_pred.shape == (0,)


def test_duplicates_are_removed_on_the_cpu_wherever_the_candidates_are(tiny_model, loose, monkeypatch):
    moved = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: moved.append(tensor.ndim) or cpu(tensor))
    propose(tiny_model.sam, tiny_model.embed(np.zeros((40, 56, 3), np.uint8)), SIDE)
    assert 2 in moved  # the boxes
    assert 1 in moved  # their scores


def test_nothing_proposed_is_one_empty_mask(tiny_model, monkeypatch):
    monkeypatch.setattr(everything, "thresholds_of", lambda sam: Thresholds(2.0, 1.0))
    found = propose(tiny_model.sam, tiny_model.embed(np.zeros((40, 56, 3), np.uint8)), SIDE)
    assert found.masks.shape == (1, 40, 56)
    assert not found.masks.any()
    assert n_proposals(found) == 0
    assert found.choose("predicted_iou") == found.choose("oracle", np.ones((40, 56), bool)) == 0


def test_thresholds_are_the_official_ones_at_the_official_size():
    sam = tiny_sam()
    assert thresholds_of(sam) == SMALL
    set_image_size(sam, 1024)
    assert thresholds_of(sam) == OFFICIAL == (0.88, 0.95)


def test_proposals_are_kept_beside_cached_embeddings_only(tiny_model, loose, own_cache, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (40, 57, 3), dtype=np.uint8)
    propose(tiny_model.sam, embed(tiny_model, image, cache=False), SIDE)
    assert not list(own_cache.rglob("*.npz"))
    fresh = propose(tiny_model.sam, embed(tiny_model, image), SIDE)
    (file,) = own_cache.rglob("*.npz")
    with monkeypatch.context() as patch:
        patch.setattr(everything, "_generate", lambda *_: pytest.fail("the proposals were made again"))
        kept = propose(tiny_model.sam, embed(tiny_model, image), SIDE)
    np.testing.assert_array_equal(kept.masks, fresh.masks)
    np.testing.assert_array_equal(kept.iou_pred, fresh.iou_pred)
    file.write_bytes(file.read_bytes()[:50])
    again = propose(tiny_model.sam, embed(tiny_model, image), SIDE)
    np.testing.assert_array_equal(again.masks, fresh.masks)


@pytest.mark.parametrize("change", ["weights", "grid"])
def test_kept_proposals_are_those_of_the_same_decoder_and_grid(tiny_model, loose, own_cache, change):
    embedding = embed(tiny_model, np.zeros((40, 56, 3), np.uint8))
    propose(tiny_model.sam, embedding, SIDE)
    if change == "weights":
        tiny_model.sam.mask_decoder.mask_tokens.weight += 1
    propose(tiny_model.sam, embedding, SIDE + (change == "grid"))
    assert len(list(own_cache.rglob("*.npz"))) == 2


def test_choices_among_proposals():
    reference = np.array([[1, 1, 0, 0]], bool)
    masks = np.array([[[0, 0, 1, 1]], [[1, 0, 0, 0]], [[1, 1, 0, 0]]], bool)
    proposals = Prediction(masks, np.array([0.9, 0.5, 0.4], np.float32), proposals=True)
    assert proposals.choose("predicted_iou") == 0
    assert proposals.choose("oracle", reference) == 2
    with pytest.raises(ValueError, match="everything mode has no 'single' mask"):
        proposals.choose("single")


def test_rows_of_everything_mode(tiny_model, loose):
    dataset = DrawnDataset(empty=True)
    table = evaluate(dataset, [tiny_model, "ellipse"], ["box", "everything_8"], limit=1, progress=False)
    rows = table[(table["prompt"] == "everything_8") & (table["model"] == "tiny")]
    assert set(rows["mask_choice"]) == {"predicted_iou", "oracle"}
    assert (rows["n_points"].dropna() == 0).all()
    scored = rows[rows["status"] != "ref_empty"]
    dice = scored.pivot(index="object_id", columns="mask_choice", values="dice")
    assert (dice["oracle"] >= dice["predicted_iou"]).all()
    surest = scored[scored["mask_choice"] == "predicted_iou"]
    assert surest["n_pred_px"].nunique() == surest["iou_pred"].nunique() == 1
    ellipse = table[(table["prompt"] == "everything_8") & (table["model"] == "ellipse")]
    assert set(ellipse["mask_choice"]) == {"single"}
    assert len(ellipse) == 3


def test_the_generator_runs_once_for_all_objects_of_an_image(tiny_model, loose, monkeypatch):
    made = []
    generate = everything._generate
    monkeypatch.setattr(everything, "_generate", lambda *given: made.append(1) or generate(*given))
    evaluate(DrawnDataset(), [tiny_model], ["everything_8", "box"], limit=1, progress=False, cache=False)
    assert len(made) == 1


def test_the_baseline_puts_its_disc_in_the_middle():
    model = EllipseModel()
    model.area_fraction = {"disc": 0.1}
    (found,) = model.predict(Embedding(None, (41, 61), (41, 61)), [Prompt(points_per_side=4, target="disc")])
    rows, columns = np.nonzero(found.masks[0])
    assert (rows.mean(), columns.mean()) == (20, 30)
    assert found.masks.mean() == pytest.approx(0.1, rel=0.05)


def found_with(*ious, choice="oracle", **more):
    return [
        row(
            group,
            0,
            iou,
            iou=iou,
            prompt="everything",
            choice=choice,
            **({"n_proposals": 2 * group + 1} | more),
        )
        for group, iou in enumerate(ious)
    ]


def test_recall_counts_objects_that_a_proposal_covers():
    best, surest = found_with(0.8, 0.75, 0.5, 0.49, 0.0, np.nan), [0.8, 0.1, 0.1, 0.1, 0.0, np.nan]
    table = make_table([*best, *found_with(*surest, choice="predicted_iou")])
    found = object_recall(table)
    half, most, *of_surest = found.to_dict("records")
    assert (half["threshold_iou"], half["n_found"], half["recall"]) == (0.5, 3, 3 / 5)
    assert (most["threshold_iou"], most["n_found"], most["recall"]) == (0.75, 2, 2 / 5)
    assert (half["n_objects"], half["n_left_out"], half["mask_choice"]) == (5, 1, "oracle")
    assert half["ci_low"] <= half["recall"] <= half["ci_high"]
    assert [(each["mask_choice"], each["recall"]) for each in of_surest] == [("predicted_iou", 1 / 5)] * 2


def test_proposals_are_counted_once_an_image():
    table = make_table([*found_with(0.8, 0.2, 0.3), *found_with(0.8, 0.2, 0.3, object_id="organ#1")])
    found = object_recall(table, (0.5,))
    assert found[["n_proposals_median", "n_proposals_min", "n_proposals_max"]].to_numpy().tolist() == [
        [3, 1, 5]
    ]
    assert (found["n_objects"].item(), found["n_images"].item()) == (6, 3)
    assert "fewer than 5" in found["note"].item()


def test_recall_of_nothing_scored_is_missing():
    lost = make_table(found_with(np.nan, np.nan, status="error", n_proposals=None))
    found = object_recall(lost, (0.5,)).iloc[0]
    assert np.isnan([found["recall"], found["ci_low"], found["n_proposals_median"]]).all()
    assert found["left_out"] == "2 error"


@pytest.mark.parametrize("other", [{"prompt": "box"}, {"prompt": "everything", "model": "ellipse"}])
def test_recall_without_everything_mode_says_what_to_evaluate(other):
    with pytest.raises(
        StudyError, match="no rows of everything mode; evaluate the prompt everything or everything_8"
    ):
        object_recall(make_table([row(0, 0, 0.5, iou=0.5, **other)]))


def test_what_is_found_is_said_with_its_numbers():
    said = say_recall(make_table(found_with(0.8, 0.6, 0.3, 0.1, 0.1)))
    assert "vit_t, `everything`: 5 proposals in the median image (1 to 9)." in said
    assert "the best proposal (oracle) covers 2 of 5 objects with an IoU of 0.5 or more: 0.40 [" in said
    assert "covers 1 of 5 objects with an IoU of 0.75 or more: 0.20 [" in said
    assert say_recall(make_table([row(0, 0, 0.5, iou=0.5)])).startswith(
        "Not counted here: the table has no rows of"
    )


def test_modes_are_not_pooled():
    both = make_table([*found_with(0.8), *(known | {"prompt": "everything_8"} for known in found_with(0.2))])
    with pytest.raises(StudyError, match="one cell would pool scores of different prompt"):
        object_recall(both, by=["dataset"])


def test_the_score_table_holds_the_number_of_proposals_of_everything_mode_alone(tiny_model, loose):
    dataset = DrawnDataset(empty=True)
    table = evaluate(dataset, [tiny_model, "ellipse"], ["box", "everything_8"], limit=1, progress=False)
    proposing = (
        (table["prompt"] == "everything_8") & (table["model"] == "tiny") & (table["status"] != "ref_empty")
    )
    image = dataset.load(table["image_id"].iloc[0]).image
    direct = propose(tiny_model.sam, embed(tiny_model, image), 8)
    assert table.loc[proposing, "n_proposals"].eq(len(direct.masks)).all()
    assert table.loc[~proposing, "n_proposals"].isna().all()


def test_a_model_of_the_study_proposes_through_predict(tiny_model, loose):
    embedding = tiny_model.embed(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8))
    prompts = [Prompt(points_per_side=SIDE), Prompt(box_xyxy=np.array([3, 3, 20, 20], np.float32))]
    proposals, boxed, again = SamModel.predict(tiny_model, embedding, [*prompts, prompts[0]])
    assert proposals is again
    assert proposals.proposals
    assert len(boxed.masks) == 4

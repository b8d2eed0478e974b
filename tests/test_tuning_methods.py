"""Automatic prompts, LoRA and full fine-tuning, and tunings that are killed in the middle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from drawn import DrawnDataset, tiny_sam
from segment_anything.modeling.image_encoder import ImageEncoderViT

from samstudy import models, runs, stages
from samstudy.automatic import give_prompt
from samstudy.ceiling import ceiling
from samstudy.checkpoints import state_sha
from samstudy.cli import main
from samstudy.datasets.base import Reading
from samstudy.embeddings import embedding_key
from samstudy.errors import ModelError, StudyError
from samstudy.evaluation import evaluate
from samstudy.figures.captions import standard_caption
from samstudy.inference import decode
from samstudy.models import SamModel, load_model
from samstudy.paths import cache_dir, table_path
from samstudy.prompts import make_prompt
from samstudy.results import read_provenance
from samstudy.tuning import METHODS, Recipe, finetune, loop, lora, save_tuned
from samstudy.tuning.choice import AUTOMATIC_RATE
from samstudy.tuning.examples import image_features, make_examples
from samstudy.tuning.losses import LOSSES, example_loss, prompt_losses, soft_cldice, soft_skeleton
from samstudy.types import AUTOMATIC, Sample

QUICK = Recipe(
    prompts=("automatic", "box"), steps=6, validate_every=2, prompts_per_image=2, learning_rate=1e-3
)
IMAGE = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
ANYWHERE = np.ones((40, 56), bool)


@pytest.fixture
def discs():
    """Twelve training images of one target, two for validation, four for testing."""
    return DrawnDataset(18, "tttttttttttt" + "vv" + "eeee", only="disc")


@pytest.fixture
def tiny_registered(monkeypatch):
    """Make load_model("tiny") work."""
    monkeypatch.setitem(models.MODELS._items, "tiny", lambda _: SamModel("tiny", tiny_sam(), source="tiny"))


class Instances(DrawnDataset):
    """The disc and the dot are two instances of one target."""

    info = replace(DrawnDataset.info, name="instances", targets=("thing",))

    def _read(self, record):
        reading = super()._read(record)
        labels = {"thing#1": reading.labels["disc"], "thing#2": reading.labels["dot"]}
        return Reading(reading.image, labels, spacing_mm=reading.spacing_mm)


def logits(model, mode, image=IMAGE):
    prompt = make_prompt(mode, ANYWHERE, np.random.default_rng(0))
    return decode(model.sam, model.embed(image), [prompt])[0].low_res_logits


def test_automatic_takes_nothing_from_the_mask():
    dot = np.zeros((40, 56), bool)
    dot[3, 4] = True
    one, other = (make_prompt(AUTOMATIC, mask, np.random.default_rng(0)) for mask in (dot, ~dot))
    assert one.box_xyxy.tolist() == other.box_xyxy.tolist() == [0, 0, 55, 39]
    assert not one.n_points


def test_automatic_is_the_whole_image_as_a_box_until_it_is_learnt(tiny_model):
    assert np.array_equal(logits(tiny_model, AUTOMATIC), logits(tiny_model, "box"))
    give_prompt(tiny_model.sam)
    assert np.array_equal(logits(tiny_model, AUTOMATIC), logits(tiny_model, "box"))
    before = logits(tiny_model, "box")
    torch.nn.init.constant_(tiny_model.sam.automatic.dense, 0.5)
    assert np.array_equal(logits(tiny_model, "box"), before)
    assert not np.allclose(logits(tiny_model, AUTOMATIC), before)


def test_automatic_and_a_box_in_one_call_are_answered_apart(tiny_model):
    give_prompt(tiny_model.sam)
    torch.nn.init.constant_(tiny_model.sam.automatic.sparse, 0.5)
    prompts = [make_prompt(mode, ANYWHERE, np.random.default_rng(0)) for mode in ("box", AUTOMATIC)]
    both = decode(tiny_model.sam, tiny_model.embed(IMAGE), prompts)
    for mode, found in zip(("box", AUTOMATIC), both, strict=True):
        assert np.allclose(found.low_res_logits, logits(tiny_model, mode), atol=1e-5)


def test_instances_of_a_target_are_asked_for_together(tiny_model):
    dataset = Instances()
    table = evaluate(dataset, [tiny_model, "ellipse"], ["box", AUTOMATIC], progress=False)
    found = {prompt: set(rows.object_id) for prompt, rows in table.groupby("prompt")}
    assert found == {"box": {"thing#1", "thing#2"}, AUTOMATIC: {"thing"}}
    assert not table.duplicated(["image_id", "object_id", "model", "prompt", "mask_choice"]).any()
    sample = dataset.load(table.image_id[0])
    union = sample.labels["thing#1"] | sample.labels["thing#2"]
    rows = table[(table.image_id == sample.image_id) & (table.prompt == AUTOMATIC)]
    assert set(rows.n_ref_px) == {union.sum()}
    with pytest.raises(KeyError):
        sample.reference("other")
    n_instances = table[table.prompt == "box"].drop_duplicates(["image_id", "object_id"]).shape[0]
    assert f"{n_instances} objects" in standard_caption(dataset, table)
    assert set(ceiling(dataset, [16], table).object_id) == {"thing#1", "thing#2"}


def test_training_sees_the_union_of_instances(tiny_model):
    recipe = replace(QUICK, prompts=(AUTOMATIC,), variants=1)
    (example,) = make_examples(tiny_model, Instances(), ["page0"], recipe, 0)
    dots = make_examples(tiny_model, Instances(), ["page0"], replace(recipe, prompts=("box",)), 0)[0]
    assert len(example.targets) == 1
    assert torch.allclose(example.targets[0], dots.targets.sum(0), atol=1e-6)


def test_automatic_tuning_beats_zero_shot_on_held_out_images(tiny_model, discs):
    recipe = replace(QUICK, prompts=(AUTOMATIC,), steps=40, patience=99, learning_rate=1e-2)
    tuned = finetune(tiny_model, discs, shots=12, recipe=recipe, progress=False)
    table = evaluate(discs, [tiny_model, tuned], [AUTOMATIC], progress=False)
    means = table[table.mask_choice == "single"].groupby("tuning").dice.mean()
    assert means["decoder"] > means["none"] + 0.2
    assert float(tuned.sam.automatic.dense.abs().max()) > 0


def test_tuning_without_automatic_learns_no_embedding(tiny_model, discs):
    tuned = finetune(tiny_model, discs, shots=2, recipe=replace(QUICK, prompts=("box",)), progress=False)
    assert not hasattr(tuned.sam, "automatic")


@pytest.mark.parametrize("method", METHODS)
def test_a_tuned_model_comes_back_from_its_file(method, tiny_model, discs, tiny_registered, tmp_path):
    before = state_sha(tiny_model.sam.state_dict())
    tuned = finetune(tiny_model, discs, 2, method, 1, QUICK, progress=False)
    assert state_sha(tiny_model.sam.state_dict()) == before
    assert tuned.history["curve"][-1]["val_loss"] < tuned.history["curve"][0]["val_loss"]
    assert (tuned.encoder_sha == tiny_model.encoder_sha) == (method == "decoder")
    assert (embedding_key(tuned, IMAGE) == embedding_key(tiny_model, IMAGE)) == (method == "decoder")
    assert not any(parameter.requires_grad for parameter in tuned.sam.parameters())
    path = save_tuned(tuned, tmp_path / "w.safetensors")
    back = load_model(path)
    assert (back.tuning, back.shots, back.fold, back.history["method"]) == (method, 2, 1, method)
    assert back.weights_sha == tuned.weights_sha
    assert np.allclose(logits(back, AUTOMATIC), logits(tuned, AUTOMATIC), atol=1e-5)
    again = save_tuned(back, tmp_path / "again.safetensors")
    assert again.read_bytes() == path.read_bytes()


def test_what_each_method_changes(tiny_model, discs):
    changed = {}
    for method in METHODS:
        tuned = finetune(tiny_model, discs, 2, method, 0, replace(QUICK, prompts=("box",)), progress=False)
        before, after = tiny_model.sam.state_dict(), tuned.sam.state_dict()
        assert before.keys() == after.keys()
        changed[method] = {name for name in before if not torch.equal(before[name], after[name])}
    parts = {method: {name.split(".")[0] for name in names} for method, names in changed.items()}
    assert parts["decoder"] == {"mask_decoder"}
    assert parts["full"] == {"image_encoder", "prompt_encoder", "mask_decoder"}
    of_encoder = {name for name in changed["lora"] if name.startswith("image_encoder.")}
    assert of_encoder == {
        f"image_encoder.blocks.{i}.{layer}.weight" for i in range(2) for layer in ("qkv", "proj")
    }
    assert parts["lora"] == {"image_encoder", "mask_decoder"}


@pytest.mark.parametrize("method", ["lora", "full"])
def test_another_base_is_refused(method, tiny_model, discs, monkeypatch, tmp_path):
    tuned = finetune(tiny_model, discs, 1, method, 0, replace(QUICK, steps=1), progress=False)
    path = save_tuned(tuned, tmp_path / "w.safetensors")
    monkeypatch.setitem(
        models.MODELS._items, "tiny", lambda _: SamModel("tiny", tiny_sam(seed=1), source="tiny")
    )
    with pytest.raises(ModelError, match=r"tuned from 'tiny' with the image encoder .* use the same base"):
        load_model(path)


def official_encoder():
    """SAM's own image encoder, small: windows, relative positions, fused qkv."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ImageEncoderViT(
            64, 16, 3, 32, 2, 2, out_chans=16, use_rel_pos=True, window_size=2, global_attn_indexes=(1,)
        ).eval()


@pytest.mark.parametrize("make", [official_encoder, lambda: tiny_sam().image_encoder])
@torch.no_grad()
def test_merged_lora_gives_the_same_outputs(make):
    encoder, pixels = make(), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    names, plain = list(encoder.state_dict()), encoder(pixels)
    lora.inject(encoder, rank=2, alpha=4, targets=("q", "v", "proj"))
    assert torch.equal(encoder(pixels), plain)
    for name, parameter in encoder.named_parameters():
        if name.endswith(".up"):
            parameter.add_(0.1)
    changed = encoder(pixels)
    state = lora.adapters(encoder)
    assert not torch.allclose(changed, plain, atol=1e-3)
    assert {value.shape[0] for name, value in state.items() if "qkv" in name} == {2}
    lora.merge(encoder)
    assert sorted(encoder.state_dict()) == sorted(names)
    assert torch.allclose(encoder(pixels), changed, atol=1e-5)
    other = make()
    lora.inject(other, rank=2, alpha=4, targets=("q", "v", "proj"))
    lora.load_adapters(other, state)
    assert torch.equal(other(pixels), changed)


def test_lora_leaves_the_keys_alone_when_only_q_and_v_are_named():
    encoder = tiny_sam().image_encoder
    before = encoder.blocks[0].qkv.weight.clone()
    lora.inject(encoder, rank=2, alpha=2, targets=("q", "v"))
    torch.nn.init.constant_(encoder.blocks[0].qkv.parametrizations.weight[0].up, 0.1)
    q, k, v = (encoder.blocks[0].qkv.weight - before).detach().abs().sum(1).view(3, -1)
    assert q.min() > 0
    assert v.min() > 0
    assert not k.any()


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"targets": ("qq",)}, StudyError, "unknown LoRA target 'qq'; did you mean 'q'"),
        ({"rank": 0}, StudyError, "rank of at least 1 and a target, not 0"),
        ({"targets": ()}, StudyError, "a target, not"),
    ],
)
def test_bad_lora_settings_are_sentences(settings, error, words):
    with pytest.raises(error, match=words):
        lora.inject(tiny_sam().image_encoder, **({"rank": 2, "alpha": 2, "targets": ("q",)} | settings))


def test_lora_matrices_of_another_rank_are_refused():
    one, other = tiny_sam().image_encoder, tiny_sam().image_encoder
    lora.inject(one, 2, 2, ("q",))
    lora.inject(other, 4, 2, ("q",))
    with pytest.raises(ModelError, match="do not fit this image encoder"):
        lora.load_adapters(other, lora.adapters(one))
    with pytest.raises(StudyError, match="no attention that LoRA could change"):
        lora.inject(torch.nn.Conv2d(3, 3, 1), 2, 2, ("q",))


def test_losses_with_the_encoder_in_the_step_are_those_of_cached_embeddings(tiny_model, discs):
    ids = discs.ids("train")[:2]
    kept, fresh = (make_examples(tiny_model, discs, ids, QUICK, 0, embedded) for embedded in (True, False))
    for one, other in zip(kept, fresh, strict=True):
        picked = range(len(one.prompts))
        with torch.no_grad():
            losses = [float(example_loss(tiny_model.sam, each, picked)) for each in (one, other)]
            assert losses[0] == pytest.approx(losses[1], abs=1e-4)
            bright = image_features(tiny_model.sam, other, 1.2)
        assert not torch.allclose(bright, one.features, atol=1e-3)


def test_flips_turn_image_and_target_together(tiny_model, discs):
    recipe = replace(QUICK, prompts=("box",), variants=1, flips=True)
    plain, mirrored, *others = make_examples(tiny_model, discs, ["page0"], recipe, 0, embedded=False)
    assert len(others) == 2
    assert torch.allclose(mirrored.pixels.float(), plain.pixels.flip(-1).float(), atol=1)
    left, _, right, _ = plain.prompts[0].box_xyxy
    assert mirrored.prompts[0].box_xyxy[[0, 2]].tolist() == [55 - right, 55 - left]
    assert float(plain.targets.sum()) == pytest.approx(float(mirrored.targets.sum()), rel=0.01)


class KilledError(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_tuning_goes_on_and_ends_with_the_same_weights(method, tiny_model, discs, monkeypatch):
    whole = finetune(tiny_model, discs, 3, method, 0, QUICK, progress=False)
    done, step = [], loop._step

    def until_killed(sam, train, recipe, seed, number, *rest):
        if number == 5 and len(done) == 4:
            raise KilledError
        done.append(number)
        return step(sam, train, recipe, seed, number, *rest)

    monkeypatch.setattr(loop, "_step", until_killed)
    with pytest.raises(KilledError):
        finetune(tiny_model, discs, 3, method, 0, QUICK, progress=False)
    assert len(list((cache_dir() / "tuning").iterdir())) == 1
    done.append("killed")
    again = finetune(tiny_model, discs, 3, method, 0, QUICK, progress=False)
    assert done == [1, 2, 3, 4, "killed", 5, 6]
    assert again.weights_sha == whole.weights_sha
    assert str(again.history["curve"]) == str(whole.history["curve"])
    assert not list((cache_dir() / "tuning").iterdir())


def test_a_damaged_standing_starts_again(tiny_model, discs, monkeypatch):
    whole = finetune(tiny_model, discs, 2, recipe=QUICK, progress=False)
    step = loop._step
    monkeypatch.setattr(
        loop, "_step", lambda *a: step(*a) if a[4] < 3 else (_ for _ in ()).throw(KilledError)
    )
    with pytest.raises(KilledError):
        finetune(tiny_model, discs, 2, recipe=QUICK, progress=False)
    monkeypatch.setattr(loop, "_step", step)
    (kept,) = (cache_dir() / "tuning").iterdir()
    kept.write_bytes(kept.read_bytes()[:2000])
    with pytest.warns(UserWarning, match="is damaged"):
        again = finetune(tiny_model, discs, 2, recipe=QUICK, progress=False)
    assert again.weights_sha == whole.weights_sha


def test_another_recipe_does_not_go_on_from_it(tiny_model, discs, monkeypatch):
    step = loop._step
    monkeypatch.setattr(
        loop, "_step", lambda *a: step(*a) if a[4] < 3 else (_ for _ in ()).throw(KilledError)
    )
    with pytest.raises(KilledError):
        finetune(tiny_model, discs, 2, recipe=QUICK, progress=False)
    steps = []
    monkeypatch.setattr(loop, "_step", lambda *a: steps.append(a[4]) or step(*a))
    finetune(tiny_model, discs, 2, recipe=replace(QUICK, learning_rate=2e-3), progress=False)
    assert steps[0] == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_is_near_zero_for_the_reference_and_large_for_its_contrary(loss):
    target = torch.zeros(1, 24, 24)
    target[0, 3:20, 10:13] = 1
    sure = torch.where(target[:, None].bool(), 50.0, -50.0).expand(1, 4, 24, 24)
    counted, iou = torch.ones(24, 24), torch.ones(1, 4)
    assert float(prompt_losses(sure, iou, target, counted, loss)) == pytest.approx(0, abs=1e-3)
    assert float(prompt_losses(-sure, iou, target, counted, loss)) > 2


def test_soft_cldice_counts_a_cut_more_than_dice_does():
    line = torch.zeros(1, 1, 40, 40)
    line[..., 2:38, 18:22] = 1
    skeleton = soft_skeleton(line)
    assert 0 < float(skeleton.sum()) < 0.7 * float(line.sum())
    assert not (skeleton * (1 - line)).any()
    thinner = line.clone()
    thinner[..., 18:19] = 0
    cut = line.clone()
    cut[..., 15:24, :] = 0
    assert float(cut.sum()) == float(thinner.sum())
    assert float(soft_cldice(cut, line)) > float(soft_cldice(thinner, line)) + 0.05
    assert float(soft_cldice(line, line)) == pytest.approx(0, abs=1e-6)


def test_an_unknown_loss_is_refused_before_anything_is_read(tiny_model, discs):
    with pytest.raises(StudyError, match="unknown loss 'cldise'; did you mean 'cldice'"):
        finetune(tiny_model, discs, 2, recipe=replace(QUICK, loss="cldise"), progress=False)


@pytest.mark.parametrize("method", ["decoder", "lora"])
def test_a_finer_grid_is_kept_with_the_weights(method, tiny_model, discs, tiny_registered, tmp_path):
    recipe = replace(QUICK, image_size=128)
    tuned = finetune(tiny_model, discs, 2, method, 0, recipe, progress=False)
    assert (tiny_model.image_size, tuned.image_size) == (64, 128)
    assert logits(tuned, AUTOMATIC).shape[-1] == 2 * logits(tiny_model, AUTOMATIC).shape[-1]
    back = load_model(save_tuned(tuned, tmp_path / "w.safetensors"))
    assert back.image_size == 128
    assert np.allclose(logits(back, AUTOMATIC), logits(tuned, AUTOMATIC), atol=1e-5)
    with pytest.raises(ModelError, match="multiple of 16"):
        finetune(tiny_model, discs, 2, recipe=replace(QUICK, image_size=100), progress=False)


def test_another_input_size_of_an_official_sam_is_refused(tiny_model, discs):
    official = SamModel("official", tiny_sam(), source="official")
    official.sam.prompt_encoder.__class__ = official.sam.prompt_encoder.__class__.__mro__[1]
    with pytest.raises(StudyError, match="fixed side of 64 pixels, not 128"):
        finetune(official, discs, 2, recipe=replace(QUICK, image_size=128), progress=False)


def test_mixed_precision_comes_close_to_full(tiny_model, discs):
    curves = [
        finetune(tiny_model, discs, 2, recipe=replace(QUICK, mixed_precision=on), progress=False).history[
            "curve"
        ]
        for on in (False, True)
    ]
    assert curves[1][-1]["val_loss"] == pytest.approx(curves[0][-1]["val_loss"], rel=0.05)
    assert curves[1] != curves[0]


def test_a_sample_knows_the_union_of_a_target():
    masks = {f"cell#{i}": np.arange(6).reshape(2, 3) == i for i in range(2)}
    sample = Sample("a", "a", np.zeros((2, 3, 3), np.uint8), masks | {"whole": np.ones((2, 3), bool)})
    assert sample.reference("cell").sum() == 2
    assert sample.reference("cell#1").sum() == 1
    assert sample.reference("whole") is sample.labels["whole"]


@pytest.fixture
def one_set(discs, tiny_registered, monkeypatch, tmp_path):
    """A project whose only data set is the drawn one, for stages and commands."""
    grid = {
        "about": "a test",
        "datasets": ["phantom_drive"],
        "models": ["vit_t"],
        "prompts": ["box"],
        "zero_shot": {"limit": None},
        "fine_tuning": {
            "model": "vit_t",
            "shots": [1, 2],
            "prompts": ["box"],
            "limit": 2,
            "seeds": [0],
            "steps": 2,
            "methods": ["decoder", "lora"],
            "automatic": {"datasets": ["phantom_drive"], "steps": 3, "image_size": 96},
        },
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"seed": 0, "profiles": {"demo": grid}}))
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    discs.info = replace(discs.info, targets=("disc",))
    for module in (stages, runs):
        monkeypatch.setattr(module, "load_dataset", lambda *_, **__: discs)
    return tmp_path


def test_the_stage_runs_every_method_and_asks_without_a_prompt(one_set):
    table = stages.fine_tune("phantom_drive", model="tiny", device="cpu")
    sam = table[table.model == "tiny"]
    assert set(sam.prompt) == {"box", AUTOMATIC}
    assert set(zip(sam.tuning, sam.shots, strict=True)) == {
        ("none", 0), ("decoder", 1), ("decoder", 2), ("lora", 1), ("lora", 2)
    }  # fmt: skip
    written = {
        path.name.split(".")[3] for path in (one_set / "data/results/demo/tuned").glob("*.safetensors")
    }
    assert written == {"decoder", "lora"}
    recipe = read_provenance(table_path("demo", "phantom_drive", "fine_tune"))["config"]["recipe"]
    assert recipe["steps"] == 2
    assert "'image_size': 96" in recipe[AUTOMATIC]
    assert set(stages.fine_tune("phantom_drive", model="tiny", device="cpu", methods=["decoder"]).tuning) == {
        "none", "decoder"
    }  # fmt: skip


def test_the_command_takes_a_method_and_a_recipe(one_set, capsys):
    output = one_set / "out"
    arguments = ["finetune", "--dataset", "drawn", "--model", "tiny", "--shots", "2", "--output", str(output)]
    settings = ["--steps", "2", "--image-size", "128", "--loss", "cldice", "--flips"]
    assert main([*arguments, "--method", "lora", "--prompts", "automatic", *settings]) == 0
    back = load_model(output / "weights.safetensors")
    recipe = back.history["recipe"]
    assert (back.tuning, back.image_size, recipe["loss"], recipe["flips"]) == ("lora", 128, "cldice", True)
    said = capsys.readouterr()
    assert recipe["learning_rate"] == AUTOMATIC_RATE
    assert back.history["chosen"] == [said.err.splitlines()[0].removeprefix("chosen: ")]
    assert "automatic" in said.out
    assert main([*arguments, "--method", "loar"]) == 2
    assert "did you mean 'lora'" in capsys.readouterr().err

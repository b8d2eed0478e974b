"""Time and memory of a tuning: estimated before it starts, and prompts taken in smaller chunks where memory ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import DrawnDataset

from samstudy.errors import StudyError
from samstudy.models import SamModel
from samstudy.tuning import METHODS, Recipe, chunks, cost, finetune, loop, losses
from samstudy.tuning.chunks import Chunk, Draw, accumulate, mean_loss, out_of_memory, within_memory
from samstudy.tuning.cost import Cost, duration, estimate, peak_memory
from samstudy.tuning.examples import make_examples
from samstudy.tuning.parts import runs_encoder, trainable_copy, trained, trained_state

QUICK = Recipe(
    prompts=("automatic", "box_jitter10", "points_p3"),
    steps=6,
    validate_every=2,
    prompts_per_image=6,
    variants=3,
    learning_rate=1e-3,
)
CPU_ERROR = (
    "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
)


@pytest.fixture
def discs():
    """Six training images of one target, two for validation, two for testing."""
    return DrawnDataset(10, "ttttttvvee", only="disc")


def parts_of(model, dataset, method):
    tuned = trainable_copy(model, method, QUICK)
    return tuned.sam, make_examples(
        tuned, dataset, dataset.ids("train")[:2], QUICK, 0, not runs_encoder(method)
    )


def gradients(sam):
    return {
        name: parameter.grad.clone() for name, parameter in trained(sam).items() if parameter.grad is not None
    }


@pytest.mark.parametrize("method", METHODS)
def test_chunks_add_up_to_the_gradients_of_one_pass(method, tiny_model, discs):
    sam, examples = parts_of(tiny_model, discs, method)
    draws = [Draw(example, list(range(6)), 1.05) for example in examples]
    sam.zero_grad(set_to_none=True)
    whole = sum(
        losses.example_loss(sam, draw.example, draw.picked, brightness=draw.brightness) for draw in draws
    ) / len(draws)
    whole.backward()
    expected = gradients(sam)
    largest = max(float(value.abs().max()) for value in expected.values())
    for most in (16, 4, 1):
        assert accumulate(sam, draws, QUICK, most) == pytest.approx(float(whole.detach()), abs=1e-5)
        found = gradients(sam)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert float((found[name] - value).abs().max()) < 1e-5 * largest, name
        assert mean_loss(sam, examples, QUICK, most) == pytest.approx(
            mean_loss(sam, examples, QUICK, 16), abs=1e-5
        )


def failing(monkeypatch, fits, error):
    """Let the decoder run out of memory above ``fits`` prompts; return the sizes it was asked for."""
    asked, plain = [], losses.batch_losses

    def limited(sam, features, example, batch, loss):
        asked.append(len(batch))
        if len(batch) > fits:
            raise error
        return plain(sam, features, example, batch, loss)

    for module in (losses, chunks):
        monkeypatch.setattr(module, "batch_losses", limited)
    return asked


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError(CPU_ERROR), MemoryError()]
)
def test_a_tuning_that_runs_out_of_memory_ends_with_the_same_weights(error, tiny_model, discs, monkeypatch):
    recipe = replace(QUICK, prompts=("box_jitter10",), variants=4)
    whole = finetune(tiny_model, discs, 3, recipe=recipe, progress=False)
    asked = failing(monkeypatch, 1, error)
    halved = finetune(tiny_model, discs, 3, recipe=recipe, progress=False)
    assert asked[:4] == [4, 2, 1, 1]
    assert set(asked[4:]) == {1}
    before, after = (model.sam.mask_decoder.state_dict() for model in (whole, halved))
    assert any(
        not torch.equal(before[name], value)
        for name, value in tiny_model.sam.mask_decoder.state_dict().items()
    )
    for name, value in before.items():
        # softmax takes no notice of a key's bias: its gradient is rounding alone, which AdamW makes into steps
        if not name.endswith("k_proj.bias"):
            assert torch.allclose(after[name], value, atol=2e-5), name
    for one, other in zip(whole.history["curve"], halved.history["curve"], strict=True):
        assert other["val_loss"] == pytest.approx(one["val_loss"], abs=1e-4)


def test_a_step_that_fails_in_the_middle_is_repeated_with_the_same_draws(tiny_model, discs, monkeypatch):
    sam, examples = parts_of(tiny_model, discs, "decoder")
    draws = [Draw(example, [0, 1, 2, 3]) for example in examples]
    whole = accumulate(sam, draws, QUICK, 16)
    expected, seen, plain = gradients(sam), [], losses.batch_losses

    def fails_once(sam, features, example, batch, loss):
        seen.append((example.content_sha, tuple(batch)))
        if len(seen) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(sam, features, example, batch, loss)

    monkeypatch.setattr(chunks, "batch_losses", fails_once)
    chunk = Chunk()
    again = within_memory(chunk, lambda most: accumulate(sam, draws, QUICK, most), sam, QUICK, 4)
    assert chunk.most == 2
    assert again == pytest.approx(whole, abs=1e-5)
    assert seen[3][0] == seen[0][0]
    for name, value in gradients(sam).items():
        assert torch.allclose(value, expected[name], atol=1e-5), name


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (
            "decoder",
            r"memory ran out on cpu with one prompt at a time \(CUDA out of memory\.\): use an image_size under",
        ),
        (
            "lora",
            "use the method decoder, which does not run the encoder in each step, or an image_size under 64",
        ),
    ],
)
def test_at_one_prompt_a_sentence_says_what_to_change(method, words, tiny_model, discs, monkeypatch):
    failing(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory.\nmore lines"))
    with pytest.raises(StudyError, match=words):
        finetune(tiny_model, discs, 1, method, recipe=QUICK, progress=False)


def test_the_advice_fits_the_model(tiny_model):
    tiny_model.sam.prompt_encoder.__class__ = tiny_model.sam.prompt_encoder.__class__.__mro__[1]
    advice = chunks._advice(tiny_model.sam, replace(QUICK, mixed_precision=True), "here", "why")
    assert (
        advice
        == "memory ran out on cpu here (why): use a smaller model (vit_t, vit_b), or a device with more memory."
    )


def test_memory_that_ends_while_encoding_is_told(tiny_model, discs, monkeypatch):
    def full(*_):
        raise RuntimeError(CPU_ERROR)

    monkeypatch.setattr(SamModel, "embed", full)
    with pytest.raises(
        StudyError, match=r"memory ran out on cpu while an image was encoded \(\[enforce fail"
    ):
        finetune(tiny_model, discs, 1, recipe=QUICK, progress=False)


def test_other_errors_are_not_taken_for_it(tiny_model, discs, monkeypatch):
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(KeyError("memory"))
    failing(monkeypatch, 0, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot"):
        finetune(tiny_model, discs, 1, recipe=QUICK, progress=False)


def test_what_fits_is_kept_for_after_a_kill(tiny_model, discs, monkeypatch):
    failing(monkeypatch, 2, MemoryError())
    recipe = replace(QUICK, prompts=("box_jitter10",), variants=4)
    halved = finetune(tiny_model, discs, 3, recipe=recipe, progress=False)
    step, sizes = loop._step, []

    def killed(*given):
        sizes.append(given[-1].most)
        if given[4] == 3 and len(sizes) == 3:
            raise KeyboardInterrupt
        return step(*given)

    monkeypatch.setattr(loop, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        finetune(tiny_model, discs, 3, recipe=recipe, progress=False)
    again = finetune(tiny_model, discs, 3, recipe=recipe, progress=False)
    assert set(sizes) == {2}
    assert again.weights_sha == halved.weights_sha


def test_an_estimate_changes_nothing(tiny_model, discs, monkeypatch):
    monkeypatch.setattr(loop, "estimate", lambda *_: Cost("cpu", 0, 0, 0, 0))
    without = finetune(tiny_model, discs, 2, recipe=QUICK, progress=False)
    monkeypatch.setattr(loop, "estimate", estimate)
    assert finetune(tiny_model, discs, 2, recipe=QUICK, progress=False).weights_sha == without.weights_sha
    sam, examples = parts_of(tiny_model, discs, "full")
    before, drawn = trained_state(sam), torch.random.get_rng_state()
    estimate(sam, examples, examples, QUICK, Chunk())
    assert torch.equal(drawn, torch.random.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in trained_state(sam).items())
    assert not gradients(sam)


def test_an_estimate_counts_steps_images_and_validations(tiny_model, discs, monkeypatch):
    sam, examples = parts_of(tiny_model, discs, "decoder")
    seconds = iter([2.0, 0.5] * 3)
    monkeypatch.setattr(cost, "_seconds", lambda run, _: run() or next(seconds))
    recipe = replace(QUICK, steps=10, validate_every=4, images_per_step=2, blend=(0.5,))
    found = estimate(sam, examples, [*examples, *examples], recipe, Chunk())
    assert (found.step_s, found.validation_s) == (4.0, 2.0)
    assert found.total_s == 10 * 4 + (3 + 1 + 2) * 2
    assert estimate(sam, examples, examples, recipe, Chunk(), done=8).total_s == 2 * 4 + (1 + 2) * 1
    learnt = sum(parameter.numel() * 4 for parameter in trained(sam).values())
    assert found.peak_bytes > 3 * learnt


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (40, "40 s"), (89, "89 s"), (240, "4 min"), (9000, "2.5 h")]
)
def test_durations_are_words(seconds, words):
    assert duration(seconds) == words


def test_an_estimate_is_told_before_a_long_run_and_in_the_bar(tiny_model, discs, monkeypatch, capsys):
    told = Cost("cpu", 1, 1, 250, 3 * 2**29, 2**30)
    monkeypatch.setattr(loop, "estimate", lambda *_: told)
    finetune(tiny_model, discs, 1, recipe=replace(QUICK, steps=1))
    said = capsys.readouterr().err
    words = "about 4 min on cpu, 1.5 GiB (more than the 1.0 GiB that are free)"
    assert said.index(f"tuning: {words}\n") < said.index(f"tuning, {words}: ")
    monkeypatch.setattr(loop, "estimate", lambda *_: replace(told, total_s=20, free_bytes=0))
    finetune(tiny_model, discs, 1, recipe=replace(QUICK, steps=1))
    said = capsys.readouterr().err
    assert "tuning: about" not in said
    assert "tuning, about 20 s on cpu, 1.5 GiB: " in said
    finetune(tiny_model, discs, 1, recipe=replace(QUICK, steps=1), progress=False)
    assert not capsys.readouterr().err


def test_peak_memory_sees_what_is_gone_again():
    with peak_memory(torch.device("cpu")) as memory:
        block = np.ones(8 << 20)
        for _ in range(8):
            block += 1
        del block
    assert memory.highest - memory.before > 50 << 20

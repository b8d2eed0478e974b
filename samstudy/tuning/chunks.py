"""One step's gradients and one validation, a few prompts at a time; fewer of them when memory runs out.

The prompts of an image share its embedding. Each chunk of them goes through the decoder and back before the next, and
what they owe to the embedding is added up and goes through the image encoder once. The result is that of one pass, to
rounding, so that memory may decide the size of a chunk.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from segment_anything.modeling import Sam

from samstudy.drawn_prompt import DrawnPromptEncoder
from samstudy.errors import StudyError
from samstudy.tuning.examples import Example, image_features
from samstudy.tuning.losses import MOST_PROMPTS, batch_losses, example_loss, prompt_batches
from samstudy.tuning.parts import trained
from samstudy.tuning.recipe import Recipe

_Result = TypeVar("_Result")
_WORDS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
)


@dataclass(frozen=True)
class Draw:
    """What a step takes of one image: the example, indices of its prompts, and the factor of its pixels."""

    example: Example
    picked: list[int]
    brightness: float = 1.0


@dataclass
class Chunk:
    """Most prompts that go through the decoder at once; it shrinks, and never grows again."""

    most: int = MOST_PROMPTS


def accumulate(sam: Sam, draws: Sequence[Draw], recipe: Recipe, most: int) -> float:
    """Compute the gradients of a step anew, with at most ``most`` prompts at once, and return its mean loss.

    Images weigh alike, and so do the prompts of an image.
    """
    sam.zero_grad(set_to_none=True)
    total = 0.0
    for draw in draws:
        with _precision(sam, recipe):
            features = image_features(sam, draw.example, draw.brightness)
        kept = features.detach().requires_grad_(features.requires_grad)
        for batch in prompt_batches(draw.example, draw.picked, most):
            with _precision(sam, recipe):
                losses = batch_losses(sam, kept, draw.example, batch, recipe.loss)
            share = losses.sum() / (len(draw.picked) * len(draws))
            share.backward()
            total += float(share.detach())
        if features.requires_grad:
            features.backward(kept.grad)
    return total


@torch.no_grad()
def mean_loss(sam: Sam, examples: Sequence[Example], recipe: Recipe, most: int) -> float:
    """Return the mean over images of the mean loss of all their prompts, without gradients."""
    with _precision(sam, recipe):
        losses = [
            example_loss(sam, example, range(len(example.prompts)), recipe.loss, most=most)
            for example in examples
        ]
    return float(np.mean([float(loss) for loss in losses]))


def _precision(sam: Sam, recipe: Recipe) -> torch.autocast:
    return torch.autocast(sam.device.type, torch.bfloat16, enabled=recipe.mixed_precision)


def within_memory(
    chunk: Chunk, run: Callable[[int], _Result], sam: Sam, recipe: Recipe, widest: int
) -> _Result:
    """Run with the chunk's size; while memory runs out, halve it and run again.

    Parameters
    ----------
    chunk : Chunk
        Shrinks in place, so that what comes afterwards fits at once.
    run : callable
        Takes the size. It must begin anew each time, and draw nothing.
    sam, recipe : segment_anything.modeling.Sam, Recipe
        For the sentence, and for the device.
    widest : int
        Most prompts that one image has here: a chunk above that is not smaller for being halved.

    Returns
    -------
    object
        Of ``run``.

    Raises
    ------
    StudyError
        If memory runs out with one prompt at a time: what to change.
    """
    while True:
        try:
            return run(chunk.most)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            reason = _first_line(error)
        # outside the handler: the error's frames held the tensors of the failed pass
        free_memory(sam)
        if min(chunk.most, widest) <= 1:
            raise StudyError(_advice(sam, recipe, "with one prompt at a time", reason))
        chunk.most = min(chunk.most, widest) // 2


@contextmanager
def told_when_memory_runs_out(sam: Sam, recipe: Recipe, doing: str) -> Iterator[None]:
    """Turn an error about memory into a sentence with advice, where there is nothing to halve."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise StudyError(_advice(sam, recipe, doing, _first_line(error))) from error


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that there was no memory left: CUDA's and MPS's, the CPU allocator's, Python's."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in text for word in _WORDS)


def free_memory(sam: Sam) -> None:
    """Drop gradients and what the device's allocator keeps for later."""
    sam.zero_grad(set_to_none=True)
    gc.collect()
    if sam.device.type == "cuda":
        torch.cuda.empty_cache()
    elif sam.device.type == "mps":
        torch.mps.empty_cache()


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]


def _advice(sam: Sam, recipe: Recipe, when: str, reason: str) -> str:
    ways = []
    if any(name.startswith("image_encoder.") for name in trained(sam)):
        ways.append("the method decoder, which does not run the encoder in each step")
    if isinstance(sam.prompt_encoder, DrawnPromptEncoder):
        ways.append(f"an image_size under {sam.image_encoder.img_size}")
    else:
        ways.append("a smaller model (vit_t, vit_b)")
    if not recipe.mixed_precision:
        ways.append("mixed_precision")
    ways.append("a device with more memory" if sam.device.type == "cpu" else "the device cpu")
    return f"memory ran out on {sam.device.type} {when} ({reason}): use {', or '.join(ways)}."

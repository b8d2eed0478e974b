"""What a tuning will take, measured on one image before it starts: minutes and memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch
from segment_anything.modeling import Sam

from samstudy.tuning.chunks import Chunk, Draw, accumulate, mean_loss, within_memory
from samstudy.tuning.examples import Example
from samstudy.tuning.parts import trained
from samstudy.tuning.recipe import Recipe

LONG_S = 60
"""From here on a tuning takes long enough to be told before."""
_GIB = 2**30
_WARM_UP_S = 1.0
_SAMPLED_EVERY_S = 0.01


@dataclass(frozen=True)
class Cost:
    """Time and memory of a tuning on one device.

    Attributes
    ----------
    device : str
        ``cpu``, ``cuda`` or ``mps``.
    step_s, validation_s : float
        Seconds of a step and of a validation.
    total_s : float
        Of all steps and validations that are left, at most: early stopping ends sooner. Reading and encoding the
        images is over by then.
    peak_bytes : int
        Highest memory while gradients were computed, plus what AdamW and the best weights so far add. On a CPU the
        resident memory of the whole process, on CUDA what tensors take, on MPS what its driver holds.
    free_bytes : int
        What was free on the device meanwhile; 0 where that cannot be asked.
    """

    device: str
    step_s: float
    validation_s: float
    total_s: float
    peak_bytes: int
    free_bytes: int = 0

    def __str__(self) -> str:
        """Say it in a few words: ``about 4 min on cpu, 1.2 GiB``."""
        words = f"about {duration(self.total_s)} on {self.device}, {self.peak_bytes / _GIB:.1f} GiB"
        if 0 < self.free_bytes < self.peak_bytes:
            words += f" (more than the {self.free_bytes / _GIB:.1f} GiB that are free)"
        return words


def duration(seconds: float) -> str:
    """Say a time in the unit that a person would choose: ``40 s``, ``4 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def estimate(
    sam: Sam,
    train: Sequence[Example],
    val: Sequence[Example],
    recipe: Recipe,
    chunk: Chunk,
    done: int = 0,
    adam_is_there: bool = False,
) -> Cost:
    """Measure one image forward and back, and one forward; no weight and no draw of the tuning changes.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        With what is trained unfrozen.
    train, val : sequence of Example
        The first of each is tried, which stands for all of them.
    recipe : Recipe
        Steps, images and prompts of a step, validations.
    chunk : Chunk
        Shrinks if memory runs out already here.
    done : int
        Steps that are done.
    adam_is_there : bool
        Whether the optimiser's memory is allocated already.

    Raises
    ------
    StudyError
        If there is not enough memory for one prompt.
    """
    example = train[0]
    draws = [Draw(example, list(range(min(recipe.prompts_per_image, len(example.prompts)))))]
    widest, n_prompts = len(draws[0].picked), len(val[0].prompts)

    def forth_and_back() -> None:
        within_memory(chunk, lambda most: accumulate(sam, draws, recipe, most), sam, recipe, widest)

    def forth() -> None:
        within_memory(chunk, lambda most: mean_loss(sam, val[:1], recipe, most), sam, recipe, n_prompts)

    n_steps = recipe.steps - done
    # the untuned model is validated as well, and at the end what lies between it and the best and the last weights
    n_validations = -(-n_steps // recipe.validate_every) + (done == 0) + 2 * len(recipe.blend)
    with peak_memory(sam.device) as memory:
        # the first pass of a process is slower than the others, which matters where many short ones follow
        for _ in range(2):
            step_s = _seconds(forth_and_back, sam.device) * min(recipe.images_per_step, len(train))
            validation_s = _seconds(forth, sam.device) * len(val)
            total_s = n_steps * step_s + n_validations * validation_s
            if total_s < LONG_S or step_s > _WARM_UP_S * recipe.images_per_step:
                break
    sam.zero_grad(set_to_none=True)
    learnt = sum(parameter.numel() * parameter.element_size() for parameter in trained(sam).values())
    peak = memory.highest + learnt * (1 if adam_is_there else 3)
    return Cost(sam.device.type, step_s, validation_s, total_s, peak, _free(sam.device, memory.before))


def _seconds(run: Callable[[], None], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@dataclass
class Memory:
    """Bytes held before, and the highest since."""

    before: int
    highest: int


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Memory]:
    """Find the highest memory inside a ``with`` block; read ``highest`` after it.

    On CUDA the allocator keeps count (``max_memory_allocated``). Elsewhere a thread looks every 10 ms: at the
    resident memory of this process on a CPU, which holds the interpreter and all libraries too, and at what the
    driver holds on MPS.
    """
    memory = Memory(_held(device), _held(device))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield memory
        memory.highest = torch.cuda.max_memory_allocated(device)
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLED_EVERY_S):
            memory.highest = max(memory.highest, _held(device))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        over.set()
        watcher.join()
        memory.highest = max(memory.highest, _held(device))


def _held(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return psutil.Process().memory_info().rss


def _free(device: torch.device, held: int) -> int:
    """Bytes that this process may come to hold: what is free, and what it held before."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + held
    return psutil.virtual_memory().available + held if device.type == "cpu" else 0

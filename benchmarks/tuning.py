"""What fine-tuning costs: ``python benchmarks/tuning.py epoch`` and ``python benchmarks/tuning.py table``.

``epoch``: one epoch of decoder tuning on kept embeddings beside the same epoch when each step runs the image encoder,
ViT-B of random weights, the same draws and the same losses. Epochs of the arms alternate, so that other work on the
machine meets all of them.

``table``: seconds and peak memory of a step for each model and method, each in a process of its own, written to
``data/results/benchmarks/tuning.csv`` and ``.md``. A process that would take more than ``MOST_GIB`` is ended.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
import psutil
import torch
from scipy import stats
from segment_anything import sam_model_registry
from tqdm import tqdm

from samstudy.datasets import load_dataset
from samstudy.encoder import use_fast_attention, use_official_attention
from samstudy.models import SamModel, load_model
from samstudy.paths import results_dir, written_whole
from samstudy.seeds import rng_for
from samstudy.tuning import METHODS, Recipe
from samstudy.tuning.chunks import Draw, accumulate
from samstudy.tuning.examples import Example, make_examples
from samstudy.tuning.parts import parameter_groups, runs_encoder, trainable_copy

DATASET = "phantom_isic"
RECIPE = Recipe(prompts=("box_jitter10", "points_p3"), variants=2, brightness=0.0)
MODELS = ("vit_t", "vit_b")
MOST_GIB = 12.0
_GIB = 2**30


def random_vit_b() -> SamModel:
    """ViT-B as published, of random weights from a fixed seed: what a step costs does not depend on them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = sam_model_registry["vit_b"]().eval()
    return SamModel("vit_b", sam.requires_grad_(False), source="random")


class Arm:
    """A copy of the model that is tuned for one epoch, and what its steps took.

    Parameters
    ----------
    base : SamModel
        Its encoder is shared.
    examples : sequence of Example
        Embedded, or with pixels: then each step runs the encoder, which stays frozen.
    method : {"decoder", "lora", "full"}
        What is trained.
    """

    def __init__(self, base: SamModel, examples: Sequence[Example], method: str = "decoder") -> None:
        self.sam = trainable_copy(base, method, RECIPE).sam
        self.examples = examples
        self.optimiser = torch.optim.AdamW(
            parameter_groups(self.sam, method, RECIPE), lr=RECIPE.learning_rate
        )
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def step(self, index: int) -> None:
        """Take one image forward and back, and change the weights."""
        example = self.examples[index]
        picked = rng_for(0, "benchmark", index).permutation(len(example.prompts))[: RECIPE.prompts_per_image]
        start, cpu_start = time.perf_counter(), time.process_time()
        loss = accumulate(self.sam, [Draw(example, [int(i) for i in picked])], RECIPE, 16)
        self.optimiser.step()
        self.seconds.append(time.perf_counter() - start)
        self.cpu_seconds.append(time.process_time() - cpu_start)
        self.losses.append(loss)


def epoch_rows(n_images: int = 2, n_rounds: int = 2) -> list[dict]:
    """Ratios of the arms that run the encoder to the one that does not.

    Returns
    -------
    list of dict
        ``benchmark, case, ours, reference, ratio, ci_low, ci_high, unit, max_difference, note``: seconds of the epochs,
        the ratio with a 95 % interval over its steps, and the largest difference between losses of a step.
    """
    base, dataset = random_vit_b(), load_dataset(DATASET)
    ids = dataset.ids("train")[:n_images]
    pixels = make_examples(base, dataset, ids, RECIPE, 0, embedded=False)
    faster = copy.deepcopy(base)
    use_official_attention(base.sam.image_encoder)
    use_fast_attention(faster.sam.image_encoder)
    kept = make_examples(faster, dataset, ids, RECIPE, 0)
    arms = {
        "kept": Arm(base, kept),
        "official encoder": Arm(base, pixels),
        "faster encoder": Arm(faster, pixels),
    }
    arms["kept"].step(0)
    arms["kept"] = Arm(base, kept)
    # whole epochs alternate: a step right after the encoder's would pay for the memory that the encoder gave back
    for arm in tqdm([arm for _ in range(n_rounds) for arm in arms.values()], "epochs"):
        for index in range(len(kept)):
            arm.step(index)
    print({name: np.round(arm.seconds, 2).tolist() for name, arm in arms.items()}, file=sys.stderr)
    ours = arms.pop("kept")
    return [
        _row(name, clock, getattr(ours, clock), getattr(arm, clock), ours.losses, arm.losses)
        for name, arm in arms.items()
        for clock in ("seconds", "cpu_seconds")
    ]


def _row(
    name: str,
    clock: str,
    ours: list[float],
    theirs: list[float],
    losses: list[float],
    their_losses: list[float],
) -> dict:
    logs = np.log(np.array(theirs) / np.array(ours))
    reach = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs) if len(logs) > 1 else np.nan
    return {
        "benchmark": "decoder-tuning epoch, ViT-B",
        "case": f"kept embeddings against the {name} in each step",
        "ours": sum(ours),
        "reference": sum(theirs),
        "ratio": sum(theirs) / sum(ours),
        "ci_low": float(np.exp(logs.mean() - reach)),
        "ci_high": float(np.exp(logs.mean() + reach)),
        "unit": "s" if clock == "seconds" else "s of processor time",
        "max_difference": float(np.abs(np.array(losses) - np.array(their_losses)).max()),
        "note": f"{len(ours)} images, {RECIPE.prompts_per_image} prompts each, {torch.get_num_threads()} threads",
    }


def rows() -> list[dict]:
    """Rows for a table of all benchmarks; see :func:`epoch_rows`."""
    return epoch_rows()


def measure_step(model: str, method: str, n_steps: int) -> dict[str, float]:
    """Time steps of one image in this process: the median of all but the first, where there are several."""
    base = load_model(model, "cpu") if model == "vit_t" else random_vit_b()
    use_fast_attention(base.sam.image_encoder)
    dataset = load_dataset(DATASET)
    start = time.perf_counter()
    embedded = not runs_encoder(method)
    examples = make_examples(base, dataset, dataset.ids("train")[:1], RECIPE, 0, embedded)
    encoding_s = time.perf_counter() - start if embedded else float("nan")
    arm = Arm(base, examples, method)
    for _ in range(n_steps):
        arm.step(0)
    learnt = sum(p.numel() for p in arm.sam.parameters() if p.requires_grad)
    later = slice(1 if n_steps > 2 else 0, None)
    return {
        "encoding_s": encoding_s,
        "step_s": float(np.median(arm.seconds[later])),
        "step_cpu_s": float(np.median(arm.cpu_seconds[later])),
        "trained_millions": learnt / 1e6,
    }


def table(threads: int) -> pd.DataFrame:
    """Measure each model and method in a fresh process; memory is looked at from outside, every 20 ms."""
    found = []
    for model, method in tqdm([(model, method) for model in MODELS for method in METHODS], "cases"):
        n_steps = 6 if model == "vit_t" else 4 if method == "decoder" else 1
        found.append(
            {"model": model, "method": method, "threads": threads} | _apart(model, method, n_steps, threads)
        )
    return pd.DataFrame(found)


def _apart(model: str, method: str, n_steps: int, threads: int) -> dict:
    command = [sys.executable, __file__, "step", model, method, str(n_steps), "--threads", str(threads)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    watched, peak = psutil.Process(child.pid), 0
    while child.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        if peak > MOST_GIB * _GIB:
            child.kill()
        time.sleep(0.02)
    out = child.communicate()[0]
    known = json.loads(out.splitlines()[-1]) if child.returncode == 0 else {}
    note = "" if known else f"ended above {MOST_GIB:g} GiB" if peak > MOST_GIB * _GIB else "failed"
    return known | {"peak_gib": peak / _GIB, "note": note}


def machine() -> str:
    """Processor, cores, memory and PyTorch of this machine, in words."""
    memory = psutil.virtual_memory().total / _GIB
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, PyTorch {torch.__version__}, no GPU"
    )


def write_table(frame: pd.DataFrame) -> None:
    """Write the table as CSV and Markdown, with the machine and its load."""
    folder = results_dir("benchmarks")
    about = f"{machine()}; load average {os.getloadavg()[0]:.1f} at the end."
    with written_whole(folder / "tuning.csv") as temporary:
        frame.assign(machine=machine()).to_csv(temporary, index=False)
    with written_whole(folder / "tuning.md") as temporary:
        temporary.write_text(f"{about}\n\n{markdown(frame)}\n", encoding="utf-8")


def markdown(frame: pd.DataFrame) -> str:
    """Return a table as Markdown, numbers with three digits."""
    cells = frame.map(lambda value: f"{value:.3g}" if isinstance(value, float) else str(value))
    lines = [list(cells.columns), ["---"] * cells.shape[1], *cells.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the first word says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("epoch", "table", "step"))
    parser.add_argument("case", nargs="*", help="of step: model, method, number of steps")
    parser.add_argument("--images", type=int, default=2, help="training images of the epoch")
    parser.add_argument("--rounds", type=int, default=2, help="epochs of each arm")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("SAMSTUDY_CACHE", folder)
        if parsed.what == "epoch":
            print(markdown(pd.DataFrame(epoch_rows(parsed.images, parsed.rounds))))
        elif parsed.what == "step":
            model, method, n_steps = parsed.case
            print(json.dumps(measure_step(model, method, int(n_steps))))
        else:
            frame = table(parsed.threads)
            write_table(frame)
            print(markdown(frame))


if __name__ == "__main__":
    main()

"""The image encoder beside segment-anything's, random weights of a fixed seed: ``python benchmarks/encoder.py``.

Time: both on the same input in one process, in turns, so that other work on the machine meets both; the ratio is the
geometric mean of the pairs with a 95 % t interval. Memory: what one forward pass adds to the resident size at its
peak, each encoder in a fresh process. Matrix rate: the operations that the function needs (without padding) by
second, as a share of what products of the same sizes reach here, measured between the turns. ``vit_t`` is not in
segment-anything, so it has no reference; its attention is fused as it is.
"""

from __future__ import annotations

import argparse
import copy
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch
from evaluation import interval
from segment_anything import sam_model_registry
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from samstudy.encoder import use_fast_attention, use_official_attention
from samstudy.vit_t import VitTConfig, build_vit_t

MODELS = ("vit_b", "vit_t")
ARMS = ("ours", "reference")
WIDTHS = {"vit_t": VitTConfig().vit_dim, "vit_b": 768, "vit_l": 1024, "vit_h": 1280}
N_TOKENS = 4096
_MIB = 2**20


def encoder_of(name: str, arm: str = "ours", device: str = "cpu") -> nn.Module:
    """Build an image encoder; relative positions, which start at zero, are drawn too."""
    with torch.device(device), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = build_vit_t(VitTConfig()) if name == "vit_t" else sam_model_registry[name]()
        for key, parameter in sam.image_encoder.named_parameters():
            if "pos" in key and "positions" not in key:
                nn.init.normal_(parameter, std=0.05)
    prepare = use_fast_attention if arm == "ours" else use_official_attention
    return prepare(sam.image_encoder.requires_grad_(False).eval())


def pixels_of(encoder: nn.Module) -> Tensor:
    """One normalised image, 1 x 3 x S x S."""
    return torch.randn(1, 3, *2 * [encoder.img_size], generator=torch.Generator().manual_seed(1))


def operations_of(name: str) -> int:
    """Floating-point operations of the products and convolutions that one image needs; nothing is computed."""
    encoder = encoder_of(name, device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        encoder(torch.empty(1, 3, encoder.img_size, encoder.img_size, device="meta"))
    return counter.get_total_flops()


def products_of(width: int) -> tuple[Callable[[], None], int]:
    """The four linear layers of one block as bare products, and their operations."""
    sizes = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
    pairs = [(torch.randn(N_TOKENS, n_in), torch.randn(n_out, n_in)) for n_in, n_out in sizes]

    def run() -> None:
        for x, weight in pairs:
            F.linear(x, weight)

    return run, sum(2 * N_TOKENS * n_in * n_out for n_in, n_out in sizes)


def timed(call: Callable[[], object]) -> tuple[float, object]:
    """Seconds of one call, and what it gave."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def added_memory(name: str, arm: str) -> float:
    """MiB that one forward pass adds to this process at its peak; meant for a fresh process.

    Sampled every few milliseconds: the peak that ``getrusage`` tells begins with that of the parent process.
    """
    encoder = encoder_of(name, arm)
    pixels, process = pixels_of(encoder), psutil.Process()
    before = process.memory_info().rss
    seen, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(0.003):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with torch.inference_mode():
        encoder(pixels)
    done.set()
    watcher.join()
    return (max(seen) - before) / _MIB


def memory_in_fresh_process(name: str, arm: str) -> float:
    """See :func:`added_memory`."""
    command = [sys.executable, str(Path(__file__).resolve()), "--memory", name, arm]
    command += ["--threads", str(torch.get_num_threads())]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


@torch.inference_mode()
def time_rows(name: str, rounds: int) -> list[dict]:
    """Seconds an image and share of the matrix rate."""
    arms = ARMS if name != "vit_t" else ARMS[:1]
    theirs = encoder_of(name, "reference")
    encoders = {arm: use_fast_attention(copy.deepcopy(theirs)) if arm == "ours" else theirs for arm in arms}
    pixels = pixels_of(theirs)
    product, product_operations = products_of(WIDTHS[name])
    seconds: dict[str, list[float]] = {arm: [] for arm in (*arms, "product")}
    difference = 0.0
    for turn in range(rounds + 1):
        found = {arm: timed(lambda e=encoder: e(pixels)) for arm, encoder in encoders.items()}
        found["product"] = timed(product)
        # the first turn warms up
        for arm, (each, _) in found.items() if turn else ():
            seconds[arm].append(each)
        if len(arms) > 1:
            difference = max(difference, float((found["ours"][1] - found["reference"][1]).abs().max()))
    threads, load = torch.get_num_threads(), os.getloadavg()[0]
    note = f"{rounds} rounds, {threads} threads, load {load:.1f}"
    if name == "vit_t":
        note += ", not in segment-anything, so without a reference"
    by_arm = {arm: np.array(seconds[arm]) for arm in arms}
    rate = product_operations / np.array(seconds["product"])
    shares = {arm: operations_of(name) / each / rate for arm, each in by_arm.items()}
    note_rate = f"{note}, products at {np.median(rate) / 1e9:.0f} GFLOP/s"
    return [
        _row(f"{name}, one image", by_arm, "s", difference if len(arms) > 1 else np.nan, note),
        _row(f"{name}, share of the matrix rate", shares, "share", np.nan, note_rate),
    ]


def _row(case: str, by_arm: dict[str, np.ndarray], unit: str, difference: float, note: str) -> dict:
    ratio = (np.nan,) * 3
    if "reference" in by_arm:
        pair = by_arm["ours"], by_arm["reference"]
        # above 1 is always in favour of ours
        ratio = interval(*(pair if unit != "share" else pair[::-1]))
    return {
        "benchmark": "encoder",
        "case": case,
        "ours": float(np.median(by_arm["ours"])),
        "reference": float(np.median(by_arm.get("reference", np.nan))),
        **dict(zip(("ratio", "ci_low", "ci_high"), ratio, strict=True)),
        "unit": unit,
        "max_difference": difference,
        "note": note,
    }


def memory_row(name: str, rounds: int = 3) -> dict:
    """Peak memory of one image, each time in a fresh process."""
    measured = {arm: np.array([memory_in_fresh_process(name, arm) for _ in range(rounds)]) for arm in ARMS}
    return _row(f"{name}, peak memory", measured, "MiB", np.nan, f"{rounds} fresh processes each")


def rows(models: tuple[str, ...] = MODELS, rounds: int = 5) -> list[dict]:
    """Measure every case.

    Returns
    -------
    list of dict
        Keys ``benchmark, case, ours, reference, ratio, ci_low, ci_high, unit, max_difference, note``; a ratio above 1
        is in favour of ours. Missing values are NaN.
    """
    found = []
    for name in models:
        found += time_rows(name, rounds)
        if name != "vit_t":
            found.append(memory_row(name))
    return found


def main() -> None:
    """Print the table, or, with ``--memory``, what one forward pass adds here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=(*MODELS, "vit_l", "vit_h"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--memory", nargs=2, metavar=("MODEL", "ARM"))
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    if parsed.memory:
        print(added_memory(*parsed.memory))
        return
    table = pd.DataFrame(rows(tuple(parsed.models), parsed.rounds)).drop(columns="benchmark")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))


if __name__ == "__main__":
    main()

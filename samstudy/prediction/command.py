"""The command ``samstudy predict``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``samstudy predict``."""
    parser.add_argument("--weights", required=True, help="tuned file, checkpoint, or name such as vit_b")
    parser.add_argument(
        "--images", required=True, nargs="+", type=Path, help="files or folders; any format samstudy reads"
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--prompts", type=Path, metavar="FILE", help="boxes and points, .csv or .json (docs/own_data.md)"
    )
    how.add_argument(
        "--automatic", action="store_true", help="ask each image as a whole: for a model tuned with automatic"
    )
    parser.add_argument(
        "--window", nargs=2, type=float, metavar=("LEVEL", "WIDTH"), help="for images of more than 8 bits"
    )
    parser.add_argument("--base", help="what the weights were tuned from, where that file has moved")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")


def run(parsed: argparse.Namespace) -> int:
    """Run ``samstudy predict`` with parsed arguments; return the exit status, 1 where an object has no mask."""
    from samstudy.prediction.segment import predict_images

    report = predict_images(
        parsed.weights, parsed.images, parsed.output, prompts=parsed.prompts, window=parsed.window,
        device=parsed.device, base=parsed.base,
    )  # fmt: skip
    sys.stdout.write(f"{report.summary}\n")
    for problem in report.problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if report.problems else 0

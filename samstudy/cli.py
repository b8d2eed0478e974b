"""The command ``samstudy``: the study's words, from a shell.

Exit status: 0 done, 1 done but incomplete (some rows or files have an error), 2 nothing done (bad input),
130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from samstudy.errors import StudyError, unknown_name

DONE, INCOMPLETE, REFUSED, INTERRUPTED = 0, 1, 2, 130
_RECIPE = ("steps", "learning_rate", "loss", "image_size", "flips")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, and turn what a user can mend into one sentence on standard error.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        The exit status.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = next((word for word in arguments if not word.startswith("-")), "")
    parsed = _parser(command).parse_args(arguments)
    try:
        return parsed.run(parsed)
    except StudyError as error:
        _say(f"samstudy: {error}")
        return REFUSED
    except KeyboardInterrupt:
        _say("samstudy: interrupted; finished work is kept, the same command goes on from there.")
        return INTERRUPTED


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _parser(command: str) -> argparse.ArgumentParser:
    """Declare every command, and the options that another module has only for the one that is given."""
    parser = argparse.ArgumentParser(prog="samstudy", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=words, description=words)
        sub.set_defaults(run=run)
        return sub

    def add_module(name: str, module: str, words: str) -> None:
        # make runs this program once per notebook: what the command does not need is not imported
        sub = commands.add_parser(name, help=words, description=words)
        if name == command:
            imported = import_module(module)
            imported.add_arguments(sub)
            sub.set_defaults(run=imported.run)

    sub = add("list", _list, "List what is registered: datasets, models, prompts, metrics.")
    sub.add_argument("kind", nargs="?", help="only this kind")

    sub = add("check", _check, "Read every file of a data set and say exactly what is wrong with which.")
    sub.add_argument("dataset", help="registered name or folder:<path>")
    sub.add_argument("--root", type=Path, help="where the official files are")
    sub.add_argument("--output", type=Path, metavar="FILE.csv", help="write every finding as CSV")

    sub = add("fetch", _fetch, "Download a data set, or say step by step how to get it.")
    sub.add_argument("dataset", help="registered name")
    sub.add_argument("--root", type=Path, help="where to unpack (default: data/raw/<name>)")
    sub.add_argument("--only", default="", metavar="TEXT", help="only the files with this in their name")

    sub = add("fetch-model", _fetch_model, "Download an official checkpoint (resumes, checks the hash).")
    sub.add_argument("model", help="vit_b, vit_l, vit_h or medsam")
    sub.add_argument("--url", help="read from this mirror instead")

    sub = add("run", _run, "Evaluate models on a data set: score table, CSV and overlays.")
    _add_evaluation(sub)
    sub.add_argument(
        "--models", default="vit_t,ellipse", help="names or checkpoint files, separated by commas"
    )
    sub.add_argument("--prompts", default="box,point_center", help="modes, separated by commas")
    sub.add_argument(
        "--overlays", type=int, default=24, metavar="N", help="pictures of at most N images (default 24)"
    )
    sub.add_argument("--scheduler", help="Dask workers: local:4, tcp://host:8786 or file:scheduler.json")

    sub = add("finetune", _finetune, "Tune SAM on a few images and evaluate before and after.")
    _add_evaluation(sub)
    sub.add_argument("--model", default="vit_t", help="base: name or checkpoint file")
    sub.add_argument("--shots", type=int, help="training images (default 10, or all where there are fewer)")
    sub.add_argument("--prompts", default="box,point_center", help="modes, separated by commas")
    sub.add_argument(
        "--targets", default="", help="what to learn, separated by commas (default: every target)"
    )
    sub.add_argument("--method", default="decoder", help="decoder, lora or full (default decoder)")
    sub.add_argument("--steps", type=int, help="most optimiser steps (default 200)")
    sub.add_argument(
        "--learning-rate",
        type=float,
        help="of the decoder (default 0.0003; 0.001 with the prompts automatic)",
    )
    sub.add_argument("--loss", help="dice_ce, focal or cldice, which is for vessels (default dice_ce)")
    sub.add_argument(
        "--image-size", type=int, help="side of the input of vit_t (automatic: 768 where targets are thin)"
    )
    sub.add_argument("--flips", action="store_true", default=None, help="train on mirrored images too")

    add_module("predict", "samstudy.prediction.command", "Segment new images: masks, overlays and a table.")
    add_module(
        "export", "samstudy.exporting", "Write tuned weights as a file that plain segment-anything loads."
    )
    add_module("pretrain", "samstudy.pretrain.train", "Pretrain vit_t on synthetic scenes (resumes).")
    add_module("notebook", "samstudy.notebook", "Run a notebook template with checked parameters.")
    add_module(
        "lab", "samstudy.explore.lab", "Open JupyterLab on the notebooks, with the Python that runs this."
    )
    add_module("supplement", "samstudy.supplement", "Write all that a profile made as a web page and a PDF.")
    return parser


def _add_evaluation(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--dataset", required=True, help="registered name or folder:<path>")
    sub.add_argument("--root", type=Path, help="where the official files are")
    sub.add_argument("--split", help="train, val, test or all (default: the data set's own)")
    sub.add_argument("--limit", type=int, help="at most so many images, evenly spaced")
    sub.add_argument("--seed", type=int, default=0, help="base seed (default 0)")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    sub.add_argument("--output", type=Path, required=True, help="folder of the results")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _list(parsed: argparse.Namespace) -> int:
    from samstudy.datasets import known_datasets
    from samstudy.metrics import METRICS
    from samstudy.models import MODELS
    from samstudy.prompts import PROMPTS

    kinds = {
        "datasets": known_datasets(),
        "models": MODELS,
        "prompts": PROMPTS,
        "metrics": METRICS,
    }
    if parsed.kind and parsed.kind not in kinds:
        raise unknown_name("kind", parsed.kind, kinds)
    for kind in [parsed.kind] if parsed.kind else kinds:
        _tell(f"{kind}: {' '.join(kinds[kind])}")
    return DONE


def _check(parsed: argparse.Namespace) -> int:
    from samstudy.datasets import load_dataset
    from samstudy.datasets.report import check_report, write_findings

    dataset = load_dataset(parsed.dataset, root=parsed.root)
    table = dataset.check(progress=sys.stderr.isatty())
    _tell(check_report(dataset, table))
    if parsed.output:
        write_findings(table, parsed.output)
        _tell(f"All {len(table)} findings: {parsed.output}")
    return INCOMPLETE if (table["level"] == "error").any() else DONE


def _fetch(parsed: argparse.Namespace) -> int:
    from samstudy.fetch import fetch

    fetch(parsed.dataset, _tell, root=parsed.root, only=parsed.only)
    return DONE


def _fetch_model(parsed: argparse.Namespace) -> int:
    from samstudy.official import fetch_model

    _tell(f"{fetch_model(parsed.model, url=parsed.url)} is here and checked.")
    return DONE


def _run(parsed: argparse.Namespace) -> int:
    from samstudy.runs import run_evaluation

    return _report(run_evaluation(
        parsed.dataset, _names(parsed.models), _names(parsed.prompts), parsed.output, root=parsed.root,
        split=parsed.split, limit=parsed.limit, seed=parsed.seed, device=parsed.device, n_overlays=parsed.overlays,
        scheduler=parsed.scheduler,
    ))  # fmt: skip


def _finetune(parsed: argparse.Namespace) -> int:
    from samstudy.runs import run_finetuning

    return _report(run_finetuning(
        parsed.dataset, parsed.model, parsed.shots, _names(parsed.prompts), parsed.output, root=parsed.root,
        split=parsed.split, limit=parsed.limit, seed=parsed.seed, device=parsed.device,
        method=parsed.method, targets=_names(parsed.targets),
        **{name: value for name in _RECIPE if (value := getattr(parsed, name)) is not None},
    ))  # fmt: skip


def _report(run: object) -> int:
    _tell(run.summary)
    for line in run.problems:
        _say(line)
    return INCOMPLETE if run.problems else DONE


if __name__ == "__main__":
    sys.exit(main())

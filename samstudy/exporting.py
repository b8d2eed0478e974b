"""Tuned weights as one file that needs no base and, for the official architectures, no samstudy to open.

``vit_b``, ``vit_l`` and ``vit_h`` (MedSAM is a ``vit_b``) become the state dict that
``segment_anything.sam_model_registry[...](checkpoint=...)`` loads as it is. ``vit_t`` has no entry there and becomes
a file of its own kind, which ``samstudy.load_model`` and ``samstudy.vit_t.load_vit_t`` read.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, Sam
from torch import Tensor

from samstudy.automatic import PREFIX, has_learnt_prompt
from samstudy.checkpoints import Checkpoint, state_sha, variant_of
from samstudy.errors import ModelError, StudyError
from samstudy.models import VIT_T_FORMAT, SamModel, load_model
from samstudy.paths import written_whole
from samstudy.vit_t import FORMAT_VERSION, HybridEncoder, VitTConfig

_TORCH_SUFFIXES = (".pth", ".pt")


@dataclass(frozen=True)
class Export:
    """A file that was written, and how to open it.

    Attributes
    ----------
    path : pathlib.Path
    architecture : str
        ``"vit_b"``, ``"vit_l"``, ``"vit_h"`` or ``"vit_t"``.
    weights_sha : str
        Hash of the weights in it, as in the score table.
    left_out : str
        A sentence on what the file cannot hold; ``""`` where it holds all.
    """

    path: Path
    architecture: str
    weights_sha: str
    left_out: str = ""

    def words(self) -> str:
        """What was written, what was left out, and the lines of Python that open it."""
        if self.architecture == "vit_t":
            note = "vit_t is not in the registry of segment-anything; its SamPredictor runs it all the same:"
            opening = f'from samstudy.vit_t import load_vit_t\nsam = load_vit_t("{self.path}")'
        else:
            note = "Plain segment-anything opens it:"
            opening = (
                "from segment_anything import sam_model_registry\n"
                f'sam = sam_model_registry["{self.architecture}"](checkpoint="{self.path}")'
            )
        lines = [
            f"{self.path}: {self.architecture}, weights {self.weights_sha}.",
            self.left_out,
            note,
            opening,
        ]
        return "\n".join(line for line in lines if line)


def export(weights: str | Path, output: str | Path, base: str | Path | None = None) -> Export:
    """Put tuned weights on their base and write the whole model, with its history as JSON beside it.

    What LoRA has learnt is merged into the encoder's weights.

    Parameters
    ----------
    weights : str or pathlib.Path
        A file of ``samstudy finetune``, or any other SAM that :func:`samstudy.load_model` knows.
    output : str or pathlib.Path
        ``.pth`` for the official architectures, ``.safetensors`` for ``vit_t``; written whole or not at all.
    base : str or pathlib.Path, optional
        See :func:`samstudy.load_model`.

    Returns
    -------
    Export

    Raises
    ------
    ModelError
        If the base is another one than the weights were tuned from, or not here.
    StudyError
        If the model is no SAM, the suffix is not that of its architecture, or the file would replace the weights
        or cannot be written.
    """
    output = Path(output)
    if output.exists() and Path(weights).exists() and output.samefile(weights):
        raise StudyError(f"{output} is the tuned file itself: give another name to write to.")
    model = load_model(weights, "cpu", base)
    if not isinstance(model, SamModel):
        raise StudyError(f"the model {model.name!r} has no weights to export; choose a SAM.")
    state = {name: value for name, value in model.sam.state_dict().items() if not name.startswith(PREFIX)}
    if isinstance(model.sam.image_encoder, ImageEncoderViT):
        architecture = _write_official(state, model, output)
    else:
        architecture = _write_vit_t(state, model, output)
    sha = state_sha(state)
    _write_history(model, architecture, sha, output)
    return Export(output, architecture, sha, _left_out(model))


def _write_official(state: dict[str, Tensor], model: SamModel, output: Path) -> str:
    variant = variant_of(Checkpoint(Path(model.name), state))
    if output.suffix not in _TORCH_SUFFIXES:
        raise StudyError(f"{output} should end in .pth: that is what segment-anything opens for {variant}.")
    _check_official(state, variant)
    with written_whole(output) as temporary:
        torch.save({name: value.contiguous() for name, value in state.items()}, temporary)
    return variant


def _check_official(state: dict[str, Tensor], variant: str) -> None:
    """Refuse a state dict that the registry would not load strictly."""
    with torch.device("meta"):
        official = sam_model_registry[variant]().state_dict()
    differing = [
        name
        for name in sorted(official.keys() | state.keys())
        if name not in official
        or name not in state
        or (state[name].shape, state[name].dtype) != (official[name].shape, official[name].dtype)
    ]
    if differing:
        raise ModelError(
            f"the model does not fit the official {variant}: {len(differing)} tensors differ, such as {differing[0]}."
        )


def _write_vit_t(state: dict[str, Tensor], model: SamModel, output: Path) -> str:
    if output.suffix != ".safetensors":
        raise StudyError(
            f"{output} should end in .safetensors: vit_t is no architecture of segment-anything, and nothing "
            "would open a .pth file of it."
        )
    header = {
        "format": VIT_T_FORMAT,
        "format_version": FORMAT_VERSION,
        "config": vit_t_config(model.sam).to_json(),
        "history": json.dumps(model.history),
    }
    # float32, unlike save_vit_t: half precision would move an outline here and there
    with written_whole(output) as temporary:
        save_file({name: value.contiguous() for name, value in state.items()}, temporary, header)
    return "vit_t"


def vit_t_config(sam: Sam) -> VitTConfig:
    """Read the configuration of a ``vit_t`` off its modules.

    Raises
    ------
    ModelError
        If the image encoder is not that of a ``vit_t``.
    """
    encoder, decoder = sam.image_encoder, sam.mask_decoder
    if not isinstance(encoder, HybridEncoder):
        raise ModelError(
            f"the image encoder is a {type(encoder).__name__}: neither an official one nor vit_t's."
        )
    transformer = decoder.transformer
    return VitTConfig(
        image_size=encoder.img_size,
        stem_dims=tuple(
            part[0].out_channels for part in (encoder.stem4[0], encoder.stem4[1], encoder.stem8[0])
        ),
        vit_dim=encoder.norm.normalized_shape[0],
        vit_depth=len(encoder.blocks),
        vit_heads=encoder.blocks[0].heads,
        decoder_dim=decoder.transformer_dim,
        decoder_depth=len(transformer.layers),
        decoder_heads=transformer.num_heads,
    )


def _write_history(model: SamModel, architecture: str, sha: str, output: Path) -> None:
    facts = {"architecture": architecture, "weights_sha": sha, "name": model.name, **model.history}
    with written_whole(output.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _left_out(model: SamModel) -> str:
    if not has_learnt_prompt(model.sam):
        return ""
    return (
        "The learnt embedding of the mode automatic is not in it: SAM's format has no place for one. To segment "
        "without prompts use the tuned file with `samstudy predict --automatic`."
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``samstudy export``."""
    parser.add_argument("--weights", required=True, help="file of samstudy finetune")
    parser.add_argument("--base", help="what it was tuned from, where that file has moved")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help=".pth; for vit_t .safetensors"
    )


def run(parsed: argparse.Namespace) -> int:
    """Run ``samstudy export`` with parsed arguments; return the exit status."""
    sys.stdout.write(f"{export(parsed.weights, parsed.output, parsed.base).words()}\n")
    return 0

"""A name or a file -> a model that embeds an image once and answers many prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam

from samstudy.baselines import EllipseModel
from samstudy.checkpoints import Checkpoint, load_into, metadata_json, read_checkpoint, state_sha, variant_of
from samstudy.encoder import use_fast_attention
from samstudy.errors import ModelError, StudyError, unknown_name
from samstudy.inference import Embedding, decode, encode_image
from samstudy.official import OFFICIAL_FILES
from samstudy.otsu import OtsuModel
from samstudy.paths import checkpoints_dir
from samstudy.registry import Registry
from samstudy.types import Prediction, Prompt
from samstudy.vit_t import load_vit_t

if TYPE_CHECKING:
    from samstudy.datasets import Dataset

DEVICES = ("auto", "cpu", "cuda", "mps")

TUNED_KEY = "samstudy_tuned"
VIT_T_FORMAT = "samstudy.vit_t"


class Model(Protocol):
    """What the study asks of a model; SAM, the baselines and the trained controls all answer it.

    Attributes
    ----------
    name : str
        As in the score table's ``model`` column.
    weights_sha, encoder_sha : str
        Content hashes of all weights and of the image encoder; ``""`` for a model without weights.
    tuning : {"none", "decoder", "lora", "full", "shuffled", "scratch", "probe"}
        How it was trained here, with ``shots`` training images in ``fold``; the last three are controls.
    uses_image : bool
        False for the no-image baselines.
    image_size : int
        Side of the encoder's square input; 0 for a model without an encoder.
    one_mask : bool, optional
        Whether it makes a single mask and no estimate of its IoU, so that there is nothing to choose; by default
        where it does not use the image.
    """

    name: str
    weights_sha: str
    encoder_sha: str
    tuning: str
    shots: int
    fold: int
    uses_image: bool
    image_size: int

    def prepare(self, dataset: Dataset) -> None:
        """Learn from the training split what a baseline may know; nothing for SAM."""

    def embed(self, image: np.ndarray) -> Embedding:
        """Encode one uint8 H x W x 3 image."""

    def predict(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Answer every prompt, in order."""


@dataclass
class SamModel:
    """A SAM built from the official modules, with the names and hashes the tables need.

    Attributes
    ----------
    name : str
        Base model or checkpoint stem.
    sam : segment_anything.modeling.Sam
        In evaluation mode, on its device.
    tuning, shots, fold : str, int, int
        Fine-tuning it has had.
    history : dict
        Hyperparameters, split hash and curve of that fine-tuning; empty otherwise.
    source : str
        Registered name or file that :func:`load_model` loads it from again.
    adapters : dict of str to torch.Tensor
        LoRA matrices that are merged into the image encoder, as :func:`samstudy.tuning.save_tuned` writes them.
    """

    name: str
    sam: Sam
    tuning: str = "none"
    shots: int = 0
    fold: int = 0
    history: dict = field(default_factory=dict)
    source: str = ""
    uses_image: bool = True
    adapters: dict[str, torch.Tensor] = field(default_factory=dict)

    @cached_property
    def weights_sha(self) -> str:
        """Hash of every weight."""
        return state_sha(self.sam.state_dict())

    @cached_property
    def encoder_sha(self) -> str:
        """Hash of the image encoder alone: the key of cached embeddings."""
        return state_sha(self.sam.state_dict(), "image_encoder.")

    @property
    def image_size(self) -> int:
        """Side of the encoder's square input, in pixels."""
        return self.sam.image_encoder.img_size

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.sam.device

    def prepare(self, dataset: Dataset) -> None:
        """Nothing to learn: zero-shot SAM sees no training image."""

    def embed(self, image: np.ndarray) -> Embedding:
        """See :func:`samstudy.inference.encode_image`."""
        return encode_image(self.sam, image)

    def predict(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """See :func:`samstudy.inference.decode`."""
        return decode(self.sam, embedding, prompts)


MODELS: Registry[Callable[[torch.device], Model]] = Registry("model")


def resolve_device(device: str = "auto") -> torch.device:
    """Turn ``auto | cpu | cuda | mps`` into a device that exists.

    ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises
    ------
    StudyError
        If the name is unknown or this machine has no such device.
    """
    if device not in DEVICES and not device.startswith("cuda:"):
        raise unknown_name("device", device, DEVICES)
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if present[name]))
    if not present[device.split(":")[0]]:
        raise StudyError(f"the device {device!r} is not available on this machine; use --device auto or cpu.")
    return torch.device(device)


def load_model(name: str | Path, device: str = "auto", base: str | Path | None = None) -> Model:
    """Load a model by registered name or from a checkpoint file.

    Parameters
    ----------
    name : str or pathlib.Path
        ``vit_t``, ``vit_b``, ``vit_l``, ``vit_h``, ``medsam``, ``ellipse``, ``otsu``; or the path of a SAM checkpoint
        (``.pth`` bare or wrapped in ``{"model": ...}``, ``.safetensors``) or of a model tuned by this study.
    device : {"auto", "cpu", "cuda", "mps"}
        See :func:`resolve_device`.
    base : str or pathlib.Path, optional
        What a tuned model was tuned from, by name or file. By default what its file names; a file that is no
        longer there is looked for beside the tuned one and in ``data/raw/checkpoints``.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or not a SAM, or a base is given that is not the one the file was tuned from
        (told by a hash); the sentence says which and what to do.
    StudyError
        If the name is unknown (near misses are offered), the device absent, or a base given to what is not tuned.
    """
    target = resolve_device(device)
    text = str(name)
    if text in MODELS:
        if base is not None:
            raise StudyError(f"{text!r} is no tuned model, so it has no base: leave {str(base)!r} out.")
        return MODELS[text](target)
    if Path(text).suffix in (".pth", ".pt", ".safetensors") or "/" in text or Path(text).exists():
        return _from_file(Path(text).expanduser(), target, base)
    raise unknown_name("model", text, [*MODELS, "<path of a .pth or .safetensors file>"])


def predict(model: Model, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Prediction]:
    """Answer every prompt on one embedded image: ``model.predict(embedding, prompts)``."""
    return model.predict(embedding, prompts)


def _from_file(path: Path, device: torch.device, base: str | Path | None) -> SamModel:
    checkpoint = read_checkpoint(path)
    if TUNED_KEY in checkpoint.metadata:
        return _tuned(checkpoint, device, base)
    if base is not None:
        raise StudyError(f"{path} is no tuned model, so it has no base: leave {str(base)!r} out.")
    if checkpoint.metadata.get("format") == VIT_T_FORMAT:
        return SamModel(path.stem, _placed(load_vit_t(path), device), source=str(path.resolve()))
    return _official(checkpoint, path.stem, device, str(path.resolve()))


def _placed(sam: Sam, device: torch.device) -> Sam:
    for parameter in sam.parameters():
        parameter.requires_grad_(False)
    use_fast_attention(sam.image_encoder)
    return sam.eval().to(device)


def _official(checkpoint: Checkpoint, name: str, device: torch.device, source: str) -> SamModel:
    variant = variant_of(checkpoint)
    with torch.device("meta"):
        sam = sam_model_registry[variant]()
    load_into(sam, checkpoint, variant)
    # The normalisation constants are buffers that no checkpoint holds, so they are still on "meta".
    sam.pixel_mean = torch.tensor([123.675, 116.28, 103.53]).view(-1, 1, 1)
    sam.pixel_std = torch.tensor([58.395, 57.12, 57.375]).view(-1, 1, 1)
    return SamModel(name, _placed(sam, device), source=source)


def _tuned(checkpoint: Checkpoint, device: torch.device, given: str | Path | None) -> SamModel:
    history = metadata_json(checkpoint, TUNED_KEY)
    try:
        base = load_model(given or _where_base_is(history["base_source"], checkpoint.path), device.type)
    except StudyError as error:
        raise ModelError(
            f"{checkpoint.path} was tuned from {history['base']!r}, its base: {error} Where it is elsewhere, say so "
            "with --base (from Python: load_model(..., base=...))."
        ) from error
    if base.encoder_sha != history["base_encoder_sha"]:
        raise ModelError(
            f"{checkpoint.path} was tuned from {history['base']!r} with the image encoder "
            f"{history['base_encoder_sha']}, but the {history['base']!r} found here has {base.encoder_sha}: "
            "use the same base checkpoint."
        )
    # the package of fine-tuning is built on this module
    from samstudy.tuning.weights import restore

    tuned = restore(base, checkpoint, history)
    tuned.source = str(checkpoint.path.resolve())
    _placed(tuned.sam, device)
    return tuned


def _where_base_is(source: str, tuned: Path) -> str:
    """The name or file that a tuned file states, or the file of that name that has come along with it."""
    if source in MODELS or Path(source).is_file():
        return source
    folders = tuned.parent, checkpoints_dir()
    return next((str(f / Path(source).name) for f in folders if (f / Path(source).name).is_file()), source)


@MODELS.register("vit_t")
def _packaged_vit_t(device: torch.device) -> SamModel:
    """Our own small SAM, pretrained on synthetic scenes and shipped in the package (docs/vit_t.md)."""
    return SamModel("vit_t", _placed(load_vit_t(), device), source="vit_t")


def _register_official(name: str) -> None:
    @MODELS.register(name)
    def load(device: torch.device) -> SamModel:
        official = OFFICIAL_FILES[name]
        if not official.path.is_file():
            raise ModelError(f"the checkpoint of {name} is not here: {official.how_to_get(name)}")
        return _official(read_checkpoint(official.path), name, device, name)


for _name in OFFICIAL_FILES:
    _register_official(_name)


@MODELS.register("ellipse")
def _ellipse(device: torch.device) -> EllipseModel:
    """The no-image baseline; runs on the CPU whatever the device."""
    return EllipseModel()


@MODELS.register("otsu")
def _otsu(device: torch.device) -> OtsuModel:
    """Otsu's threshold, which looks at the image and learns nothing; runs on the CPU whatever the device."""
    return OtsuModel()

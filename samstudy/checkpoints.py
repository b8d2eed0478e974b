"""Reading SAM checkpoints safely and explaining, in short, the ones that do not fit."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from samstudy.errors import ModelError

_WRAPPERS = ("model", "state_dict", "model_state_dict")
_WIDTH_TO_VARIANT = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_LEGACY_MAGIC = (b"\x80", b"PK")


@dataclass(frozen=True)
class Checkpoint:
    """A state dict in memory.

    Attributes
    ----------
    path : pathlib.Path
        File it came from.
    state : dict of str to torch.Tensor
        Parameters on the CPU, names as in the file with ``module.`` prefixes removed.
    metadata : dict of str to str
        Header of a safetensors file; empty for ``.pth`` files.
    """

    path: Path
    state: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def state_sha(state: Mapping[str, Tensor], prefix: str = "") -> str:
    """SHA-256 (16 hex digits) of parameter names, shapes, types and values.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        A state dict on any device; the order of its keys does not matter.
    prefix : str
        Only keys that start with it are hashed.
    """
    digest = hashlib.sha256()
    for name in sorted(key for key in state if key.startswith(prefix)):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.view(torch.uint8).numpy().data if value.ndim else value.numpy().tobytes())
    return digest.hexdigest()[:16]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a ``.pth``/``.pt`` (bare state dict or wrapped) or ``.safetensors`` file without unpickling code.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.

    Raises
    ------
    ModelError
        If the file is missing, empty, truncated, holds more than tensors, or holds no state dict.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ModelError(
            f"no checkpoint at {path}: check the path, or give a model name (samstudy list models)."
        )
    if path.stat().st_size == 0:
        raise ModelError(f"the checkpoint {path} is empty (0 bytes): copy or download it again.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return Checkpoint(path, _bare_state(_read_torch(path), path))


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = dict(handle.metadata() or {})
            names = list(handle.keys())
            state = {name: handle.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"the checkpoint {path} is not a whole safetensors file ({error}): copy it again."
        ) from error
    return Checkpoint(path, state, metadata)


def _read_torch(path: Path) -> object:
    with path.open("rb") as handle:
        head = handle.read(2)
    if not head.startswith(_LEGACY_MAGIC):
        raise ModelError(
            f"{path} is not a PyTorch checkpoint (it starts with {head!r}): give a .pth or .safetensors file."
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"the checkpoint {path} holds more than weights, or is damaged, and is not loaded for safety: re-save "
            f"it as a plain state dict (torch.save(model.state_dict(), ...)). Reason: {_first_line(error)}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        size_mib = path.stat().st_size / 2**20
        raise ModelError(
            f"the checkpoint {path} ({size_mib:.1f} MiB) is truncated or damaged: copy or download it again. "
            f"Reason: {_first_line(error)}"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _bare_state(content: object, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not any(isinstance(v, Tensor) for v in content.values()):
        keys = list(content)[:5] if isinstance(content, Mapping) else type(content).__name__
        raise ModelError(f"{path} holds no state dict of tensors (found: {keys}): give a SAM checkpoint.")
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state


def variant_of(checkpoint: Checkpoint) -> str:
    """Tell which official architecture a state dict belongs to from its patch embedding.

    Returns
    -------
    {"vit_b", "vit_l", "vit_h"}

    Raises
    ------
    ModelError
        If it is not a SAM with one of the three official image encoders.
    """
    weight = checkpoint.state.get("image_encoder.patch_embed.proj.weight")
    if weight is None:
        sample = ", ".join(sorted(checkpoint.state)[:3])
        raise ModelError(
            f"{checkpoint.path} is not a SAM checkpoint: it has no 'image_encoder.patch_embed.proj.weight' among its "
            f"{len(checkpoint.state)} tensors (first: {sample}). Expected keys image_encoder.*, prompt_encoder.*, "
            "mask_decoder.*."
        )
    width = int(weight.shape[0])
    if width not in _WIDTH_TO_VARIANT:
        known = ", ".join(f"{w} ({v})" for w, v in _WIDTH_TO_VARIANT.items())
        raise ModelError(f"{checkpoint.path}: image encoder of width {width} is not one of SAM's: {known}.")
    return _WIDTH_TO_VARIANT[width]


def load_into(module: torch.nn.Module, checkpoint: Checkpoint, what: str) -> None:
    """Give a module the tensors of a checkpoint, in float32, without a second copy in memory.

    Parameters
    ----------
    module : torch.nn.Module
        May live on the ``meta`` device; its parameters become the checkpoint's.
    checkpoint : Checkpoint
        Must hold exactly the module's keys with the module's shapes.
    what : str
        What the module is, for the message (``"vit_b"``).

    Raises
    ------
    ModelError
        Key by key, at most three of each kind: missing, unexpected, of another shape.
    """
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    state = checkpoint.state
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    reshaped = [
        f"{name} is {tuple(state[name].shape)}, not {shape}"
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    faults = [("missing", missing), ("unexpected", unexpected), ("other shape", reshaped)]
    if any(found for _, found in faults):
        parts = [f"{len(found)} {kind} ({_shortened(found)})" for kind, found in faults if found]
        raise ModelError(f"{checkpoint.path} does not fit {what}: {'; '.join(parts)}.")
    as_float = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    module.load_state_dict(as_float, strict=True, assign=True)


def _shortened(found: list[str], most: int = 3) -> str:
    return ", ".join(found[:most]) + (f", and {len(found) - most} more" if len(found) > most else "")


def metadata_json(checkpoint: Checkpoint, key: str) -> dict:
    """Read one JSON object from a safetensors header.

    Raises
    ------
    ModelError
        If the key is absent or is not JSON.
    """
    try:
        return json.loads(checkpoint.metadata[key])
    except (KeyError, json.JSONDecodeError) as error:
        raise ModelError(
            f"{checkpoint.path} has no readable {key!r} in its header: it is not a samstudy file."
        ) from error

"""Writing a tuned model, and putting a file of one back on its base, which :func:`samstudy.load_model` does."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from samstudy.automatic import PREFIX as AUTOMATIC
from samstudy.automatic import give_prompt
from samstudy.checkpoints import Checkpoint, load_into
from samstudy.errors import StudyError
from samstudy.models import TUNED_KEY, SamModel
from samstudy.paths import written_whole
from samstudy.tuning import lora
from samstudy.tuning.parts import finish, resize_input

_DECODER, _LORA = "mask_decoder.", "lora."


def save_tuned(model: SamModel, path: str | Path) -> Path:
    """Write the tuned part as safetensors, and its history as JSON beside it.

    The file holds the mask decoder, the learnt embedding of ``automatic`` where there is one, and LoRA's matrices; of
    the method ``full`` every weight. ``samstudy.load_model(path)`` puts it on its base again and refuses another base.

    Raises
    ------
    StudyError
        If the model has not been tuned, or the folder cannot be written.
    """
    if not model.history:
        raise StudyError(f"the model {model.name!r} has not been tuned: there is nothing to save.")
    path = Path(path)
    tensors = {name: value.cpu().contiguous() for name, value in _tuned_part(model).items()}
    with written_whole(path) as temporary:
        save_file(tensors, temporary, {TUNED_KEY: json.dumps(model.history)})
    with written_whole(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(model.history, indent=1) + "\n", encoding="utf-8")
    return path


def _tuned_part(model: SamModel) -> dict[str, Tensor]:
    state = model.sam.state_dict()
    if model.tuning == "full":
        return state
    part = {name: value for name, value in state.items() if name.startswith((_DECODER, AUTOMATIC))}
    return part | {f"{_LORA}{name}": value for name, value in model.adapters.items()}


def restore(base: SamModel, checkpoint: Checkpoint, history: dict) -> SamModel:
    """Put the content of a file of :func:`save_tuned` on its base, whose modules become those of the result.

    Raises
    ------
    ModelError
        If tensors are missing, unexpected or of another shape.
    """
    sam, method, recipe = base.sam, history["method"], history["recipe"]
    kind = history.get("tuning", method)
    tuned = SamModel(history["base"], sam, kind, history["shots"], history["fold"], history)
    resize_input(sam, history.get("image_size") or base.image_size)
    learnt = _under(checkpoint, AUTOMATIC)
    if learnt:
        give_prompt(sam, learnt)
    if method == "full":
        load_into(sam, checkpoint, f"the base {history['base']}")
    else:
        decoder = Checkpoint(checkpoint.path, _under(checkpoint, _DECODER))
        load_into(sam.mask_decoder, decoder, f"the mask decoder of {history['base']}")
    if method == "lora":
        lora.inject(sam.image_encoder, recipe["lora_rank"], recipe["lora_alpha"], recipe["lora_targets"])
        lora.load_adapters(sam.image_encoder, _under(checkpoint, _LORA))
    finish(tuned, method)
    return tuned


def _under(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in checkpoint.state.items()
        if name.startswith(prefix)
    }

"""Writing a tuned model; :func:`samstudy.load_model` reads it."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file

from samstudy.errors import StudyError
from samstudy.models import TUNED_KEY, SamModel
from samstudy.paths import written_whole


def save_tuned(model: SamModel, path: str | Path) -> Path:
    """Write the tuned part as safetensors, and its history as JSON beside it.

    ``samstudy.load_model(path)`` puts it on its base again and refuses another base.

    Raises
    ------
    StudyError
        If the model has not been tuned, or the folder cannot be written.
    """
    if not model.history:
        raise StudyError(f"the model {model.name!r} has not been tuned: there is nothing to save.")
    path = Path(path)
    state = model.sam.mask_decoder.state_dict()
    tensors = {f"mask_decoder.{name}": value.cpu().contiguous() for name, value in state.items()}
    with written_whole(path) as temporary:
        save_file(tensors, temporary, {TUNED_KEY: json.dumps(model.history)})
    with written_whole(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(model.history, indent=1) + "\n", encoding="utf-8")
    return path

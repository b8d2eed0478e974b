"""A complete, documented re-run of the zero-shot medical segmentation study of SAM.

Shi et al., *Generalist Vision Foundation Models for Medical Imaging*, Diagnostics 2023, 13(11):1947. A data set
goes in, a tidy table of per-object scores comes out, and every figure and number is drawn from that table::

    import samstudy as ss

    ds = ss.load_dataset("mni152")
    model = ss.load_model("vit_t")
    table = ss.evaluate(ds, models=[model, "ellipse"], prompts=["box", "point_center"])
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Threads that wait by spinning starve each other where cores are shared. Has to be said before torch loads OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from samstudy import figures, stages, statistics, study, tables
    from samstudy.datasets import load_dataset
    from samstudy.embeddings import embed
    from samstudy.errors import DataError, ModelError, StudyError
    from samstudy.evaluation import evaluate
    from samstudy.metrics import score
    from samstudy.models import load_model, predict
    from samstudy.prompts import make_prompt
    from samstudy.replay import predict_row
    from samstudy.results import read_table, write_table
    from samstudy.seeds import rng_for
    from samstudy.tuning import finetune, save_tuned
    from samstudy.types import Prediction, Prompt, Sample

_HOME = {
    "DataError": "errors",
    "ModelError": "errors",
    "Prediction": "types",
    "Prompt": "types",
    "Sample": "types",
    "StudyError": "errors",
    "embed": "embeddings",
    "evaluate": "evaluation",
    "finetune": "tuning",
    "load_dataset": "datasets",
    "load_model": "models",
    "make_prompt": "prompts",
    "predict": "models",
    "predict_row": "replay",
    "read_table": "results",
    "rng_for": "seeds",
    "save_tuned": "tuning",
    "score": "metrics",
    "write_table": "results",
}
_MODULES = (
    "ceiling", "comparisons", "controls", "figures", "paths", "phantoms", "present", "results", "stages", "statistics",
    "study", "tables", "tubular", "verdicts", "vessels",
)  # fmt: skip

__all__ = [
    "DataError",
    "ModelError",
    "Prediction",
    "Prompt",
    "Sample",
    "StudyError",
    "embed",
    "evaluate",
    "figures",
    "finetune",
    "load_dataset",
    "load_model",
    "make_prompt",
    "predict",
    "predict_row",
    "read_table",
    "rng_for",
    "save_tuned",
    "score",
    "stages",
    "statistics",
    "study",
    "tables",
    "write_table",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: make and ``--help`` should not wait for torch (PEP 562)."""
    if name in _HOME:
        value = getattr(import_module(f"samstudy.{_HOME[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"samstudy.{name}")
    else:
        raise AttributeError(f"module 'samstudy' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})

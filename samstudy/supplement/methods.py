"""The methods text: what was evaluated on what and how, from ``study.yaml`` and from what is registered.

No number stands here: each is read from the profile, a registry, a constant or a default of the code that uses it.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType

from samstudy import (
    attributes,
    bootstrap,
    calibration,
    ceiling,
    clicks,
    comparisons,
    domain,
    everything,
    importance,
    inference,
    metrics,
    ranks,
    seeds,
    statistics,
    verdicts,
    vessels,
)
from samstudy.baselines import EllipseModel
from samstudy.figures.palette import MASK_CHOICE_WORDS
from samstudy.hypotheses import Hypotheses, Hypothesis
from samstudy.metrics import METRICS
from samstudy.models import MODELS
from samstudy.official import OFFICIAL_FILES
from samstudy.prompts import PROMPTS, PromptMode
from samstudy.study import ALL_SHOTS, FineTuning, Profile, Study
from samstudy.supplement.blocks import Block, Facts, Section, Table, Verbatim
from samstudy.supplement.docstrings import described, first_paragraph, paragraphs, plain_text
from samstudy.tuning import Recipe, loop
from samstudy.types import MASK_CHOICES, Prediction


def methods(study: Study, chosen: Profile, data: Section) -> list[Section]:
    """Write the methods of a profile.

    Parameters
    ----------
    study : Study
        All of ``study.yaml``.
    chosen : Profile
        The profile that was run.
    data : Section
        On its data sets; see :func:`samstudy.supplement.data_sets.data_section`.

    Returns
    -------
    list of Section
        Data sets, models, prompts, mask choice, metrics, statistics, hypotheses, fine-tuning, seeds, and
        ``study.yaml`` itself.
    """
    return [
        data,
        Section("Models", _models(chosen)),
        Section("Prompt modes", _prompts(study, chosen)),
        Section("Mask choice", _mask_choices()),
        Section("Metrics", _metrics()),
        Section("Statistics", _statistics()),
        Section("Hypotheses", _hypotheses(study.hypotheses)),
        Section("Fine-tuning", _fine_tuning(chosen.fine_tuning)),
        Section("Seeds", _seeds(study, chosen)),
        Section("The grid as it was run", (_yaml(study),)),
    ]


def names(values: Iterable[object]) -> str:
    """Join names by commas; ``"none"`` where there are none."""
    return ", ".join(map(str, values)) or "none"


def cap(limit: int | None) -> str:
    """Say how many images are used at most."""
    return "all of them" if limit is None else f"at most {limit}, evenly spaced"


def _models(chosen: Profile) -> tuple[Block, ...]:
    used = dict.fromkeys((*chosen.models, chosen.fine_tuning.model))
    rows = tuple((name, *_model(name)) for name in used)
    return (*paragraphs(inference), Table("", ("model", "what it is", "file", "SHA-256", "source"), rows))


def _model(name: str) -> tuple[str, str, str, str]:
    if name in OFFICIAL_FILES:
        published = OFFICIAL_FILES[name]
        return (
            "published checkpoint",
            published.filename,
            published.sha256 or "not published",
            published.source,
        )
    if name == EllipseModel.name:
        return " ".join(paragraphs(EllipseModel)), "none", "–", "this package"
    if name in MODELS:
        return first_paragraph(MODELS[name]), "in the package", "see Provenance", "this package"
    return "checkpoint of one's own", name, "see Provenance", "–"


def _prompts(study: Study, chosen: Profile) -> tuple[Block, ...]:
    elsewhere = [
        mode for other in study.profiles.values() for mode in other.prompts + other.fine_tuning.prompts
    ]
    used = (*chosen.prompts, *chosen.fine_tuning.prompts)
    shown = dict.fromkeys(mode for mode in PROMPTS if mode in {*used, *elsewhere})
    rows = tuple(
        (
            mode,
            PROMPTS[mode].title,
            plain_text(PROMPTS[mode].rule),
            PROMPTS[mode].headline,
            PROMPTS[mode].source,
        )
        for mode in shown
    )
    others = [mode for mode in PROMPTS if mode not in shown]
    said = f"Zero-shot: {names(chosen.prompts)}. Before and after fine-tuning: {names(chosen.fine_tuning.prompts)}."
    table = Table(
        "", ("mode", "in figures", "how it is made", "headline choice", "studies that use it"), rows
    )
    return (
        "Prompts are simulated from the reference mask of one object, so they know where it is; each score stands "
        "beside that of a baseline that answers the same prompt without seeing the image. Coordinates are pixels of "
        "the original image.",
        said,
        table,
        *([f"Registered, but in no profile of study.yaml: {names(others)}."] if others else []),
        *(paragraphs(everything) if any(mode.startswith("everything") for mode in used) else []),
        *(paragraphs(clicks) if any(PROMPTS[mode].series for mode in used) else []),
    )


def _mask_choices() -> tuple[Block, ...]:
    rule = described(Prediction.choose)["rule"]
    words = tuple((choice, MASK_CHOICE_WORDS.get(choice, choice)) for choice in MASK_CHOICES)
    return (
        first_paragraph(Prediction),
        described(Prediction)["masks"],
        rule,
        Facts("In figures", words),
        f"Headline choice of a mode. {described(PromptMode)['headline']}",
    )


def _metrics() -> tuple[Block, ...]:
    rows = tuple(
        (
            metric.name,
            metric.title,
            f"{metric.unit}, {metric.better} is better",
            metric.statistic,
            first_paragraph(metric.measure)
            + (" For tubular references only." if metric.tubular_only else ""),
        )
        for metric in map(METRICS.__getitem__, METRICS)
    )
    calibres = ((name, _range_px(*bounds)) for name, bounds in vessels.CALIBRES_PX.items())
    return (
        Table("", ("name", "title", "unit", "summarised by", "definition"), rows),
        *paragraphs(metrics)[1:],
        *paragraphs(vessels)[1:],
        Facts("Calibre of vessels", tuple(calibres)),
        *paragraphs(ceiling),
    )


def _range_px(low: float, high: float) -> str:
    said = [*([f"above {low:g}"] if low > 0 else []), *([f"up to {high:g}"] if math.isfinite(high) else [])]
    return f"{' and '.join(said)} pixels"


def _statistics() -> tuple[Block, ...]:
    described_by: tuple[tuple[str, ModuleType], ...] = (
        ("Intervals", bootstrap),
        ("Summaries", statistics),
        ("Tests", ranks),
        ("Comparisons", comparisons),
        ("Calibration", calibration),
        ("Domains", domain),
        ("Attributes of objects", attributes),
        ("Importance of attributes", importance),
    )
    constants = (
        ("Bootstrap resamples", str(_default(statistics.summarise, "n_boot"))),
        ("No interval and no test below", f"{bootstrap.MIN_GROUPS} groups"),
        ("Called rough below", f"{bootstrap.FEW_GROUPS} groups"),
        ("Level of a corrected test", f"{_default(comparisons.tally, 'level'):g}"),
        ("A difference that counts as none", f"up to {_default(comparisons.compare_modes, 'tolerance'):g}"),
        ("A failure, in calibration", f"IoU below {calibration.FAILURE_IOU:g}"),
        ("Bins of a reliability diagram", str(calibration.N_BINS)),
    )
    said = tuple((title, " ".join(paragraphs(module))) for title, module in described_by)
    return (Facts("", constants), Facts("", said))


def _default(function: object, parameter: str) -> float:
    return inspect.signature(function).parameters[parameter].default


def _hypotheses(hypotheses: Hypotheses) -> tuple[Block, ...]:
    if not hypotheses.tests:
        return ("study.yaml states no hypotheses.",)
    heads = ("hypothesis", "claim", "says", "number", "read from", "prompts", "supported", "figure")
    return (
        "Stated in study.yaml before a run is looked at; the hash of that file is beside every table.",
        Table("", heads, tuple(map(_hypothesis, hypotheses.tests))),
        described(Hypothesis)["compare"],
        *paragraphs(verdicts)[1:],
        f"Data sets that count as general-domain: {names(hypotheses.general_domain)}.",
    )


def _hypothesis(test: Hypothesis) -> tuple[str, ...]:
    title = METRICS[test.measure].title if test.measure in METRICS else test.measure
    rows = [f"{test.domain} images"]
    rows += [f"data sets {names(test.datasets)}"] if test.datasets else []
    rows += [f"targets {names(test.targets)}"] if test.targets else []
    rows += [f"minus {test.against}"] if test.against else []
    rows += [f"up to {test.most_shots} training images"] if test.most_shots else []
    return (
        test.name,
        test.claim,
        test.says,
        f"{test.compare} of {title}",
        "; ".join(rows),
        names(test.prompts),
        f"{test.side} {test.threshold:g}",
        test.figure,
    )


def _fine_tuning(tuning: FineTuning) -> tuple[Block, ...]:
    recipe = Recipe(prompts=tuning.prompts, steps=tuning.steps)
    rows = _parameters(tuning, ("targets",))
    rows += _parameters(recipe, ("prompts", "steps"))
    targets = tuple((name, names(of_it)) for name, of_it in tuning.targets.items())
    return (
        *paragraphs(loop),
        "Each target is learnt by itself. "
        + ("Of these data sets only some targets are tuned:" if targets else ""),
        *([Facts("", targets)] if targets else []),
        Table("", ("parameter", "value", "meaning"), tuple(rows)),
    )


def _parameters(stated: object, without: Sequence[str], prefix: str = "") -> list[tuple[str, str, str]]:
    """Return every field of a dataclass with its value and what its docstring says; nested ones too."""
    means, rows = described(type(stated)), []
    for name in (field.name for field in dataclasses.fields(stated) if field.name not in without):
        value = getattr(stated, name)
        if dataclasses.is_dataclass(value):
            rows += _parameters(value, (), f"{prefix}{name}: ")
        else:
            rows.append((f"{prefix}{name}", _shown(value), means.get(name, "")))
    return rows


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return names(f"{key} {_shown(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return names(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else "all" if value in (None, ALL_SHOTS) else str(value)


def _seeds(study: Study, chosen: Profile) -> tuple[Block, ...]:
    return (
        *paragraphs(seeds),
        described(seeds.seed_for)["names"],
        Facts(
            "",
            (
                ("Base seed of study.yaml", str(study.seed)),
                (f"Base seed of the profile {chosen.name}", str(chosen.seed)),
                ("Seeds of fine-tuning", names(chosen.fine_tuning.seeds)),
            ),
        ),
    )


def _yaml(study: Study) -> Verbatim:
    text = study.path.read_text(encoding="utf-8")
    return Verbatim(f"{study.path.name}, SHA-256 {study.sha256}", text)

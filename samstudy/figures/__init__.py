"""Every figure of the study: a table (or a data set and a table) goes in, a matplotlib Figure comes out.

To add one: write a ``draw_*`` that takes a score table, register it in :data:`FIGURES`, and the contract tests
draw it from every kind of table.
"""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from samstudy.figures.attempt import save_or_say
from samstudy.figures.calibration import draw_calibration, shown_prompts
from samstudy.figures.calibres import draw_calibres
from samstudy.figures.captions import standard_caption
from samstudy.figures.clicks import draw_clicks
from samstudy.figures.common import DOUBLE_COLUMN_IN, SINGLE_COLUMN_IN, style
from samstudy.figures.controls import draw_controls
from samstudy.figures.distributions import draw_distributions
from samstudy.figures.domain import draw_domain, draw_domain_of
from samstudy.figures.everything import draw_everything
from samstudy.figures.failures import draw_failures
from samstudy.figures.few_shot import draw_few_shot
from samstudy.figures.image import draw_image
from samstudy.figures.importance import draw_importance, draw_importance_of
from samstudy.figures.jitter import draw_jitter
from samstudy.figures.matrix import draw_matrix
from samstudy.figures.needed import draw_images_needed
from samstudy.figures.output import save_figure
from samstudy.figures.overlays import draw_overlays, pick_objects
from samstudy.figures.overview import draw_overview
from samstudy.figures.panel import draw_overlay
from samstudy.figures.samples import draw_samples
from samstudy.figures.scores import draw_mask_choice, draw_scores
from samstudy.figures.sensitivity import draw_sensitivity
from samstudy.figures.sizes import draw_sizes, object_sizes
from samstudy.figures.skill import draw_skill
from samstudy.figures.transfer import draw_transfer
from samstudy.figures.tuning import draw_before_after
from samstudy.figures.vessels import draw_vessels
from samstudy.registry import Registry

FIGURES: Registry[Callable[..., Figure]] = Registry("figure")
"""The figures drawn from a score table alone."""

for _draw in (
    draw_matrix, draw_scores, draw_mask_choice, draw_skill, draw_before_after, draw_few_shot, draw_clicks, draw_jitter,
    draw_calibration, draw_calibres, draw_distributions, draw_everything, draw_images_needed, draw_controls,
):  # fmt: skip
    FIGURES.register(_draw.__name__.removeprefix("draw_"))(_draw)

__all__ = [
    "DOUBLE_COLUMN_IN",
    "FIGURES",
    "SINGLE_COLUMN_IN",
    "draw_before_after",
    "draw_calibration",
    "draw_calibres",
    "draw_clicks",
    "draw_controls",
    "draw_distributions",
    "draw_domain",
    "draw_domain_of",
    "draw_everything",
    "draw_failures",
    "draw_few_shot",
    "draw_image",
    "draw_images_needed",
    "draw_importance",
    "draw_importance_of",
    "draw_jitter",
    "draw_mask_choice",
    "draw_matrix",
    "draw_overlay",
    "draw_overlays",
    "draw_overview",
    "draw_samples",
    "draw_scores",
    "draw_sensitivity",
    "draw_sizes",
    "draw_skill",
    "draw_transfer",
    "draw_vessels",
    "object_sizes",
    "pick_objects",
    "save_figure",
    "save_or_say",
    "shown_prompts",
    "standard_caption",
    "style",
]

"""Prompts simulated from a reference mask: one registered mode per way to prompt, ``(mask, rng) -> Prompt``.

Coordinates are pixels of the original image, (x, y) = (column, row), origin at the centre of the top-left
pixel. A prompt made this way knows the reference; captions must say so. The same mask and the same seed
give the same prompt, whatever was asked before.

:mod:`~samstudy.prompts.catalogue` lists every mode with its rule and source; :mod:`~samstudy.prompts.points`
and :mod:`~samstudy.prompts.boxes` hold the makers, :mod:`~samstudy.prompts.turns` the rules of modes that go on
after the model's first answer.
"""

from samstudy.prompts.boxes import box, part_boxes, tight_box_xyxy
from samstudy.prompts.catalogue import markdown_table
from samstudy.prompts.mode import PROMPTS, PromptMode, add_mode, headline_choice, make_prompt
from samstudy.prompts.points import center_xy, part_points, points
from samstudy.prompts.turns import Dialogue, Turn, converse

__all__ = [
    "PROMPTS",
    "Dialogue",
    "PromptMode",
    "Turn",
    "add_mode",
    "box",
    "center_xy",
    "converse",
    "headline_choice",
    "make_prompt",
    "markdown_table",
    "part_boxes",
    "part_points",
    "points",
    "tight_box_xyxy",
]

"""Every prompt mode of the study, in the order of tables and figures: points, boxes, dialogues, everything.

Sources: Mazurowski et al. 2023, *Medical Image Analysis* (modes 1-5, iterative prompts); Huang et al. 2024,
*Medical Image Analysis* (strategies S1-S6); Cheng et al. 2023; He et al. 2023; MedSAM (Ma et al. 2023/24);
SAM-Med2D (Cheng et al. 2023); SAM (Kirillov et al. 2023). They are followed in kind; where they draw, the
sampling rules written here are this study's own.
"""

from __future__ import annotations

from samstudy.prompts.boxes import (
    box,
    enlarge,
    enlarge_px,
    jitter,
    largest_box,
    part_boxes,
    shift,
    whole_image,
)
from samstudy.prompts.mode import PROMPTS, PromptMode, add_mode
from samstudy.prompts.points import grid, part_points, points
from samstudy.prompts.turns import feed_back, next_click
from samstudy.types import AUTOMATIC

MOST_CLICKS = 9
FEWER_POINTS_PER_SIDE = 8

add_mode(
    "point_center",
    points(1),
    title="centre point",
    headline="predicted_iou",
    rule="The pixel of the object farthest from its border.",
    source="Huang 2024 S2; He 2023; SAM-Med2D, 1 point; Mazurowski 2023, first of the iterative prompts",
)
add_mode(
    "point_largest",
    part_points(1),
    title="point in largest part",
    headline="predicted_iou",
    rule="The pixel farthest from the border within the part of largest area; `point_center` may lie in another part.",
    source="Mazurowski 2023 mode 1",
)
add_mode(
    "points_parts",
    part_points(3),
    title="point per part",
    rule="One prompt with a point in each of the 3 largest parts, each as in `point_largest`.",
    source="Mazurowski 2023 mode 2",
)
add_mode(
    "points_p3",
    points(3),
    title="3 points",
    rule="`point_center` and 2 random points of the object.",
    source="SAM-Med2D, 3 points; Cheng 2023 varies the number",
)
add_mode(
    "points_p5",
    points(5),
    title="5 points",
    rule="`point_center` and 4 random points of the object.",
    source="Huang 2024 S3; SAM-Med2D, 5 points; Cheng 2023 varies the number",
)
add_mode(
    "points_p5n5",
    points(5, 5),
    title="5 + 5 points",
    rule="`points_p5` and 5 random points of the background, within the box grown by half its extent on each side.",
    source="Huang 2024 S4",
)
add_mode(
    "box",
    box(),
    title="box",
    rule="The tight bounding box of the object.",
    source="Huang 2024 S5; Mazurowski 2023 mode 5; Cheng 2023; He 2023; SAM-Med2D",
)
add_mode(
    "box_jitter5",
    box(jitter(0.05)),
    title="box, 5 % jitter",
    rule="`box` with each side moved by a uniform draw of up to 5 % of the extent, in or out.",
    source="Cheng 2023 (jittered boxes)",
)
add_mode(
    "box_jitter10",
    box(jitter(0.1)),
    title="box, 10 % jitter",
    rule="`box` with each side moved by a uniform draw of up to 10 % of the extent, in or out.",
    source="Cheng 2023 (jittered boxes)",
)
add_mode(
    "box_jitter20",
    box(jitter(0.2)),
    title="box, 20 % jitter",
    rule="`box` with each side moved by a uniform draw of up to 20 % of the extent, in or out.",
    source="Cheng 2023 (jittered boxes)",
)
add_mode(
    "box_jitter20px",
    box(enlarge_px(20)),
    title="box, 0–20 px larger",
    rule="`box` with each side moved outwards by 0 to 20 pixels of an image whose longer side is 1024.",
    source="MedSAM",
)
add_mode(
    "box_shift10",
    box(shift(0.1)),
    title="box, shifted 10 %",
    rule="`box` moved as a whole by 10 % of its extent in a random direction.",
    source="this study (jitter that keeps the size)",
)
add_mode(
    "box_shift20",
    box(shift(0.2)),
    title="box, shifted 20 %",
    rule="`box` moved as a whole by 20 % of its extent in a random direction.",
    source="this study (jitter that keeps the size)",
)
add_mode(
    "box_enlarge10",
    box(enlarge(0.1)),
    title="box, 10 % larger",
    rule="`box` with each side moved outwards by 10 % of the extent.",
    source="this study (jitter that keeps the centre)",
)
add_mode(
    "box_enlarge20",
    box(enlarge(0.2)),
    title="box, 20 % larger",
    rule="`box` with each side moved outwards by 20 % of the extent.",
    source="this study (jitter that keeps the centre)",
)
add_mode(
    "box_point",
    box(center_point=True),
    title="box + point",
    rule="`box` and `point_center`.",
    source="Huang 2024 S6",
)
add_mode(
    "box_largest",
    largest_box,
    title="box of largest part",
    rule="The tight box of the part of largest area.",
    source="Mazurowski 2023 mode 3",
)
add_mode(
    "boxes_parts",
    part_boxes(3),
    title="box per part",
    rule="The tight box of each of the 3 largest parts; each is predicted alone, the masks are united.",
    source="Mazurowski 2023 mode 4",
)
add_mode(
    "mask",
    box(),
    title="box, then own mask",
    follow=feed_back,
    n_turns=2,
    rule="`box`; then the same box with the single mask the model answered fed back once as SAM's mask input.",
    source="SAM's mask prompt, as the examples of segment_anything use it",
)
_first_click = points(1)
for _n_clicks in range(1, MOST_CLICKS + 1):
    add_mode(
        f"clicks_{_n_clicks}",
        _first_click,
        title=f"{_n_clicks} click{'s' if _n_clicks > 1 else ''}",
        headline="predicted_iou" if _n_clicks == 1 else "single",
        follow=next_click,
        n_turns=_n_clicks,
        series="clicks",
        rule="`point_center`."
        if _n_clicks == 1
        else f"`clicks_{_n_clicks - 1}` and a click at the pixel farthest from the border of what that missed "
        "(positive) or added (negative), its mask fed back.",
        source="Mazurowski 2023, iterative prompts (they feed no mask back); SAM-Med2D, iterative",
    )
add_mode(
    "everything",
    grid(32),
    title="everything",
    headline="predicted_iou",
    choices=("predicted_iou", "oracle"),
    rule="No prompt: the proposals of SAM's automatic mask generator from a grid of 32 x 32 points.",
    source="Huang 2024 S1; Cheng 2023 and He 2023, automatic",
)
add_mode(
    f"everything_{FEWER_POINTS_PER_SIDE}",
    grid(FEWER_POINTS_PER_SIDE),
    title=f"everything, {FEWER_POINTS_PER_SIDE} points a side",
    headline="predicted_iou",
    choices=("predicted_iou", "oracle"),
    rule=f"`everything` from a grid of {FEWER_POINTS_PER_SIDE} x {FEWER_POINTS_PER_SIDE} points.",
    source="as `everything`, for a laptop",
)


add_mode(
    AUTOMATIC,
    whole_image,
    title="automatic",
    per_target=True,
    rule="No prompt: the whole image as the box, once for all instances of a target; a model tuned for it adds an "
    "embedding it has learnt.",
    source="this study; a learnt prompt in place of a user's: AutoSAM (Shaharabany 2023), SAMed (Zhang & Liu 2023)",
)


def markdown_table() -> str:
    """Table of every mode for the documentation: name, title, rule, headline mask choice, source."""
    lines = [
        "| mode | in figures | how it is made | headline choice | studies that use it |",
        "|---|---|---|---|---|",
    ]
    lines += [_markdown_row(PROMPTS[name]) for name in PROMPTS]
    return "\n".join(lines)


def _markdown_row(mode: PromptMode) -> str:
    return f"| `{mode.name}` | {mode.title} | {mode.rule} | `{mode.headline}` | {mode.source} |"

"""Images as a U-Net sees them: on a square canvas, normalised; and as it learns from them: turned, zoomed, cropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torch.nn import functional as F

from samstudy.types import Sample


@dataclass(frozen=True)
class Canvas:
    """A picture on a square canvas, in its middle.

    Attributes
    ----------
    pixels : torch.Tensor, float32, C x side x side
        0 outside the picture.
    content_hw : tuple of int
        Size of the picture on it, in pixels of the canvas.
    """

    pixels: Tensor
    content_hw: tuple[int, int]


def normalised(image: np.ndarray, side: int) -> Canvas:
    """Put an image on a canvas: longer side ``side``, aspect kept, each channel of mean 0 and deviation 1.

    Parameters
    ----------
    image : numpy.ndarray, uint8, H x W x 3
        RGB. A channel of one value becomes 0.
    side : int
        Of the canvas.
    """
    resized = torch.from_numpy(ResizeLongestSide(side).apply_image(image).copy()).permute(2, 0, 1).float()
    centred = resized - resized.mean((1, 2), keepdim=True)
    deviation = centred.square().mean((1, 2), keepdim=True).sqrt()
    return _centred(centred / deviation.clamp(min=1), side)


def regions(masks: Sequence[np.ndarray], side: int) -> Canvas:
    """Put masks (bool H x W each) on a canvas like that of their image, as the covered fraction of each pixel."""
    full = torch.from_numpy(np.stack(masks).astype(np.float32))[None]
    input_hw = ResizeLongestSide.get_preprocess_shape(*masks[0].shape, side)
    shrunk = F.interpolate(full, input_hw, mode="bilinear", align_corners=False, antialias=True)[0]
    return _centred(shrunk.clamp(0, 1), side)


def _centred(picture: Tensor, side: int) -> Canvas:
    height, width = picture.shape[1:]
    top, left = _offsets((height, width), side)
    padded = F.pad(picture, (left, side - width - left, top, side - height - top))
    return Canvas(padded, (height, width))


def _offsets(content_hw: tuple[int, int], side: int) -> tuple[int, int]:
    return (side - content_hw[0]) // 2, (side - content_hw[1]) // 2


def off_canvas(values: Tensor, content_hw: tuple[int, int], size_hw: tuple[int, int]) -> Tensor:
    """Bring values on a canvas (1 x C x side x side) back to an image: 1 x C x H x W, bilinear."""
    top, left = _offsets(content_hw, values.shape[-1])
    cut = values[..., top : top + content_hw[0], left : left + content_hw[1]]
    return F.interpolate(cut, size_hw, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Example:
    """One image to learn from: its picture, its mask and what counts (``valid``), on canvases of one side."""

    picture: Canvas
    target: Tensor
    counted: Tensor


def example(sample: Sample, mask: np.ndarray, side: int) -> Example:
    """Put a sample and the mask to learn (bool H x W) on canvases."""
    everywhere = np.ones(sample.size_hw, bool) if sample.valid is None else sample.valid
    both = regions([mask, everywhere], side).pixels
    return Example(normalised(sample.image, side), both[:1], (both[1:] > 0.5).float())


def augmented(
    one: Example, crop: int, rotation_deg: float, zoom: float, intensity: float, rng: np.random.Generator
) -> Tensor:
    """Draw a view of an example: mirrored or not in either direction, turned, zoomed, moved, brighter or darker.

    Parameters
    ----------
    one : Example
        On a canvas of ``side`` pixels.
    crop : int
        Side of the view in pixels of the canvas; the canvas's own shows all of it, moved by up to a tenth.
    rotation_deg, zoom, intensity : float
        Largest turn to either side; largest factor of size, or of its inverse, less 1; largest change of contrast
        (factor less 1) and of brightness (in standard deviations).
    rng : numpy.random.Generator
        Of all draws.

    Returns
    -------
    torch.Tensor, float32, 1 x (C + 2) x crop x crop
        Picture, target and what counts; 0 outside the canvas.
    """
    side = one.target.shape[-1]
    everything = torch.cat([one.picture.pixels, one.target, one.counted])
    angle = np.deg2rad(rng.uniform(-rotation_deg, rotation_deg))
    scale = crop / side * (1 + zoom) ** rng.uniform(-1, 1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    content = np.array(one.picture.content_hw[::-1]) / side
    reach = np.maximum(content - crop / side, 0.1)
    theta = np.column_stack([scale * turn * rng.choice([-1, 1], 2), rng.uniform(-reach, reach)])
    grid = F.affine_grid(
        torch.as_tensor(theta[None], dtype=torch.float32, device=everything.device),
        [1, len(everything), crop, crop],
        align_corners=False,
    )
    view = F.grid_sample(everything[None], grid, align_corners=False)
    contrast, brightness = 1 + rng.uniform(-intensity, intensity), rng.uniform(-intensity, intensity)
    # what lies outside the image stays 0, as on every canvas
    picture = view[:, :-2] * contrast + brightness * (view[:, -1:] > 0)
    return torch.cat([picture, view[:, -2:-1], (view[:, -1:] > 0.5).float()], dim=1)

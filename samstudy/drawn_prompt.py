"""A prompt encoder for SAM that draws the prompt as well as listing it.

Box coverage, the ellipse inscribed in the box and point heat maps at embedding resolution go through two
convolutions and are added to SAM's dense prompt embedding. Corner and point tokens alone are learnt very slowly
from scratch.
"""

from __future__ import annotations

import torch
from segment_anything.modeling import PromptEncoder
from torch import Tensor, nn

EMBEDDING_STRIDE = 8


class DrawnPromptEncoder(PromptEncoder):
    """SAM's prompt encoder plus the prompt drawn at embedding resolution.

    ``forward`` keeps SAM's contract: sparse B x N x C and dense B x C x h x w embeddings.
    """

    N_DRAWN = 9

    def __init__(self, embed_dim: int, image_size: int, mask_in_chans: int = 16) -> None:
        side = image_size // EMBEDDING_STRIDE
        super().__init__(embed_dim, (side, side), (image_size, image_size), mask_in_chans)
        self.drawn = nn.Sequential(
            nn.Conv2d(self.N_DRAWN, embed_dim // 2, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(embed_dim // 2, embed_dim, 3, padding=1),
        )

    def forward(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        sparse, dense = super().forward(points, boxes, masks)
        return sparse, dense + self.drawn(self.draw(points, boxes, len(sparse)))

    @torch.no_grad()
    def draw(self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, batch: int) -> Tensor:
        """Draw prompts as maps.

        Parameters
        ----------
        points : tuple of Tensor or None
            (x, y) in pixels of the model's input, B x N x 2, and labels B x N (1, 0; -1 is padding).
        boxes : Tensor or None
            B x 4 (or B x 1 x 4), x0 y0 x1 y1 in the same pixels; x1 and y1 belong to the object.
        batch : int
            B.

        Returns
        -------
        Tensor
            Float B x 9 x h x w: box coverage in [0, 1], signed distance to the box edge in cells / 4
            clipped to [-1, 1], level of the inscribed ellipse (1 centre, 0 on it, clipped at -1), box
            present, log2 of its relative side / 4, narrow positive and negative point heat maps, wide ones.
            Channels of an absent prompt are 0.
        """
        height, width = self.image_embedding_size
        maps = torch.zeros(batch, self.N_DRAWN, height, width, device=self._get_device())
        x = torch.arange(width, device=maps.device) + 0.5
        y = torch.arange(height, device=maps.device) + 0.5
        if boxes is not None:
            maps[:, :5] = _draw_boxes(boxes.reshape(-1, 4).float() / EMBEDDING_STRIDE, x, y)
        if points is not None and points[0].shape[1]:
            centres = (points[0].float() + 0.5) / EMBEDDING_STRIDE
            maps[:, 5:7] = _draw_points(centres, points[1], x, y, sigma=0.8)
            maps[:, 7:9] = _draw_points(centres, points[1], x, y, sigma=width / 10)
        return maps


def _draw_boxes(boxes: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Five box channels, B x 5 x h x w, of boxes and cell centres in cells."""
    x0, y0, x1, y1 = boxes[:, :, None].unbind(1)
    last = 1 / EMBEDDING_STRIDE
    x1, y1 = torch.maximum(x1, x0) + last, torch.maximum(y1, y0) + last
    inside_x, inside_y = torch.minimum(x - x0, x1 - x), torch.minimum(y - y0, y1 - y)
    cover_x = (torch.minimum(x + 0.5, x1) - torch.maximum(x - 0.5, x0)).clamp(0, 1)
    cover_y = (torch.minimum(y + 0.5, y1) - torch.maximum(y - 0.5, y0)).clamp(0, 1)
    distance = torch.minimum(inside_x[:, None, :], inside_y[:, :, None])
    u = (2 * x - x0 - x1) / (x1 - x0)
    v = (2 * y - y0 - y1) / (y1 - y0)
    level = 1 - torch.sqrt(u[:, None, :] ** 2 + v[:, :, None] ** 2)
    side = torch.log2(torch.sqrt((x1 - x0) * (y1 - y0)) / len(x)) / 4
    constant = torch.ones_like(level)
    return torch.stack(
        [
            cover_x[:, None, :] * cover_y[:, :, None],
            (distance / 4).clamp(-1, 1),
            level.clamp(-1, 1),
            constant,
            constant * side[:, :, None],
        ],
        dim=1,
    )


def _draw_points(centres: Tensor, labels: Tensor, x: Tensor, y: Tensor, sigma: float) -> Tensor:
    """Positive and negative heat maps, B x 2 x h x w; the nearest point of a label sets the value."""
    gauss_x = torch.exp(-((x - centres[..., 0:1]) ** 2) / (2 * sigma**2))
    gauss_y = torch.exp(-((y - centres[..., 1:2]) ** 2) / (2 * sigma**2))
    heat = gauss_y[..., :, None] * gauss_x[..., None, :]
    shown = torch.stack([labels == 1, labels == 0], dim=1)[..., None, None]
    return (heat[:, None] * shown).amax(dim=2)

"""``vit_t``: a small Segment Anything model, SAM's prompt and mask decoding around a hybrid image encoder.

Everything outside the image encoder is SAM (Kirillov et al., ICCV 2023) at a smaller width, built from the
official modelling classes, so that ``SamPredictor`` runs it unchanged. Two things differ.

* The image encoder is a convolutional stem (strides 2, 4, 8), transformer blocks with global attention at
  stride 16, and a merge back to an embedding of stride 8. Low-resolution masks are then half the image side.
* The prompt encoder draws the prompt as well (:mod:`samstudy.drawn_prompt`).

Nothing in the weights depends on the image side, which is part of the configuration.

Public names: :class:`VitTConfig`, :func:`build_vit_t`, :func:`set_image_size`, :func:`load_vit_t_state`,
:func:`load_vit_t`, :func:`save_vit_t`, ``WEIGHTS_FILE``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from segment_anything.modeling import MaskDecoder, Sam, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from samstudy.drawn_prompt import EMBEDDING_STRIDE, DrawnPromptEncoder
from samstudy.errors import ModelError
from samstudy.paths import PACKAGE_DIR, written_whole

WEIGHTS_FILE = PACKAGE_DIR / "weights" / "vit_t.safetensors"
FORMAT_VERSION = "1"
SIZE_MULTIPLE = 16


@dataclass(frozen=True)
class VitTConfig:
    """Shape of a ``vit_t``.

    Attributes
    ----------
    image_size : int
        Side of the square input in pixels, a multiple of 16.
    stem_dims : tuple of int
        Channels at strides 2, 4 and 8; multiples of 8.
    vit_dim, vit_depth, vit_heads : int
        Width, number of blocks and heads of the transformer at stride 16.
    decoder_dim, decoder_depth, decoder_heads : int
        Width of the embedding and shape of SAM's two-way transformer; the width is a multiple of 32.
    """

    image_size: int = 384
    stem_dims: tuple[int, int, int] = (24, 48, 96)
    vit_dim: int = 192
    vit_depth: int = 6
    vit_heads: int = 6
    decoder_dim: int = 128
    decoder_depth: int = 2
    decoder_heads: int = 4

    def to_json(self) -> str:
        """Return the configuration as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_mapping(cls, values: Mapping) -> VitTConfig:
        """Build a configuration from a mapping; unknown keys raise :class:`ModelError`."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(f"vit_t configuration has unknown keys {unknown}; known: {sorted(known)}.")
        values = dict(values)
        if "stem_dims" in values:
            values["stem_dims"] = tuple(values["stem_dims"])
        return cls(**values)


class ConvNorm(nn.Sequential):
    """3 x 3 convolution, group normalisation, GELU."""

    def __init__(self, dim_in: int, dim_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(dim_in, dim_out, 3, stride, padding=1, bias=False), nn.GroupNorm(8, dim_out), nn.GELU()
        )


class ResidualConv(nn.Module):
    """Two 3 x 3 convolutions around a skip connection."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvNorm(dim, dim), nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.GroupNorm(8, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.body(x))


class Block(nn.Module):
    """Pre-norm transformer block with global attention on tokens B x N x C."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        batch, n_tokens, dim = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, n_tokens, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(x.shape)
        x = x + self.proj(mixed)
        return x + self.mlp(self.norm2(x))


class HybridEncoder(nn.Module):
    """Image encoder: B x 3 x S x S, normalised -> B x decoder_dim x S/8 x S/8.

    Positions come from depthwise convolutions before every second block (conditional positional encoding,
    Chu et al. 2021), which hold at any image side.
    """

    def __init__(self, config: VitTConfig) -> None:
        super().__init__()
        self.img_size = config.image_size
        d2, d4, d8 = config.stem_dims
        width, out = config.vit_dim, config.decoder_dim
        self.stem4 = nn.Sequential(ConvNorm(3, d2, 2), ConvNorm(d2, d4, 2), ResidualConv(d4))
        self.stem8 = nn.Sequential(ConvNorm(d4, d8, 2), ResidualConv(d8), ResidualConv(d8))
        self.stem16 = ConvNorm(d8, width, 2)
        self.positions = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, groups=width) for _ in range(0, config.vit_depth, 2)
        )
        self.blocks = nn.ModuleList(Block(width, config.vit_heads) for _ in range(config.vit_depth))
        self.norm = nn.LayerNorm(width)
        self.from4 = nn.Conv2d(d4, out, 3, 2, padding=1)
        self.from8 = nn.Conv2d(d8, out, 1)
        self.from16 = nn.Conv2d(width, out, 1)
        self.merge = nn.Sequential(ResidualConv(out), nn.Conv2d(out, out, 1))

    def forward(self, x: Tensor) -> Tensor:
        x4 = self.stem4(x)
        x8 = self.stem8(x4)
        x16 = self.stem16(x8)
        grid = x16.shape
        tokens = x16.flatten(2).transpose(1, 2)
        for i, block in enumerate(self.blocks):
            if i % 2 == 0:
                spatial = tokens.transpose(1, 2).reshape(grid)
                tokens = tokens + self.positions[i // 2](spatial).flatten(2).transpose(1, 2)
            tokens = block(tokens)
        x16 = self.from16(self.norm(tokens).transpose(1, 2).reshape(grid))
        x16 = F.interpolate(x16, size=x8.shape[-2:], mode="bilinear", align_corners=False)
        return self.merge(x16 + self.from8(x8) + self.from4(x4))


def build_vit_t(config: VitTConfig | Mapping | None = None) -> Sam:
    """Build an untrained ``vit_t`` in evaluation mode.

    Parameters
    ----------
    config : VitTConfig, mapping or None
        None gives the defaults.

    Returns
    -------
    segment_anything.modeling.Sam
        Its random initial weights come from torch's generator.

    Raises
    ------
    ModelError
        If a key is unknown or the image side is not a positive multiple of 16.
    """
    if not isinstance(config, VitTConfig):
        config = VitTConfig.from_mapping(config or {})
    dim = config.decoder_dim
    decoder = MaskDecoder(
        transformer_dim=dim,
        transformer=TwoWayTransformer(
            depth=config.decoder_depth, embedding_dim=dim, num_heads=config.decoder_heads, mlp_dim=4 * dim
        ),
        iou_head_hidden_dim=dim,
    )
    sam = Sam(HybridEncoder(config), DrawnPromptEncoder(dim, config.image_size), decoder)
    set_image_size(sam, config.image_size)
    return sam.eval()


def set_image_size(sam: Sam, image_size: int) -> None:
    """Change the side in pixels of the square input of a ``vit_t``, in place; no weight depends on it.

    Raises
    ------
    ModelError
        If ``image_size`` is not a positive multiple of 16.
    """
    if image_size < SIZE_MULTIPLE or image_size % SIZE_MULTIPLE:
        raise ModelError(f"image size {image_size} of vit_t must be a positive multiple of {SIZE_MULTIPLE}.")
    side = image_size // EMBEDDING_STRIDE
    sam.image_encoder.img_size = image_size
    sam.prompt_encoder.image_embedding_size = (side, side)
    sam.prompt_encoder.input_image_size = (image_size, image_size)
    sam.prompt_encoder.mask_input_size = (4 * side, 4 * side)


def save_vit_t(
    state: Mapping[str, Tensor], config: VitTConfig, path: str | Path, metadata: Mapping[str, object]
) -> Path:
    """Write half-precision weights with their configuration and history in the header.

    Parameters
    ----------
    state : mapping of str to Tensor
        State of a model of :func:`build_vit_t`; stored as float16.
    config : VitTConfig
        Its configuration; ``image_size`` is the side to use it at.
    path : str or pathlib.Path
        Ends in ``.safetensors``; written whole or not at all.
    metadata : mapping
        Training steps, seed, recipe hash, ...; values are stored as text.
    """
    header = {key: str(value) for key, value in metadata.items()}
    header |= {"format": "samstudy.vit_t", "format_version": FORMAT_VERSION, "config": config.to_json()}
    half = {key: value.detach().to("cpu", torch.float16).contiguous() for key, value in state.items()}
    with written_whole(path) as temporary:
        save_file(half, temporary, metadata=header)
    return Path(path)


def load_vit_t_state(
    path: str | Path = WEIGHTS_FILE,
) -> tuple[VitTConfig, dict[str, Tensor], dict[str, str]]:
    """Read a file of :func:`save_vit_t`.

    Returns
    -------
    config : VitTConfig
    state : dict of str to Tensor
        Float32, on the CPU.
    metadata : dict of str to str
        The whole header.

    Raises
    ------
    ModelError
        If the file is missing, not safetensors, cut short, or holds another kind of model.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"no vit_t weights at {path}. Reinstall the package or run `samstudy pretrain`.")
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != "samstudy.vit_t" or metadata.get("format_version") != FORMAT_VERSION:
                found = f"{metadata.get('format', 'no format')} {metadata.get('format_version', '')}".strip()
                raise ModelError(f"{path} is not a vit_t file of version {FORMAT_VERSION} (found: {found}).")
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"cannot read the weights {path}: {error}. Fetch or export the file again."
        ) from error
    return VitTConfig.from_mapping(json.loads(metadata["config"])), state, metadata


def load_vit_t(path: str | Path = WEIGHTS_FILE, device: str | torch.device = "cpu") -> Sam:
    """Build the model a file of :func:`save_vit_t` describes and load its weights, in evaluation mode.

    Raises
    ------
    ModelError
        As :func:`load_vit_t_state`, or if tensors are missing or of another shape.
    """
    config, state, _ = load_vit_t_state(path)
    sam = build_vit_t(config)
    try:
        sam.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"the weights {path} do not fit their own configuration: {error}") from error
    return sam.to(device)

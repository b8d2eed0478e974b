"""The recipe of ``vit_t``, read from top to bottom: scenes, prompts, one loop, weights.

Each step (:mod:`samstudy.pretrain.step`) takes fresh scenes, whose numbers follow from the step. Training goes
through stages of growing image side and resumes from the last checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from samstudy.errors import StudyError
from samstudy.paths import cache_dir, written_whole
from samstudy.pretrain.curve import Curve
from samstudy.pretrain.prompting import SceneDataset
from samstudy.pretrain.step import step_loss
from samstudy.seeds import seed_for
from samstudy.vit_t import VitTConfig, build_vit_t, load_vit_t_state, save_vit_t, set_image_size

DEFAULT_STAGES = "128x16:3600,256x8:1800,384x8:400"


@dataclass(frozen=True)
class Stage:
    """``steps`` steps of ``batch_size`` scenes at ``image_size`` pixels."""

    image_size: int
    batch_size: int
    steps: int


@dataclass(frozen=True)
class Recipe:
    """Numbers of the optimisation; none of them is tuned."""

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 150
    gradient_norm: float = 1.0
    ema_decay: float = 0.998
    n_targets: int = 2
    correction_share: float = 0.5
    balanced_until: float = 0.3
    unbalanced_from: float = 0.7


def parse_stages(text: str) -> list[Stage]:
    """Read ``"128x16:3600,256x8:1800"``: side x batch : steps of each stage.

    Raises
    ------
    StudyError
        If the text cannot be read so.
    """
    stages = []
    for part in text.split(","):
        try:
            shape, steps = part.split(":")
            size, batch = shape.split("x")
            stage = Stage(int(size), int(batch), int(steps))
        except ValueError as error:
            raise StudyError(
                f"stage {part!r} is not SIZExBATCH:STEPS; write for example {DEFAULT_STAGES!r}."
            ) from error
        if min(stage.image_size, stage.batch_size, stage.steps) < 1 or stage.image_size % 16:
            raise StudyError(f"stage {part!r} needs positive numbers and a side that is a multiple of 16.")
        stages.append(stage)
    return stages


def learning_rate_at(step: int, total: int, recipe: Recipe) -> float:
    """Linear warm-up, then cosine decay to 1 % of the peak."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, total - recipe.warmup_steps)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def balance_at(step: int, total: int, recipe: Recipe) -> float:
    """Class balance of the cross-entropy: 1 at first, 0 at last, linear between; 0 all along from trained weights."""
    start, end = recipe.balanced_until * total, recipe.unbalanced_from * total
    return min(1.0, max(0.0, (end - step) / max(end - start, 1e-9)))


def batches(
    stages: Sequence[Stage], start: int, seed: int, workers: int, recipe: Recipe
) -> Iterator[tuple[Stage, dict[str, Tensor]]]:
    """Yield every batch from step ``start`` on; scene numbers follow from the step."""
    first_step = first_scene = 0
    for stage in stages:
        skipped = min(max(start - first_step, 0), stage.steps)
        scene0 = first_scene + skipped * stage.batch_size
        first_step += stage.steps
        first_scene += stage.steps * stage.batch_size
        if scene0 < first_scene:
            scenes = SceneDataset(seed, scene0, first_scene, stage.image_size, recipe.n_targets)
            loader = DataLoader(
                scenes, stage.batch_size, num_workers=workers, pin_memory=torch.cuda.is_available()
            )
            for batch in loader:
                yield stage, batch


def recipe_hash() -> str:
    """First 12 digits of the SHA-256 of the files of this package and of the model."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    model = [folder.parent / "vit_t.py", folder.parent / "drawn_prompt.py"]
    for path in sorted([*folder.glob("*.py"), *model]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def pretrain(
    output_dir: str | Path,
    *,
    stages: Sequence[Stage] | str = DEFAULT_STAGES,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 1,
    resume: bool = True,
    initial: str | Path | None = None,
    checkpoint_every: int = 100,
    config: VitTConfig | None = None,
    recipe: Recipe | None = None,
) -> Path:
    """Train ``vit_t`` on drawn scenes, from scratch or from a file of weights.

    Parameters
    ----------
    output_dir : str or pathlib.Path
        Gets ``checkpoint.pt`` (every ``checkpoint_every`` steps) and ``curve.csv``.
    stages : sequence of Stage or str
        See :func:`parse_stages`. A resumed run may lengthen or shorten them.
    seed : int
        Of the weights, the scenes and the prompts.
    device : {"auto", "cpu", "cuda"}
    precision : {"auto", "float32", "bfloat16"}
        ``auto``: bfloat16 autocast on CUDA, else float32.
    workers : int
        Processes that draw scenes; the scenes do not depend on it.
    resume : bool
        Go on from ``checkpoint.pt`` where there is one.
    initial : str, pathlib.Path or None
        A file of :func:`samstudy.vit_t.save_vit_t` to start from, whose configuration is used; the
        cross-entropy is then unbalanced throughout.

    Returns
    -------
    pathlib.Path
        The last checkpoint, for :func:`export_weights`.

    Raises
    ------
    StudyError
        If the stages cannot be read or the checkpoint there belongs to another seed or architecture.
    """
    stages = parse_stages(stages) if isinstance(stages, str) else list(stages)
    config, recipe = config or VitTConfig(), recipe or Recipe()
    if initial is not None:
        config, weights, _ = load_vit_t_state(initial)
        recipe = replace(recipe, balanced_until=0.0, unbalanced_from=0.0)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    half = precision == "bfloat16" or (precision == "auto" and device == "cuda")
    output_dir = Path(output_dir)
    checkpoint = output_dir / "checkpoint.pt"

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, "vit_t"))
        sam = build_vit_t(config)
    if initial is not None:
        sam.load_state_dict(weights)
    sam.to(device, memory_format=torch.channels_last).train()
    ema = {name: value.clone() for name, value in sam.state_dict().items()}
    optimizer = torch.optim.AdamW(_parameter_groups(sam, recipe), lr=recipe.learning_rate, betas=(0.9, 0.98))
    start = 0
    if resume and checkpoint.is_file():
        start = _restore(checkpoint, sam, ema, optimizer, seed, config)

    total = sum(stage.steps for stage in stages)
    made_by = {"recipe": recipe_hash(), "initial": Path(initial).name if initial else "random"}
    curve = Curve(output_dir / "curve.csv", start)
    progress = tqdm(batches(stages, start, seed, workers, recipe), initial=start, total=total, unit="step")
    for step, (stage, batch) in enumerate(progress, start=start):
        set_image_size(sam, stage.image_size)
        batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        rate = learning_rate_at(step, total, recipe)
        for group in optimizer.param_groups:
            group["lr"] = rate
        balance = balance_at(step, total, recipe)
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss, logged = step_loss(
                sam, batch, seed_for(seed, "step", step), balance, recipe.correction_share
            )
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(sam.parameters(), recipe.gradient_norm)
        if torch.isfinite(norm):
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        decay = min(recipe.ema_decay, (1 + step) / (10 + step))
        for name, value in sam.state_dict().items():
            ema[name].lerp_(value, 1 - decay)
        line = curve.add(step, stage.image_size, loss.item(), logged, rate, norm.item())
        if line:
            progress.set_postfix_str(line)
        if (step + 1) % checkpoint_every == 0 or step + 1 == total:
            _save(checkpoint, sam, ema, optimizer, step + 1, seed, config, stages, made_by)
    return checkpoint


def _parameter_groups(sam: Sam, recipe: Recipe) -> list[dict]:
    """Weight decay on matrices and kernels only."""
    matrices = [p for p in sam.parameters() if p.ndim > 1]
    vectors = [p for p in sam.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _save(path: Path, sam: Sam, ema: dict, optimizer, step: int, seed: int, config, stages, made_by) -> None:
    record = {
        "model": sam.state_dict(),
        "ema": ema,
        "optimizer": optimizer.state_dict(),
        "step": step,
        "seed": seed,
        "config": config.to_json(),
        "stages": [[s.image_size, s.batch_size, s.steps] for s in stages],
        **made_by,
    }
    with written_whole(path) as temporary:
        torch.save(record, temporary)


def _restore(path: Path, sam: Sam, ema: dict, optimizer, seed: int, config: VitTConfig) -> int:
    record = torch.load(path, map_location="cpu", weights_only=True)
    if record["seed"] != seed or record["config"] != config.to_json():
        raise StudyError(
            f"{path} was made with seed {record['seed']} and {record['config']}, not with seed {seed} and "
            f"{config.to_json()}. Choose another output folder or start afresh without resuming."
        )
    sam.load_state_dict(record["model"])
    for name, value in record["ema"].items():
        ema[name].copy_(value)
    optimizer.load_state_dict(record["optimizer"])
    return record["step"]


def export_weights(checkpoint: str | Path, path: str | Path) -> Path:
    """Write the averaged weights of a checkpoint as a package file (see :func:`samstudy.vit_t.save_vit_t`).

    Raises
    ------
    StudyError
        If there is no such checkpoint.
    """
    if not Path(checkpoint).is_file():
        raise StudyError(f"no checkpoint at {checkpoint}; run `samstudy pretrain` first.")
    record = torch.load(checkpoint, map_location="cpu", weights_only=True)
    reached, size = 0, record["stages"][0][0]
    for side, _, steps in record["stages"]:
        if record["step"] > reached:
            size = side
        reached += steps
    config = VitTConfig.from_mapping({**json.loads(record["config"]), "image_size": size})
    stages = ",".join(f"{side}x{batch}:{steps}" for side, batch, steps in record["stages"])
    metadata = {"steps": record["step"], "stages": stages, "seed": record["seed"]}
    metadata |= {name: record.get(name, "unknown") for name in ("recipe", "initial")}
    return save_vit_t(record["ema"], config, path, metadata)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``samstudy pretrain``."""
    parser.add_argument("--output", type=Path, default=None, help="folder of checkpoint and curve")
    parser.add_argument("--stages", default=DEFAULT_STAGES, help="SIZExBATCH:STEPS,... (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes")
    parser.add_argument("--learning-rate", type=float, default=Recipe.learning_rate, help="peak")
    parser.add_argument("--initial", type=Path, default=None, help="start from this .safetensors file")
    parser.add_argument("--afresh", action="store_true", help="do not resume from the checkpoint there")
    parser.add_argument(
        "--export", type=Path, default=None, help="write the weights to this .safetensors file"
    )


def run(args: argparse.Namespace) -> int:
    """Run ``samstudy pretrain`` with parsed arguments; return the exit status."""
    checkpoint = pretrain(
        args.output or cache_dir() / "pretrain",
        stages=args.stages,
        seed=args.seed,
        device=args.device,
        precision=args.precision,
        workers=args.workers,
        resume=not args.afresh,
        initial=args.initial,
        recipe=Recipe(learning_rate=args.learning_rate),
    )
    if args.export is not None:
        export_weights(checkpoint, args.export)
    return 0

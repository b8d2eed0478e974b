"""Score a model on the small real samples, against what a box alone gives.

    python benchmarks/real_samples.py [MODEL] [--samples FOLDER] [--sets isic,oct] [--grabcut]

MODEL is anything ``samstudy.load_model`` takes (default ``vit_t``). The samples are looked for in
``$SAMSTUDY_SAMPLES`` or ``../shared/samples`` beside the repository, each set in its own layout. Prints tables and
writes nothing. Prompts are simulated from the reference masks; oracle columns choose by the reference.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from nibabel import load as load_nifti
from PIL import Image
from pydicom import dcmread
from scipy import ndimage, stats
from scipy.io import loadmat
from skimage.filters import threshold_otsu

from samstudy import load_model, make_prompt
from samstudy.baselines import inscribed_ellipse
from samstudy.prompts import PROMPTS, Dialogue, converse
from samstudy.seeds import rng_for

Item = tuple[str, np.ndarray, list[np.ndarray]]
LEAST_PX = 20
MOST_OBJECTS = 12
GRABCUT_SIDE = 384


def rgb(path: Path) -> np.ndarray:
    """Read an image file as uint8 H x W x 3."""
    return np.asarray(Image.open(path).convert("RGB"))


def grey(path: Path) -> np.ndarray:
    """Read a mask file as uint8 H x W."""
    return np.asarray(Image.open(path).convert("L"))


def shown(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Window values to uint8 H x W x 3."""
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255
    return np.repeat(scaled.astype(np.uint8)[..., None], 3, axis=2)


def isic(root: Path) -> Iterator[Item]:
    folder = root / "ISIC2017"
    for path in sorted((folder / "ISIC-2017_Validation_Part1_GroundTruth").glob("*.png")):
        name = path.name.replace("_segmentation.png", ".jpg")
        yield path.stem, rgb(folder / "ISIC-2017_Validation_Data" / name), [grey(path) > 127]


def drishti(root: Path, part: str) -> Iterator[Item]:
    folder = root / "Drishti-GS1" / "Training"
    for path in sorted((folder / "Images" / "ALL").glob("*.png")):
        mask = folder / "GT" / path.stem / "SoftMap" / f"{path.stem}_{part}Softmap.png"
        yield path.stem, rgb(path), [grey(mask) >= 128]


def oct_layers(root: Path) -> Iterator[Item]:
    folder = root / "NR206_OCT"
    for path in sorted(folder.glob("*_labels/*.png")):
        colours = np.asarray(Image.open(path).convert("RGB"), np.int32) @ (65536, 256, 1)
        masks = [colours == value for value in np.unique(colours) if value]
        yield path.stem, rgb(folder / path.parent.name.replace("_labels", "") / path.name), masks


def chest(root: Path) -> Iterator[Item]:
    folder = root / "ChestXrayMasksAndLabels" / "Lung Segmentation"
    for path in sorted((folder / "masks").glob("*.png")):
        name = path.name.replace("_mask", "")
        yield path.stem, rgb(folder / "CXR_png" / name), [grey(path) > 127]


def chaos(root: Path) -> Iterator[Item]:
    folder = root / "CHAOS" / "Data_3D"
    for path in sorted((folder / "Ground").glob("*.png")):
        number = path.stem.rsplit("_", 1)[1]
        scan = dcmread(folder / "DICOM_anon" / f"i0{number},0000b.dcm")
        image = shown(scan.pixel_array.astype(np.float32) - 1000, -160, 240)
        yield path.stem, image, [grey(path) > 0]


def hippocampus(root: Path) -> Iterator[Item]:
    folder = root / "MSD_Task04_Hippocampus"
    for path in sorted((folder / "labelsTr").glob("*.nii.gz")):
        labels = np.asarray(load_nifti(path).dataobj)
        volume = np.asarray(load_nifti(folder / "imagesTr" / path.name).dataobj, np.float32)
        axis = int(np.argmax((labels > 0).sum(axis=(0, 1))))
        masks = [labels[..., axis] == value for value in (1, 2)] + [labels[..., axis] > 0]
        yield path.stem, shown(volume[..., axis], *np.percentile(volume, (0.5, 99.5))), masks


def amos(root: Path) -> Iterator[Item]:
    folder = root / "AMOS22_SAM-Med2D_demo" / "data_demo"
    for path in sorted((folder / "images").glob("*.png")):
        yield path.stem, rgb(path), [grey(m) > 0 for m in sorted((folder / "masks").glob(f"{path.stem}_*"))]


def skull(root: Path) -> Iterator[Item]:
    for path in sorted((root / "HC18" / "training_set").glob("*_Annotation.png")):
        image = rgb(path.with_name(path.name.replace("_Annotation", "")))
        yield path.stem, image, [ndimage.binary_fill_holes(grey(path) > 127)]


def nuclei(root: Path) -> Iterator[Item]:
    for folder in sorted((root / "DSB2018" / "stage1_train").iterdir()):
        masks = [grey(path) > 127 for path in sorted((folder / "masks").glob("*.png"))]
        yield folder.name[:8], rgb(folder / "images" / f"{folder.name}.png"), masks


def vessels(root: Path) -> Iterator[Item]:
    for path in sorted((root / "DRIVE").glob("*/images/*.tif")):
        manual = path.parent.parent / "1st_manual" / f"{path.stem[:2]}_manual1.gif"
        yield path.stem, rgb(path), [grey(manual) > 127]


def bsds(root: Path) -> Iterator[Item]:
    folder = root / "BSDS500" / "BSDS500" / "data"
    for path in sorted((folder / "groundTruth" / "test").glob("*.mat")):
        regions = loadmat(path)["groundTruth"][0, 0]["Segmentation"][0, 0]
        masks = [regions == value for value in np.unique(regions)]
        yield (
            path.stem,
            rgb(folder / "images" / "test" / f"{path.stem}.jpg"),
            [m for m in masks if m.mean() > 0.01],
        )


def voc(root: Path) -> Iterator[Item]:
    folder = root / "VOC2011_labelme" / "data_dataset_voc"
    for path in sorted((folder / "SegmentationObject").glob("*.png")):
        objects = np.asarray(Image.open(path))
        masks = [objects == value for value in np.unique(objects) if 0 < value < 255]
        yield path.stem, rgb(folder / "JPEGImages" / f"{path.stem}.jpg"), masks


SETS = {
    "isic": isic,
    "disc": lambda root: drishti(root, "ODseg"),
    "cup": lambda root: drishti(root, "cupseg"),
    "oct": oct_layers,
    "chest": chest,
    "chaos": chaos,
    "hippocampus": hippocampus,
    "amos": amos,
    "skull": skull,
    "nuclei": nuclei,
    "vessels": vessels,
    "bsds": bsds,
    "voc": voc,
}
MEDICAL = tuple(SETS)[:10]


def overlap(mask: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Dice and IoU of two masks, the reference not empty."""
    common, total = (mask & reference).sum(), mask.sum() + reference.sum()
    return 2 * common / total, common / (total - common)


def otsu_in_box(image: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
    """Otsu's threshold inside the box; the class that is commoner in the inscribed ellipse is the object."""
    x0, y0, x1, y1 = box_xyxy.astype(int)
    crop = image[y0 : y1 + 1, x0 : x1 + 1].mean(axis=2)
    bright = crop > (threshold_otsu(crop) if crop.min() < crop.max() else crop.max())
    middle = inscribed_ellipse(box_xyxy, image.shape[:2])[y0 : y1 + 1, x0 : x1 + 1]
    swap = (bright & middle).sum() < (~bright & middle).sum()
    mask = np.zeros(image.shape[:2], bool)
    mask[y0 : y1 + 1, x0 : x1 + 1] = ~bright if swap else bright
    return mask


def grabcut(image: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
    """GrabCut (Rother et al., SIGGRAPH 2004) from a box: outside is background, the middle third is the object.

    Without the middle it takes nothing at all of small or grey objects.
    """
    x0, y0, x1, y1 = box_xyxy.astype(int)
    states = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    states[y0 : y1 + 1, x0 : x1 + 1] = cv2.GC_PR_FGD
    third_y, third_x = (y1 - y0) // 3, (x1 - x0) // 3
    states[y0 + third_y : y1 + 1 - third_y, x0 + third_x : x1 + 1 - third_x] = cv2.GC_FGD
    return _cut(image, states)


def grabcut_from_point(image: np.ndarray, point_xy: np.ndarray) -> np.ndarray:
    """GrabCut from one point: a dot on it is the object, a disc around it perhaps, the image's frame is not."""
    height, width = image.shape[:2]
    x, y = (int(value) for value in point_xy)
    states = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    states[[0, -1]] = states[:, [0, -1]] = cv2.GC_BGD
    for share, state in ((0.15, cv2.GC_PR_FGD), (0.02, cv2.GC_FGD)):
        cv2.circle(states, (x, y), max(1, round(share * min(height, width))), int(state), thickness=-1)
    return _cut(image, states)


def _cut(image: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Five rounds at no more pixels than vit_t sees: the graph of a photograph of 6,000 pixels takes minutes."""
    scale = min(1.0, GRABCUT_SIDE / max(states.shape))
    size = [max(1, round(scale * length)) for length in reversed(states.shape)]
    small = cv2.resize(states, size, interpolation=cv2.INTER_NEAREST)
    if not ((small & 1).any() and (~small & 1).any()):
        return states == cv2.GC_PR_FGD
    cv2.setRNGSeed(0)
    pixels = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    cv2.grabCut(pixels, small, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    return cv2.resize(small & 1, states.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0


def score_object(
    model, embedding, image: np.ndarray, reference: np.ndarray, rng, with_grabcut: bool
) -> dict[str, float]:
    """One row: Dice by prompt and mask choice, baselines, predicted and true IoU, seconds a prompt."""
    box, point = make_prompt("box", reference, rng), make_prompt("point_center", reference, rng)
    row = {
        "ellipse": overlap(inscribed_ellipse(box.box_xyxy, reference.shape), reference)[0],
        "otsu": overlap(otsu_in_box(image, box.box_xyxy), reference)[0],
    }
    if with_grabcut:
        row["grabcut"] = overlap(grabcut(image, box.box_xyxy), reference)[0]
        row["point_grabcut"] = overlap(grabcut_from_point(image, point.points_xy[0]), reference)[0]
    start = time.perf_counter()
    predictions = {"box": model.predict(embedding, [box])[0], "point": model.predict(embedding, [point])[0]}
    row["prompt_s"] = (time.perf_counter() - start) / 2
    for name, prediction in predictions.items():
        for rule in ("single", "predicted_iou", "oracle"):
            choice = prediction.choose(rule, reference)
            row[f"{name}_{rule}"], true_iou = overlap(prediction.masks[choice], reference)
            if (name, rule) in (("box", "single"), ("point", "predicted_iou")):
                row[f"{name}_iou"], row[f"{name}_iou_pred"] = true_iou, prediction.iou_pred[choice]
    dialogue = Dialogue((PROMPTS["clicks_4"],), point, reference)
    (turn,) = converse(lambda prompts: model.predict(embedding, prompts), [dialogue])
    row["clicks_4"] = overlap(turn.prediction.masks[0], reference)[0]
    return row


def evaluate_sets(model, root: Path, names: list[str], with_grabcut: bool = False) -> pd.DataFrame:
    """Score every object of the named sets; GrabCut takes about a second an object."""
    rows = []
    for name in names:
        for image_id, image, masks in SETS[name](root):
            start = time.perf_counter()
            embedding = model.embed(image)
            embed_s = time.perf_counter() - start
            masks = [mask for mask in masks if mask.sum() >= LEAST_PX]
            rng = rng_for(0, name, image_id)
            for i in sorted(rng.permutation(len(masks))[:MOST_OBJECTS]):
                row = score_object(model, embedding, image, masks[i], rng, with_grabcut)
                rows.append({"set": name, "image": image_id, "object": i, "embed_s": embed_s, **row})
    return pd.DataFrame(rows)


COLUMNS = (
    "ellipse otsu grabcut box_single box_predicted_iou box_oracle "
    "point_grabcut point_single point_predicted_iou point_oracle clicks_4"
).split()


def report(table: pd.DataFrame) -> None:
    """Print means by set, the mean over the ten medical sets, correlation and times."""
    means = table.groupby("set", sort=False)[[name for name in COLUMNS if name in table]].mean()
    means.insert(0, "n", table.groupby("set", sort=False).size().astype(float))
    means["skill"] = (means["box_single"] - means["ellipse"]) / (1 - means["ellipse"])
    medical = [name for name in MEDICAL if name in means.index]
    means.loc["MEDICAL"] = means.loc[medical].mean()
    means.loc["MEDICAL", "n"] = len(medical)
    thick = [name for name in medical if name != "oct"]
    means.loc["without layers"] = means.loc[thick].mean()
    means.loc["without layers", "n"] = len(thick)
    print(means.round(3).to_string())
    print(
        "sets with positive skill for boxes:",
        int((means.loc[medical, "skill"] > 0).sum()),
        "of",
        len(medical),
    )
    better = means.loc[medical, "clicks_4"] > means.loc[medical, "point_predicted_iou"]
    print("sets where three more clicks help:", int(better.sum()), "of", len(medical))
    predicted = np.concatenate([table["box_iou_pred"], table["point_iou_pred"]])
    true = np.concatenate([table["box_iou"], table["point_iou"]])
    print(f"Spearman of predicted and true IoU over all objects: {stats.spearmanr(predicted, true)[0]:.3f}")
    embed_s, prompt_s = table["embed_s"].median(), table["prompt_s"].median()
    print(
        f"median seconds: embedding {embed_s:.3f}, prompt {prompt_s:.4f} ({torch.get_num_threads()} threads)"
    )


def main() -> None:
    """Read the arguments, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="vit_t")
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "samples"
    parser.add_argument("--samples", type=Path, default=Path(os.environ.get("SAMSTUDY_SAMPLES", beside)))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--grabcut", action="store_true", help="also GrabCut from the box and from one point")
    args = parser.parse_args()
    if not args.samples.is_dir():
        raise SystemExit(f"no samples at {args.samples}; pass --samples or set SAMSTUDY_SAMPLES.")
    report(evaluate_sets(load_model(args.model), args.samples, args.sets.split(","), args.grabcut))


if __name__ == "__main__":
    main()

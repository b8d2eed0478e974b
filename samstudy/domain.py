"""How far apart are the data sets for the model? Its image embeddings, mapped and told apart by scikit-learn.

If a linear classifier tells from an embedding which data set an unseen patient's image is of, the encoder keeps the
domains apart; it does not say that the model fails there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from samstudy.bootstrap import mean_interval
from samstudy.cells import group_codes
from samstudy.datasets import Dataset
from samstudy.embeddings import embed
from samstudy.errors import DataError, StudyError
from samstudy.inference import Embedding
from samstudy.models import SamModel
from samstudy.seeds import rng_for, seed_for

IMAGE = ["dataset", "image_id", "group_id", "model"]
_N_COMPONENTS = 30
_MOST_FOLDS = 5
_LEAST_IMAGES = 4


@dataclass(frozen=True)
class Pooled:
    """One vector per image.

    Attributes
    ----------
    images : pandas.DataFrame
        Columns ``dataset image_id group_id model``, one row per image; the model is the one that embedded it.
    features : numpy.ndarray, float32, n x C
        The rows' mean embeddings.
    """

    images: pd.DataFrame
    features: np.ndarray


@dataclass(frozen=True)
class Separability:
    """How well data sets are told apart, every image judged by a classifier that saw none of its group.

    Attributes
    ----------
    datasets : tuple of str
        Classes, in order of first appearance.
    recall : numpy.ndarray, float64, K x K
        Share of each data set's images (row) taken for each data set (column).
    balanced_accuracy, low, high : float
        Mean of the diagonal and its 95 % interval over groups; a coin gives ``1 / K``.
    n_folds, n_images : int
        Folds of the cross-validation; images judged.
    left_out : dict of str to str
        Data sets that could not be judged, and why.
    note : str
        What is to be said of the interval.
    """

    datasets: tuple[str, ...]
    recall: np.ndarray
    balanced_accuracy: float
    low: float
    high: float
    n_folds: int
    n_images: int
    left_out: dict[str, str]
    note: str


def pool(embedding: Embedding, image_size: int) -> np.ndarray:
    """Mean embedding over the grid cells that show image, not padding.

    Parameters
    ----------
    embedding : Embedding
        With features 1 x C x h x w.
    image_size : int
        Side of the model's square input in pixels.

    Returns
    -------
    numpy.ndarray, float32, C
    """
    side = embedding.features.shape[-1]
    height, width = (max(1, round(length * side / image_size)) for length in embedding.input_hw)
    return embedding.features[0, :, :height, :width].mean(dim=(1, 2), dtype=torch.float32).numpy()


def pooled_embeddings(
    datasets: Sequence[Dataset],
    model: SamModel,
    ids: Mapping[str, Sequence[str]],
    cache: bool = True,
    progress: bool = True,
) -> Pooled:
    """Embed images of several data sets and take the mean of each embedding.

    Parameters
    ----------
    datasets : sequence of Dataset
        A general-domain control is one of them where it is to be compared with.
    model : SamModel
        Its image encoder is used.
    ids : mapping of str to sequence of str
        image_ids by name of the data set, e.g. those of a score table; a data set that is not named has no rows. An
        image that cannot be read is passed over, as the evaluation reports it.
    cache : bool
        Take embeddings from the cache, where an evaluation left them.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Pooled

    Raises
    ------
    StudyError
        If the model looks at no image, or there is no image.
    """
    if not model.uses_image:
        raise StudyError(f"{model.name} looks at no image and has no embeddings; give a SAM.")
    wanted = [(one, image_id) for one in datasets for image_id in ids.get(one.info.name, ())]
    rows, features = [], []
    for dataset, image_id in tqdm(wanted, desc="embeddings", unit="image", disable=not progress):
        try:
            sample = dataset.load(image_id)
        except DataError:
            continue
        features.append(pool(embed(model, sample.image, cache=cache), model.image_size))
        rows.append((dataset.info.name, image_id, sample.group_id, model.name))
    if not rows:
        raise StudyError(
            "there is no image to embed: none of the data sets has an image id among those given."
        )
    return Pooled(pd.DataFrame(rows, columns=IMAGE), np.stack(features))


def embedding_map(pooled: Pooled, seed: int = 0) -> pd.DataFrame:
    """Map images to the plane: standardised, PCA to 30 dimensions, then t-SNE (van der Maaten and Hinton 2008).

    Parameters
    ----------
    pooled : Pooled
        At least 4 images.
    seed : int
        Seed of t-SNE, whose neighbourhoods mean something and whose distances and sizes do not.

    Returns
    -------
    pandas.DataFrame
        ``images`` with the columns ``x`` and ``y``.

    Raises
    ------
    StudyError
        If there are fewer than 4 images.
    """
    n_images = len(pooled.images)
    if n_images < _LEAST_IMAGES:
        raise StudyError(f"a map needs at least {_LEAST_IMAGES} images, not {n_images}.")
    random_state = seed_for(seed, "tsne") % 2**32
    reduced = make_pipeline(
        StandardScaler(), PCA(min(_N_COMPONENTS, n_images, pooled.features.shape[1]), svd_solver="full")
    ).fit_transform(pooled.features.astype(np.float64))
    perplexity = min(30.0, (n_images - 1) / 3)
    plane = TSNE(perplexity=perplexity, init="pca", random_state=random_state, n_jobs=1).fit_transform(
        reduced
    )
    return pooled.images.assign(x=plane[:, 0].astype(float), y=plane[:, 1].astype(float))


def separability(pooled: Pooled, seed: int = 0, n_boot: int = 2000) -> Separability:
    """Tell the data set of an image from its embedding, by logistic regression cross-validated by group.

    Parameters
    ----------
    pooled : Pooled
        Data sets with fewer than 2 groups cannot be judged and are left out.
    seed, n_boot : int
        Seed and number of bootstrap resamples.

    Returns
    -------
    Separability
        Folds keep groups whole and data sets in proportion (``StratifiedGroupKFold``): at most 5, and no more than the
        smallest data set has groups. Classes weigh the same whatever their number of images.

    Raises
    ------
    StudyError
        If fewer than 2 data sets can be judged.
    """
    images = pooled.images
    n_groups = images.groupby("dataset", sort=False)["group_id"].nunique()
    left_out = {name: f"{n} group" for name, n in n_groups.items() if n < 2}
    names = tuple(name for name in n_groups.index if name not in left_out)
    if len(names) < 2:
        raise StudyError(
            f"only {len(names)} data set(s) of two groups or more: there is nothing to tell apart."
        )
    kept = images["dataset"].isin(names).to_numpy()
    features, images = pooled.features[kept].astype(np.float64), images[kept].reset_index(drop=True)
    true = images["dataset"].map({name: i for i, name in enumerate(names)}).to_numpy()
    n_folds = int(min(_MOST_FOLDS, n_groups[list(names)].min()))
    taken = _predicted(features, true, group_codes(images), n_folds)
    recall = confusion_matrix(true, taken, labels=range(len(names)), normalize="true")
    low, high, note = _interval(true, taken, images, seed, n_boot)
    return Separability(
        names, recall, float(np.diag(recall).mean()), low, high, n_folds, len(images), left_out, note
    )


def _predicted(features: np.ndarray, true: np.ndarray, groups: np.ndarray, n_folds: int) -> np.ndarray:
    classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    taken = np.empty_like(true)
    for train, test in StratifiedGroupKFold(n_folds).split(features, true, groups):
        taken[test] = classifier.fit(features[train], true[train]).predict(features[test])
    return taken


def _interval(
    true: np.ndarray, taken: np.ndarray, images: pd.DataFrame, seed: int, n_boot: int
) -> tuple[float, float, str]:
    """Resample groups; a data set that is not drawn does not count in that resample."""
    of_class = true[:, None] == np.arange(true.max() + 1)
    columns = np.concatenate([of_class & (true == taken)[:, None], of_class], axis=1).astype(float)

    def balanced(means: np.ndarray) -> np.ndarray:
        right, share = np.split(means, 2, axis=1)
        return np.nanmean(np.divide(right, share, out=np.full_like(right, np.nan), where=share > 0), axis=1)

    return mean_interval(columns, group_codes(images), rng_for(seed, "bootstrap"), n_boot, balanced)

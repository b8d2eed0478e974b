"""The same evaluation over many processes or machines, by Dask: no scheduler of our own.

A unit of work is some images with all prompts of one model. Dask gives units to workers and gives them again when a
worker is lost; the rows are put in the order of the single process. Workers share the caches of rows and embeddings.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import pickle
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from samstudy.embedding_files import LIMIT_VARIABLE
from samstudy.embeddings import DTYPE_VARIABLE
from samstudy.errors import StudyError
from samstudy.evaluation import Work, rows_of
from samstudy.models import MODELS, Model, SamModel, load_model
from samstudy.paths import cache_dir, project_root
from samstudy.provenance import code_sha
from samstudy.questions import Row

if TYPE_CHECKING:
    from distributed import Client, Future

FORMS = (
    "'local:4' (4 processes on this machine), 'tcp://host:8786' (the address of a running Dask scheduler) or "
    "'file:scheduler.json' (the file that one has written)"
)
CONNECT_S = 10.0
WORKERS_S = 120.0
_UNITS_PER_WORKER = 4
_MOST_IMAGES = 16
_open: dict[str, Client] = {}
_loading = Lock()


@dataclass(frozen=True)
class Job:
    """What every unit of one evaluation needs to know.

    Attributes
    ----------
    work : Work
        Data set, prompts, seed and targets.
    cache : bool
        As in :func:`samstudy.evaluate`.
    folder : str
        Working folder, which paths may be relative to.
    settings : tuple of (str, str)
        Environment variables of this package.
    versions : tuple of str
        Of the code and of what its numbers depend on.
    threads : int
        Threads of PyTorch: those of the client, as results depend on them in their last bits.
    """

    work: Work
    cache: bool
    folder: str
    settings: tuple[tuple[str, str], ...]
    versions: tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class Reference:
    """A model that workers load themselves: where it is, and the identity it must have there."""

    source: str
    device: str
    identity: str


def rows_by_scheduler(
    scheduler: str | Client,
    work: Work,
    models: Sequence[Model],
    ids: Sequence[str],
    cache: bool = True,
    progress: bool = True,
) -> list[Row]:
    """Evaluate images with workers; the rows are those of :func:`samstudy.evaluation.rows_of`, in its order.

    Parameters
    ----------
    scheduler : str or distributed.Client
        ``local:N``, ``tcp://host:port``, ``file:scheduler.json``, or a client of a deployment of one's own. What is
        named by a string is opened once in a process, and closed when that ends.
    work : Work
        Data set, prompts, seed and targets.
    models : sequence of Model
        Prepared. One that a worker can load from its name or file is loaded there once; others are sent to each worker
        once.
    ids : sequence of str
        Images.
    cache, progress : bool
        As in :func:`samstudy.evaluate`.

    Raises
    ------
    StudyError
        If the form is not known, the scheduler does not answer or has no workers, a worker runs another version
        or does not see the same files, or work fails: the reason, in a sentence.
    """
    client = scheduler if hasattr(scheduler, "submit") else connect(scheduler)
    n_workers = _wait_for_workers(client)
    job = _task(client, _job_of(work, cache))
    futures: dict[Future, tuple[int, int]] = {}
    rows: dict[tuple[int, int], list[Row]] = {}
    size = max(1, min(_MOST_IMAGES, math.ceil(len(ids) / (_UNITS_PER_WORKER * n_workers))))
    try:
        at_workers = [_at_workers(client, job, model) for model in models]
        for of_model, start in product(range(len(models)), range(0, len(ids), size)):
            some = list(ids[start : start + size])
            unit = client.submit(evaluate_unit, job, at_workers[of_model], some, pure=False)
            futures[unit] = of_model, start
        total, name = len(models) * len(ids), work.dataset.info.name
        with tqdm(total=total, desc=name, unit="image x model", disable=not progress) as bar:
            for unit in _completed(futures):
                of_model, start = futures[unit]
                for index, of_image in enumerate(_result(unit), start):
                    rows[index, of_model] = of_image
                    bar.update()
    finally:
        client.cancel(list(futures))
    return [row for key in product(range(len(ids)), range(len(models))) for row in rows[key]]


def connect(scheduler: str) -> Client:
    """Open a scheduler by its name, or return the one that this process has open.

    Raises
    ------
    StudyError
        If the form is not known or nobody answers within 10 s.
    """
    local = re.fullmatch(r"local:([1-9]\d*)", scheduler)
    if not local and not re.fullmatch(r"(tcp|tls|ucx|ws|wss)://.+:\d+|file:.+", scheduler):
        raise StudyError(f"unknown scheduler {scheduler!r}; the forms are {FORMS}.")
    if scheduler in _open and _open[scheduler].status == "running":
        return _open[scheduler]
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise StudyError(
            f"the scheduler {scheduler!r} needs dask.distributed, which is not installed: "
            "`pip install distributed`, or `make env`."
        ) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if local:
        cluster = LocalCluster(
            n_workers=int(local[1]),
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        _open[scheduler] = Client(cluster)
        return _open[scheduler]
    where = {"address": scheduler}
    if scheduler.startswith("file:"):
        path = Path(scheduler.removeprefix("file:"))
        if not path.is_file():
            raise StudyError(
                f"{path} is not there: `dask scheduler --scheduler-file {path}` writes it when it starts."
            )
        where = {"scheduler_file": str(path)}
    try:
        _open[scheduler] = Client(**where, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise StudyError(
            f"no Dask scheduler answers at {scheduler!r} within {CONNECT_S:.0f} s: is `dask scheduler` running "
            "there, and can this machine reach its port? 'local:N' needs none."
        ) from error
    return _open[scheduler]


def evaluate_unit(job: Job, model: Model | Reference, ids: Sequence[str]) -> list[list[Row]]:
    """Evaluate some images with one model, in a worker.

    Raises
    ------
    StudyError
        If the worker cannot do it: its code, files or model are others.
    """
    settle(job)
    return list(rows_of(job.work, [loaded(model)], ids, job.cache))


def settle(job: Job) -> None:
    """Make a worker's process like that of the client: folder, settings and threads.

    Raises
    ------
    StudyError
        If it runs other code or versions, or does not see the client's folders.
    """
    if job.versions != versions():
        raise StudyError(
            f"a worker has other versions than this process ({' '.join(versions())} instead of "
            f"{' '.join(job.versions)}; code, torch, numpy): start the workers from the same checkout and environment."
        )
    for folder in (job.folder, job.work.dataset.root):
        if folder is not None and not Path(job.folder, folder).exists():
            raise StudyError(
                f"a worker does not see the folder {Path(job.folder, folder)}: data, cache and the working folder "
                "must be on a file system that all machines share, under the same path."
            )
    os.chdir(job.folder)
    os.environ.update(job.settings)
    torch.set_num_threads(job.threads)


@cache
def versions() -> tuple[str, ...]:
    """Hash of the package's sources, and versions of PyTorch and NumPy."""
    return code_sha(), torch.__version__, np.__version__


def loaded(model: Model | Reference) -> Model:
    """Return the model itself, or the one referred to, loaded once in a process.

    Raises
    ------
    StudyError
        If it cannot be loaded here or is another one.
    """
    if not isinstance(model, Reference):
        return model
    with _loading:
        found = _load(model.source, model.device)
    if identity_of(found) != model.identity:
        raise StudyError(
            f"the model {model.source!r} has other weights for a worker than for this process: use the same file."
        )
    return found


@lru_cache(maxsize=2)
def _load(source: str, device: str) -> Model:
    return load_model(source, device)


def identity_of(model: Model) -> str:
    """Text that two models share when they give the same rows."""
    parts = model.name, model.weights_sha, model.image_size, model.tuning, model.shots, model.fold
    return " ".join(map(str, parts))


def _identity_at(job: Job, reference: Reference) -> str:
    settle(job)
    try:
        return identity_of(_load(reference.source, reference.device))
    except StudyError:
        return ""


def _job_of(work: Work, cache: bool) -> Job:
    settings = {"SAMSTUDY_ROOT": str(project_root()), "SAMSTUDY_CACHE": str(cache_dir())}
    settings |= {name: os.environ.get(name, "") for name in (DTYPE_VARIABLE, LIMIT_VARIABLE)}
    # sums in another order differ in their last bits, and a pixel may follow
    return Job(work, cache, str(Path.cwd()), tuple(settings.items()), versions(), torch.get_num_threads())


def _wait_for_workers(client: Client) -> int:
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError as error:
        raise StudyError(
            f"the Dask scheduler has had no worker for {WORKERS_S:.0f} s: start some with `dask worker`, or look "
            "whether the jobs that should do so are still queued."
        ) from error
    return len(client.scheduler_info(n_workers=-1)["workers"])


def _at_workers(client: Client, job: Future, model: Model) -> Reference | Future:
    """How workers get a model: by its name or file where that gives this very model, else sent to each once."""
    source = getattr(model, "source", "")
    if type(model) is SamModel and (source in MODELS or Path(source).is_file()):
        reference = Reference(source, str(model.device), identity_of(model))
        probe = client.submit(_identity_at, job, reference, pure=False)
        if _result(probe) == reference.identity:
            return reference
    return _task(client, model)


def _task(client: Client, value: Any) -> Future:
    """Send a value as a task that unpacks it: when the worker that holds it is lost, Dask makes it again."""
    import cloudpickle

    content = cloudpickle.dumps(value)
    key = f"samstudy-{type(value).__name__.lower()}-{hashlib.sha256(content).hexdigest()[:16]}"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")
        return client.submit(pickle.loads, content, key=key)


def _completed(futures: dict[Future, tuple[int, int]]) -> Any:
    from distributed import as_completed

    return as_completed(list(futures))


def _result(future: Future) -> Any:
    """What a unit returned, or its error as a sentence."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, StudyError):
        raise error
    kind = type(error).__name__
    if kind == "KilledWorker":
        raise StudyError(
            "the same work has ended several workers, most likely for want of memory: give each worker more "
            "memory, or have fewer of them on a machine."
        ) from error
    raise StudyError(
        f"work failed at a worker ({kind}: {error}). Without a scheduler the same call says where."
    ) from error

"""Workers give the table of the single process, also when one of them is killed at work."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest
from drawn import TINY, tiny_sam

from samstudy import scheduling
from samstudy.cli import main
from samstudy.datasets import load_dataset
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.models import load_model
from samstudy.vit_t import save_vit_t

distributed = pytest.importorskip("distributed")

N_IMAGES = 16
MODES = ["box", "clicks_2", "boxes_parts"]


@pytest.fixture(scope="module")
def client():
    client = scheduling.connect("local:2")
    yield client
    cluster = client.cluster
    client.close()
    cluster.close()
    scheduling._open.clear()


@pytest.fixture(scope="module")
def filed(tmp_path_factory):
    """A model in a file, which workers load themselves."""
    path = tmp_path_factory.mktemp("filed") / "filed.safetensors"
    save_vit_t(tiny_sam().state_dict(), TINY, path, {})
    return str(path)


@pytest.fixture
def discs(make_folder):
    """Noisy discs in a folder; the fifth image is not readable."""
    y, x = np.ogrid[:48, :64]
    images, masks = {}, {}
    for i in range(N_IMAGES):
        disc = (y - 20) ** 2 + (x - 26 - i) ** 2 <= (8 + i % 5) ** 2
        image = np.random.default_rng(i).integers(0, 90, (48, 64, 3), dtype=np.uint8)
        image[disc] += 110
        images[f"page{i:02}.png"], masks[f"page{i:02}.png"] = image, (disc * 255).astype(np.uint8)
    images["page04.png"] = b"no picture"
    return load_dataset(f"folder:{make_folder(images, masks)}")


def run(dataset, models, **more):
    return evaluate(dataset, models, MODES, split="all", progress=False, **more)


def changed(path):
    """The model of a file with other weights: it is in memory alone."""
    model = load_model(path)
    model.sam.mask_decoder.iou_token.weight.data += 0.5
    return model


def forget(folder):
    for path in [*folder.rglob("*.json"), *folder.rglob("*.safetensors")]:
        path.unlink()


def test_the_table_is_that_of_one_process(client, discs, filed, own_cache):
    models = [filed, changed(filed), "ellipse"]
    alone = run(discs, models)
    assert (alone.status == "error").any()
    forget(own_cache)
    pd.testing.assert_frame_equal(alone, run(discs, models, scheduler=client), check_exact=True)
    pd.testing.assert_frame_equal(alone, run(discs, models, scheduler="local:2"), check_exact=True)
    kept = len(list(own_cache.rglob("*.json")))
    assert kept == 3 * (N_IMAGES - 1)
    assert list(own_cache.rglob("*.safetensors"))
    assert not list(own_cache.rglob("*.lock"))
    pd.testing.assert_frame_equal(alone, run(discs, models), check_exact=True)


def test_a_worker_killed_at_work_loses_nothing(client, discs, filed):
    alone = run(discs, [filed, "ellipse"], cache=False)
    client.wait_for_workers(2, timeout=60)
    pids = client.run(os.getpid)
    tables = []
    runner = threading.Thread(
        target=lambda: tables.append(run(discs, [filed, "ellipse"], cache=False, scheduler=client))
    )
    runner.start()
    victim = None
    while runner.is_alive() and victim is None:
        busy = [w for w, keys in client.processing().items() if any("evaluate_unit" in str(k) for k in keys)]
        victim = next((worker for worker in busy if worker in pids), None)
        time.sleep(0.01)
    assert victim, "nothing was at work"
    os.kill(pids[victim], signal.SIGKILL)
    assert runner.is_alive()
    runner.join(120)
    pd.testing.assert_frame_equal(alone, tables[0], check_exact=True)
    assert pids[victim] not in client.run(os.getpid).values()


def test_a_model_is_loaded_once_or_sent(client, discs, filed):
    client.wait_for_workers(2, timeout=60)
    before = client.run(lambda: scheduling._load.cache_info().misses)
    for _ in range(2):
        run(discs, [filed], cache=False, scheduler=client)
    after = client.run(lambda: scheduling._load.cache_info().misses)
    assert all(after[worker] - before[worker] <= 1 for worker in after)
    other = changed(filed)
    alone = run(discs, [other], cache=False)
    assert not alone.equals(run(discs, [filed], cache=False))
    pd.testing.assert_frame_equal(alone, run(discs, [other], cache=False, scheduler=client))


def test_what_fails_at_a_worker_is_a_sentence(client, discs, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(scheduling, "versions", lambda: ("another", "2", "1"))
        with pytest.raises(StudyError, match=r"a worker has other versions.*the same checkout"):
            run(discs, ["ellipse"], scheduler=client)
    monkeypatch.setattr(discs, "root", discs.root / "elsewhere")
    with pytest.raises(StudyError, match=r"does not see the folder .*elsewhere.*file system that all"):
        run(discs, ["ellipse"], scheduler=client)


def test_an_interrupt_cancels_the_work(client, discs, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(scheduling, "_completed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(discs, ["ellipse"], cache=False, scheduler=client)
    deadline = time.time() + 20
    while time.time() < deadline and any(client.processing().values()):
        time.sleep(0.1)
    assert not any(client.processing().values())


@pytest.mark.parametrize("spec", ["local", "local:0", "local:two", "host:8786", "slurm"])
def test_an_unknown_form_is_a_sentence_with_the_forms(discs, spec):
    with pytest.raises(StudyError, match=f"unknown scheduler '{spec}'.*local:4.*tcp://host:8786.*file:"):
        run(discs, ["ellipse"], scheduler=spec)


def test_an_address_where_nobody_answers_is_a_sentence_soon(discs, monkeypatch, tmp_path):
    monkeypatch.setattr(scheduling, "CONNECT_S", 1.0)
    start = time.monotonic()
    with pytest.raises(StudyError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        run(discs, ["ellipse"], scheduler="tcp://127.0.0.1:9")
    assert time.monotonic() - start < 10
    with pytest.raises(StudyError, match="is not there: `dask scheduler --scheduler-file"):
        run(discs, ["ellipse"], scheduler=f"file:{tmp_path / 'none.json'}")


def test_the_command_and_the_variable_take_it(client, discs, tmp_path, monkeypatch, capsys):
    arguments = ["run", "--dataset", f"folder:{discs.root}", "--models", "ellipse", "--prompts", "box"]
    arguments += ["--overlays", "0", "--split", "all", "--output", str(tmp_path / "out")]
    assert main([*arguments, "--scheduler", "lokal:2"]) == 2
    assert "unknown scheduler 'lokal:2'" in capsys.readouterr().err
    monkeypatch.setenv("SAMSTUDY_SCHEDULER", "local:2")
    assert main(arguments) == 1
    assert len(pd.read_csv(tmp_path / "out" / "scores.csv")) == N_IMAGES

"""Reading ahead: in order, bounded, errors in their place, and it stops when its consumer does."""

from __future__ import annotations

import threading
import time

import pandas as pd
import pytest
from drawn import DrawnDataset

from samstudy.ahead import ahead
from samstudy.evaluation import evaluate


def test_results_come_in_order_from_another_thread():
    found = list(ahead(lambda thing: (thing, threading.current_thread().name), range(20)))
    assert [thing for thing, _ in found] == list(range(20))
    assert {name.split("_")[0] for _, name in found} == {"ahead"}
    assert list(ahead(str, [])) == []


def test_no_more_are_made_than_there_is_room_for():
    made = []
    results = ahead(made.append, range(50), depth=2)
    for taken in range(1, 6):
        next(results)
        time.sleep(0.02)
        assert len(made) <= taken + 2


def test_an_error_is_raised_at_its_place():
    results = ahead(lambda thing: 1 / thing, [1, 2, 0, 4])
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_consumer_that_stops_ends_the_thread():
    threads = []

    def make(_):
        threads.append(threading.current_thread())

    results = ahead(make, range(1000))
    next(results)
    results.close()
    threads[0].join(5)
    assert not threads[0].is_alive()
    assert len(threads) < 10


def test_an_interrupt_passes_and_the_same_call_goes_on(drawn, tiny_model, monkeypatch):
    whole = evaluate(drawn, [tiny_model], ["box"], split="all", cache=False, progress=False)
    predict, calls = type(tiny_model).predict, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(*arguments)

    monkeypatch.setattr(type(tiny_model), "predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(drawn, [tiny_model], ["box"], split="all", progress=False)
    pd.testing.assert_frame_equal(whole, evaluate(drawn, [tiny_model], ["box"], split="all", progress=False))


def test_an_unreadable_image_between_others_keeps_its_place(tiny_model):
    table = evaluate(DrawnDataset(broken=(1, 2)), [tiny_model], ["box"], split="all", progress=False)
    assert table.image_id.unique().tolist() == [f"page{i}" for i in range(6)]
    assert table[table.status == "error"].image_id.unique().tolist() == ["page1", "page2"]

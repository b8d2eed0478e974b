"""Read the next things while this one is being worked on: one thread, a few results at a time, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(function: Callable[[T], R], things: Iterable[T], depth: int = 2) -> Iterator[R]:
    """Yield ``function(thing)`` for each thing in order, computed by one thread that is at most ``depth`` ahead.

    Parameters
    ----------
    function : callable
        Called in the other thread, for one thing at a time. It gains where it waits for the disk or leaves Python's
        lock, as decoding pictures and NumPy do.
    things : iterable
        Taken one by one as there is room.
    depth : int
        Most results that are made or under way beside the one that is taken, which bounds the memory; at least 1.

    Yields
    ------
    object
        The results. What the function raises is raised here, at its place in the order. When the consumer
        stops early, also by an interrupt, what has not begun is dropped and what has begun is not waited for.
    """
    things = iter(things)
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    pending = deque()
    try:
        for thing in things:
            pending.append(pool.submit(function, thing))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

"""Spawned processes that share out work, each on one thread and with an object of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from types import TracebackType
from typing import Any, Generic, TypeVar

Own = TypeVar("Own")
Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerPool(Generic[Own]):
    """Processes that each make an object once and then apply functions to it.

    They are spawned, not forked: the parent may hold torch's threads. Functions, arguments and
    results are pickled between the processes, so functions must be those of a module.

    Parameters
    ----------
    workers : int
    make
        Makes a process's object, e.g. loads a model.
    arguments
        Those of `make`.
    """

    def __init__(self, workers: int, make: Callable[..., Own], *arguments: Any):
        self.workers = workers
        self._pool = ProcessPoolExecutor(
            workers,
            mp_context=get_context("spawn"),
            initializer=_start,
            initargs=(make, arguments),
        )

    def __enter__(self) -> WorkerPool[Own]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def map(
        self, function: Callable[[Own, Item], Result], items: Iterable[Item], chunk: int = 1
    ) -> Iterator[Result]:
        """Yield `function(own, item)` of each item, in their order."""
        items = list(items)
        return self._pool.map(_apply, [function] * len(items), items, chunksize=chunk)

    def unordered(
        self, function: Callable[[Own, Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield each item with its result, as they are finished.

        Few items are handed out at a time: an error at one need not wait for a million others.
        """
        waiting = iter(items)
        running: dict[Future[Result], Item] = {}
        while True:
            for item in islice(waiting, 2 * self.workers - len(running)):
                running[self._pool.submit(_apply, function, item)] = item
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


def use_threads(number: int) -> None:
    """Let this process compute on `number` threads, in numpy's BLAS as well.

    Of several processes on as many cores, each should take one: BLAS would otherwise start a
    thread for every core in each process, and those wait for each other at full speed.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(number, user_api="blas")
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(number)
    else:  # torch reads this when it is imported
        os.environ["OMP_NUM_THREADS"] = str(number)


_own: Any = None


def _start(make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    global _own
    use_threads(1)
    _own = make(*arguments)


def _apply(function: Callable[[Any, Item], Result], item: Item) -> Result:
    return function(_own, item)

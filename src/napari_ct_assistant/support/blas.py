"""Small matrix products on one thread, and the threads that this leaves for other work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@contextmanager
def threads_of_blas(most: int) -> Iterator[Executor]:
    """Lend the threads of NumPy's matrix products, which run on one meanwhile.

    Products of a millisecond gain little from a second thread, and lose many times that where it
    has to wait for a core. The limit holds for the whole process.

    Parameters
    ----------
    most
        Threads to take at most. Where matrix products have one thread (one core,
        OMP_NUM_THREADS=1, a process beside others, another thread inside), work is done by who
        hands it in.
    """
    blas = _controller().select(user_api="blas")
    threads = max((library["num_threads"] for library in blas.info()), default=1)
    if threads == 1:
        yield _AtOnce()
        return
    with blas.limit(limits=1), ThreadPoolExecutor(min(most, threads)) as executor:
        yield executor


class _AtOnce(Executor):
    """Does each piece of work in the thread that hands it in."""

    def submit(
        self,
        fn: Callable[_Arguments, _Result],
        /,
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> Future[_Result]:
        """Do the work; what it raises is raised by the caller of `result`, as usual."""
        done: Future[_Result] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - the future carries it
            done.set_exception(error)
        return done


@cache
def _controller() -> Any:
    """Find the libraries once: it takes some milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()

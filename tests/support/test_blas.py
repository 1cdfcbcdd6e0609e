"""NumPy's matrix products on one thread, and what their threads do meanwhile."""

from __future__ import annotations

import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from napari_ct_assistant.support.blas import threads_of_blas


def _blas_threads() -> set[int]:
    """Of NumPy's own: SciPy's, loaded later, keeps its threads."""
    blas = [info for info in threadpool_info() if info["user_api"] == "blas"]
    own = [info for info in blas if "numpy" in info["filepath"]]
    return {info["num_threads"] for info in own or blas}


def test_products_have_one_thread_inside_and_theirs_again_outside() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = _blas_threads()
        with threads_of_blas(2) as outer:
            assert _blas_threads() == {1}
            with threads_of_blas(2) as inner:
                assert inner.submit(threading.get_ident).result() == threading.get_ident()
            assert _blas_threads() == {1}
            used = {outer.submit(threading.get_ident).result() for _ in range(4)}
        assert _blas_threads() == before
    assert (threading.get_ident() in used) is (before == {1})


def test_with_one_thread_work_is_done_where_it_is_handed_in() -> None:
    with threadpool_limits(1, user_api="blas"), threads_of_blas(2) as executor:
        assert executor.submit(threading.get_ident).result() == threading.get_ident()
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
        failed = executor.submit(divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            failed.result()

"""Spawned processes with an object of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from napari_ct_assistant.training.worker_pool import WorkerPool


class Counter:
    """Counts the calls in its process."""

    def __init__(self, start: int):
        self.count = start

    def add(self, item: int) -> tuple[int, int, int]:
        self.count += 1
        return os.getpid(), self.count, item

    def fail_at_two(self, item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    def threads(self, _: int) -> tuple[int, set[int]]:
        # Imported after the process has started, as in a worker that loads a model.
        import numpy as np
        import torch
        from threadpoolctl import threadpool_info

        np.ones((64, 64)) @ np.ones((64, 64))
        blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        return torch.get_num_threads(), blas


def test_each_process_makes_its_object_once() -> None:
    with WorkerPool(1, Counter, 10) as pool:
        calls = [*pool.map(Counter.add, range(3)), *pool.map(Counter.add, range(3, 5), chunk=2)]
        results = dict(pool.unordered(Counter.fail_at_two, [5, 7, 9, 11]))
    assert results == {n: n for n in (5, 7, 9, 11)}
    assert len({process for process, _, _ in calls}) == 1
    assert os.getpid() not in {process for process, _, _ in calls}
    assert [(count, item) for _, count, item in calls] == [(11 + n, n) for n in range(5)]


def test_a_worker_computes_on_one_thread() -> None:
    with WorkerPool(1, Counter, 0) as pool:
        assert list(pool.map(Counter.threads, [0])) == [(1, {1})]


def test_an_error_is_raised_before_all_items_are_handed_out() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(1000):
            taken.append(n)
            yield n

    with WorkerPool(1, Counter, 0) as pool, pytest.raises(ValueError, match="two"):
        list(pool.unordered(Counter.fail_at_two, items()))
    assert len(taken) < 20

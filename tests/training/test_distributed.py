"""Several processes side by side on one machine."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from threadpoolctl import threadpool_info

from napari_ct_assistant.training import distributed as processes


def _threads() -> tuple[int, set[int]]:
    np.ones((64, 64)) @ np.ones((64, 64))
    blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    return torch.get_num_threads(), blas


def test_a_worker_computes_on_the_threads_it_is_given() -> None:
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=processes.use_threads, initargs=(1,)
    ) as pool:
        assert pool.submit(_threads).result() == (1, {1})

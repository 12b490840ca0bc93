"""Threads for nogil kernels.

Why not numba's ``parallel=True``: its OpenMP layer kills a process that forks afterwards (DataLoader
workers), its workqueue layer aborts when two Python threads call it. Serial kernels that release the GIL,
called from an ordinary thread pool, survive both; a forked child starts with a new pool, because threads do
not survive a fork.

Each output element is written by exactly one chunk, so the number of threads never changes a result.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_CHUNKS_PER_THREAD = 4
_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def _forget() -> None:
    """In a forked child: the parent's threads and perhaps a held lock are gone."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _pool(threads: int) -> ThreadPoolExecutor:
    with _lock:
        if threads not in _pools:
            _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="apu-kernels")
        return _pools[threads]


def split(count: int, work: Callable[[int, int], None], least: int = 1) -> None:
    """Run ``work(start, stop)`` over ``range(count)`` in chunks of ``least`` on torch's threads."""
    threads = min(torch.get_num_threads(), max(1, count // max(1, least)))
    if threads <= 1:
        if count:
            work(0, count)
        return
    chunks = min(threads * _CHUNKS_PER_THREAD, max(1, count // max(1, least)))
    bounds = [count * k // chunks for k in range(chunks + 1)]
    todo = iter(range(chunks))

    def worker() -> None:
        for k in todo:
            work(bounds[k], bounds[k + 1])

    # The calling thread works too: one hand-over less, and progress even when the pool is busy with other
    # callers.
    helpers = [_pool(threads).submit(worker) for _ in range(threads - 1)]
    worker()
    for helper in helpers:
        # A helper that a busy machine has not started yet has nothing left to do.
        if not helper.cancel():
            helper.result()

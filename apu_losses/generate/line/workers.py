"""Processes that work on shards, one each at a time. One that dies is replaced, and its shard begun again."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from apu_losses.generate.line.shard_work import LineOptions, ShardOutcome, work_shard

ATTEMPTS = 3
"""How often a shard is begun whose worker dies: one that kills every worker must not go on for ever."""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    shard: int


def in_processes(
    out: str | Path,
    numbers: Iterable[int],
    options: LineOptions,
    processes: int,
    tell: Callable[[int, float, str], None] | None = None,
) -> Iterator[ShardOutcome]:
    """Work on shards in so many processes; give what became of each as soon as it is over.

    Shards are taken from ``numbers`` one by one as workers become free, so memory does not grow with them.
    Workers end when this process does, however it ends.

    Args:
        out: the data set.
        numbers: of the shards.
        options: as for all.
        processes: how many, at least 1.
        tell: called with shard, share of it, and what is being done.
    """
    context = multiprocessing.get_context("spawn")  # threads of libraries do not survive a fork
    waiting = iter(numbers)
    again: list[int] = []
    attempts: dict[int, int] = {}
    idle: list[tuple[Any, Connection]] = []
    busy: list[_Worker] = []

    def following() -> int | None:
        return again.pop() if again else next(waiting, None)

    def hire() -> tuple[Any, Connection]:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(str(out), options, theirs), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    try:
        while True:
            while len(busy) < processes:
                number = following()
                if number is None:
                    break
                process, pipe = idle.pop() if idle else hire()
                try:
                    pipe.send(number)
                except OSError:  # it died while it waited
                    again.append(number)
                    continue
                busy.append(_Worker(process, pipe, number))
            if not busy:
                return
            for ready in wait([worker.pipe for worker in busy]):
                worker = next(w for w in busy if w.pipe is ready)
                try:
                    kind, *said = worker.pipe.recv()
                except (EOFError, OSError):
                    busy.remove(worker)
                    worker.process.join()
                    attempts[worker.shard] = attempts.get(worker.shard, 0) + 1
                    if attempts[worker.shard] < ATTEMPTS:
                        again.append(worker.shard)
                        continue
                    why = (
                        f"its worker died {ATTEMPTS} times, the last time with code {worker.process.exitcode}"
                    )
                    yield ShardOutcome(worker.shard, problems=[f"shard {worker.shard}: {why}"])
                    continue
                if kind == "tell":
                    if tell is not None:
                        tell(worker.shard, *said)
                    continue
                busy.remove(worker)
                idle.append((worker.process, worker.pipe))
                yield said[0]
    finally:
        for process, pipe in [*idle, *((w.process, w.pipe) for w in busy)]:
            pipe.close()  # which ends it
            process.join(timeout=0 if process in [w.process for w in busy] else 5)
            if process.is_alive():
                process.terminate()
                process.join(timeout=5)


def attempted(
    out: str | Path,
    number: int,
    options: LineOptions,
    tell: Callable[[float, str], None] | None = None,
) -> ShardOutcome:
    """Work on a shard; what goes wrong with it is in the outcome, and the others go on."""
    try:
        return work_shard(out, number, options, tell)
    except (
        Exception
    ) as error:  # a fault of ours in one shard must not end the others, nor be taken for a death
        said = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, (OSError, ValueError)):
            said = f"{type(error).__name__}: {said}"
        return ShardOutcome(number, problems=[f"shard {number}: {said}"])


def _serve(out: str, options: LineOptions, pipe: Connection) -> None:
    """Be a worker: take numbers of shards until the pipe closes."""
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the first process says when to end
    torch.set_num_threads(options.config.fit.threads)
    _end_with_parent()
    while True:
        try:
            number = pipe.recv()
        except (EOFError, OSError):
            return
        last = [0.0, ""]

        def tell(share: float, doing: str, last: list[Any] = last) -> None:
            if share - last[0] > 0.01 or doing.partition(":")[0] != last[1]:
                last[:] = [share, doing.partition(":")[0]]
                pipe.send(("tell", share, doing))

        try:
            pipe.send(("done", attempted(out, number, options, tell)))
        except (BrokenPipeError, ConnectionError):
            return


def _end_with_parent() -> None:
    """End this process when the one that began it has, even by SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

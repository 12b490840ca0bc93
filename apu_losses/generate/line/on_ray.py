"""Shards over a Ray cluster: actors work as the processes of one machine do, on a shared file system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from apu_losses.generate.line.shard_work import LineOptions, ShardOutcome
from apu_losses.generate.line.workers import ATTEMPTS, attempted


class ShardActor:
    """Works on one shard after the other; models and bodies stay in its memory.

    Args:
        out: the data set.
        options: as for all.
    """

    def __init__(self, out: str, options: LineOptions) -> None:
        import torch

        torch.set_num_threads(options.config.fit.threads)
        self.out, self.options = out, options

    def work(self, number: int) -> ShardOutcome:
        """Work on a shard."""
        return attempted(self.out, number, self.options)


def ray() -> Any:
    """Return the package ``ray``.

    Raises:
        ImportError: it is missing; the message names the extra.
    """
    try:
        import ray as package
    except ImportError:
        raise ImportError("the Ray backend needs ray: pip install 'apu-losses[ray]'") from None
    return package


def on_ray(
    out: str | Path, numbers: Sequence[int], options: LineOptions, actors: int
) -> Iterator[ShardOutcome]:
    """Work on shards by actors in a Ray cluster; give what became of each as soon as it is over.

    A shard is handed out when an actor is free, never before, so that a slow server fills no memory. An actor
    that dies is replaced, and its shard begun again. Joins the cluster of
    ``RAY_ADDRESS``, or starts one here.

    Args:
        out: the data set, by the same path on all machines.
        numbers: of the shards.
        options: as for all; ``fit.device`` that begins with ``cuda`` takes one GPU an actor.
        actors: how many.
    """
    package = ray()
    if not package.is_initialized():
        package.init(log_to_driver=False, include_dashboard=False, logging_level="warning")
    gpus = 1 if options.config.fit.device.startswith("cuda") else 0
    made = package.remote(num_cpus=options.config.fit.threads, num_gpus=gpus)(ShardActor)
    where = str(Path(out).resolve())
    waiting = iter(numbers)
    again: list[int] = []
    attempts: dict[int, int] = {}
    busy: dict[Any, tuple[Any, int]] = {}
    idle: list[Any] = []
    hired: list[Any] = []

    def hand_out() -> None:
        while len(busy) < actors:
            number = again.pop() if again else next(waiting, None)
            if number is None:
                return
            if idle:
                actor = idle.pop()
            else:
                actor = made.remote(where, options)
                hired.append(actor)
            busy[actor.work.remote(number)] = actor, number

    try:
        hand_out()
        while busy:
            ended, _ = package.wait(list(busy), num_returns=1)
            actor, number = busy.pop(ended[0])
            try:
                outcome: ShardOutcome = package.get(ended[0])
            except package.exceptions.RayActorError as error:
                hired.remove(actor)
                attempts[number] = attempts.get(number, 0) + 1
                if attempts[number] < ATTEMPTS:
                    again.append(number)
                    hand_out()
                    continue
                said = str(error).splitlines()[0]
                outcome = ShardOutcome(
                    number, problems=[f"shard {number}: its actor died {ATTEMPTS} times: {said}"]
                )
            else:
                idle.append(actor)
            yield outcome
            hand_out()
    finally:
        for actor in hired:
            package.kill(actor)

"""`apu generate`: a data set from any number of images, on one machine or several."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from apu_contacts.files import OutputError, exclusive, made_folder, refuse_inputs, write_text
from apu_losses.dataset.card import write_cards
from apu_losses.dataset.shard import shard_path
from apu_losses.generate.config import RunConfig, load_policy
from apu_losses.generate.line.log import LOG, Callback, LineLog, Totals
from apu_losses.generate.line.plan import make_plan
from apu_losses.generate.line.shard_work import LineOptions, ShardOutcome
from apu_losses.generate.line.workers import attempted, in_processes

CONFIG = "generate.toml"
PATIENCE = 600.0
"""Seconds that a job waits for others that plan, or write the card, at the same moment."""
Tell = Callable[[float, str], None]


@dataclass
class GenerateSummary:
    """What became of a run.

    Attributes:
        out: the data set.
        shards: how many the plan has, and this run was to work on.
        totals: sums of this run.
        problems: what could not be done, one line each.
        unfinished: numbers of the shards that the next run has to go on with.
        whole: every shard of the plan is there, of whoever worked on it; card and datasheet are written.
    """

    out: Path
    shards: int = 0
    totals: Totals = field(default_factory=Totals)
    problems: list[str] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    whole: bool = False


def generate(
    images: Sequence[str | Path],
    out: str | Path,
    options: LineOptions | None = None,
    *,
    images_per_shard: int = 64,
    processes: int = 1,
    shard: tuple[int, int] = (0, 1),
    backend: Literal["processes", "ray"] = "processes",
    callback: Callback | None = None,
    progress: Tell | None = None,
) -> GenerateSummary:
    """Propose, ask, resolve, start, fit, judge and write; go on where an earlier run was stopped.

    ======================== ====================================================================
    ``000000.parquet``       records of the pairs of one shard; ``.tar`` with photographs if asked
    ``000000.json``          its index: images, digests; a shard without it is not there
    ``plan/``                which image belongs to which shard
    ``work/000000/``         answers of a shard, and whatever is under way
    ``generate.toml``        every option
    ``log.jsonl``            one line a shard: counts, tokens, seconds, problems
    ``README.md``            the card, once all shards are there; ``datasheet.md``, ``duplicates.json``
    ======================== ====================================================================

    The same images and options give the same records, byte for byte once they are sorted, however many
    processes or machines worked on them and however often they were stopped.

    Args:
        images: folders, pictures, lists, as for `run`. The name of a folder is the source of its images.
        out: the data set.
        options: of all stages; defaults if None.
        images_per_shard: the unit of work, and what a worker holds in memory.
        processes: workers on this machine; 1: this process. With Ray: actors in the cluster.
        shard: ``(i, n)``: work on every n-th shard from i on; for arrays of jobs.
        backend: ``"ray"`` spreads the shards over a Ray cluster.
        callback: called after each shard, see `Callback`.
        progress: called with the share that is done, and what is being done.

    Raises:
        ValueError: bad input: no pictures, an option out of range, no model to ask.
        OSError: something cannot be written, is somebody else's, or was made otherwise.
        ImportError: a package of an extra is missing.
    """
    from apu_losses.dataset.arrow import pyarrow

    pyarrow()  # says now what is missing
    options = options or LineOptions()
    part, parts = shard
    if not 0 <= part < parts:
        raise ValueError(f"shard must be (i, n) with 0 <= i < n, got {shard}")
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    if backend not in ("processes", "ray"):
        raise ValueError(f"backend must be 'processes' or 'ray', got {backend!r}")
    if not options.config.ask.model:
        raise ValueError(
            "generate needs the name of a model (--model, or model under [ask] of the config file)"
        )
    load_policy(options.config.contacts)
    options.config.ask.options()
    folder = Path(out)
    refuse_inputs([folder], images)
    summary = GenerateSummary(folder)
    own = LOG if parts == 1 else f"log-{part}-of-{parts}.jsonl"
    with ExitStack() as stack:
        stack.enter_context(made_folder(folder))
        log = stack.enter_context(LineLog(folder / own, callback))
        with _in_turn(folder / CONFIG):
            _keep_config(folder, options.config)
            estimates = options.config.propose.start != "keypoints"
            planned = make_plan(images, folder, images_per_shard=images_per_shard, estimates=estimates)
        numbers = range(part, planned, parts)
        summary.shards = len(numbers)
        shares: dict[int, float] = {}

        def tell(number: int, share: float, doing: str) -> None:
            shares[number] = share
            if progress is not None and len(numbers):
                behind = log.totals.shards + log.totals.already
                told = log.totals.in_words() if log.totals.images else doing
                progress(min(1.0, (behind + sum(shares.values())) / len(numbers)), told)

        for outcome in _worked(folder, numbers, options, processes, backend, tell):
            shares.pop(outcome.number, None)
            log(outcome)
            summary.problems += outcome.problems
            if not outcome.done:
                summary.unfinished.append(outcome.number)
            tell(outcome.number, 0.0, "")
            shares.pop(outcome.number, None)
        summary.totals = log.totals
        summary.unfinished.sort()
        if all(shard_path(folder, number, "json").is_file() for number in range(planned)):
            with _in_turn(folder / CONFIG):
                write_cards(folder)
            summary.whole = True
    return summary


def _worked(
    folder: Path,
    numbers: range,
    options: LineOptions,
    processes: int,
    backend: str,
    tell: Callable[[int, float, str], None],
) -> Iterator[ShardOutcome]:
    if backend == "ray":
        from apu_losses.generate.line.on_ray import on_ray

        yield from on_ray(folder, numbers, options, processes)
    elif processes == 1:
        for number in numbers:
            yield attempted(folder, number, options, partial(tell, number))
    else:
        yield from in_processes(folder, numbers, options, min(processes, max(1, len(numbers))), tell)


@contextmanager
def _in_turn(path: Path) -> Iterator[None]:
    """Hold a lock for the moment that the block takes; jobs of an array that begin together wait."""
    with ExitStack() as stack:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                stack.enter_context(exclusive(path))
                break
            except OutputError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        yield


def _keep_config(folder: Path, config: RunConfig) -> None:
    """Leave all options as a file, unless it says the same already."""
    path = folder / CONFIG
    if path.is_file():
        try:
            RunConfig.load(path)
        except ValueError as error:
            raise OutputError(f"{error}; the folder is not one of `apu generate`, name another") from None
    text = config.to_toml()
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)

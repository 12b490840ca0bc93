"""What one worker does with one shard: run its images through all stages, and write its records."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apu_contacts import __version__
from apu_contacts.digest import digest, file_digest
from apu_contacts.files import OutputError, exclusive, made_folder, write_text
from apu_losses.dataset.record import SCHEMA_VERSION, DatasetError
from apu_losses.dataset.rules import Rules
from apu_losses.dataset.shard import ShardIndex, shard_path, write_shard
from apu_losses.generate.config import RunConfig, load_policy
from apu_losses.generate.inputs import manifest
from apu_losses.generate.line.plan import ShardPlan, read_plan
from apu_losses.generate.line.records import Origin, records_of_run
from apu_losses.generate.run import run

if TYPE_CHECKING:
    from apu_contacts.asking.model import VisionLanguageModel

Tell = Callable[[float, str], None]

WORK = "work"
CLEARING = "clearing"
"""A file that says: what is in the folder is to be removed once the shard is there."""
_NO_MATTER = (
    "parallel",
    "timeout",
    "max_retries",
    "max_calls",
    "max_tokens",
    "max_cost",
    "price_in",
    "price_out",
)
_NOT_RECORDED = ("pictures", "meshes", "batch_size", "threads")


@dataclass(frozen=True)
class LineOptions:
    """How a data set is made; the same for every worker of it.

    Args:
        config: of the stages, as for `apu run`.
        rules: what pairs are judged by.
        pictures: write tars with the photographs, too.
        keep_work: leave scenes and fits of each shard; answers always stay.
        overwrite: make shards again that were made otherwise.
    """

    config: RunConfig = field(default_factory=RunConfig)
    rules: Rules = field(default_factory=Rules)
    pictures: bool = False
    keep_work: bool = False
    overwrite: bool = False


@dataclass
class ShardOutcome:
    """What became of a shard.

    Attributes:
        number: of it.
        done: its index is written; else it is worked on again by the next run.
        fresh: it was worked on by this run.
        images, pairs, kept: how many.
        reasons: rule -> pairs that it rejected.
        asked, prompt_tokens, completion_tokens: of this run's questions.
        cost: of them, at the prices of the configuration; 0 where it names none.
        seconds: wall time.
        stages: stage -> seconds.
        cpu: stage -> CPU seconds of the process, whatever else runs beside it.
        memory: MB that the process holds at the end; 0 where the system does not say.
        problems: what could not be done, one line each.
    """

    number: int
    done: bool = False
    fresh: bool = True
    images: int = 0
    pairs: int = 0
    kept: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    memory: float = 0.0
    problems: list[str] = field(default_factory=list)


def made_from(plan: ShardPlan, options: LineOptions) -> str:
    """Return a digest of all that the records of a shard hang on; of files, size and date."""
    config = dataclasses.asdict(options.config)
    config["ask"] = {k: v for k, v in config["ask"].items() if k not in (*_NO_MATTER, "again")}
    config["fit"] = {k: v for k, v in config["fit"].items() if k not in _NOT_RECORDED}
    read = [
        (f.name, _stamp(f.image), {kind: _stamp(path) for kind, path in sorted(f.files.items())})
        for f in plan.images
    ]
    policy = load_policy(options.config.contacts).to_dict()
    sources = sorted(plan.sources.items())
    return digest(
        [__version__, SCHEMA_VERSION, config, policy, options.rules, options.pictures, sources, read]
    )


def _stamp(path: Path | None) -> object:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return str(path), "missing"
    return str(path), found.st_size, found.st_mtime_ns


def shard_done(out: str | Path, number: int, origin: str, *, overwrite: bool = False) -> ShardIndex | None:
    """Return the index of a shard that is whole and made from the same; None if it is to be made.

    A file that is not what its index vouches for, such as one that was cut off, is made again.

    Raises:
        OutputError: it was made otherwise, and may not be replaced.
    """
    path = shard_path(out, number, "json")
    try:
        index = ShardIndex.load(path)
    except (DatasetError, OSError, ValueError):
        return None
    if index.made_from != origin:
        if overwrite:
            return None
        raise OutputError(
            f"{path}: this shard was made from other files or with other options: name another "
            f"output, or give "
            "--overwrite to make it again (answers are kept)"
        )
    whole = all(
        (found := shard_path(out, number, ending)).is_file() and file_digest(found) == known
        for ending, known in index.digests.items()
    )
    return index if whole else None


def work_shard(
    out: str | Path,
    number: int,
    options: LineOptions,
    tell: Tell | None = None,
    model: VisionLanguageModel | None = None,
) -> ShardOutcome:
    """Work on one shard until its records are written, or as far as it can be done now.

    Args:
        out: the data set, with its plan.
        number: of the shard.
        options: as for all shards.
        tell: called with the share that is done, 0 to 1, and what is being done.
        model: is asked in place of the server of the configuration.

    Raises:
        OutputError: somebody else is at work on it, or it was made otherwise.
        OSError: something cannot be written.
    """
    began = time.perf_counter()
    plan = read_plan(out, number)
    origin = made_from(plan, options)
    outcome = ShardOutcome(number, images=len(plan.images))
    work = Path(out) / WORK / f"{number:06d}"
    watch = _Watch(tell)
    with made_folder(work), exclusive(work / "shard"):
        index = shard_done(out, number, origin, overwrite=options.overwrite)
        if index is not None:
            outcome.done, outcome.fresh, outcome.pairs = True, False, index.records
            if (work / CLEARING).is_file():  # it died once all was written
                _clear(work)
            return outcome
        _work(Path(out), work, plan, origin, options, outcome, watch, model)
    outcome.seconds = time.perf_counter() - began
    outcome.stages, outcome.cpu = watch.ended()
    outcome.memory = _resident()
    return outcome


def _work(
    out: Path,
    work: Path,
    plan: ShardPlan,
    origin: str,
    options: LineOptions,
    outcome: ShardOutcome,
    watch: _Watch,
    model: VisionLanguageModel | None,
) -> None:
    """Work on a shard that is ours, and note in ``outcome`` what became of it."""
    listing = work / "list.jsonl"
    write_text(listing, manifest(plan.images, {}))
    config = options.config.changed({"fit": {"pictures": False, "meshes": False}, "ask": {"again": "empty"}})
    there = [files for files in plan.images if files.image is None or files.image.is_file()]
    gone = [f"{files.name}: {files.image} is gone" for files in plan.images if files not in there]
    if gone:
        write_text(listing, manifest(there, {}))
    outcome.problems += gone
    if there:
        done = run(
            [listing],
            work,
            config,
            model=model,
            body=_body(config.fit.body, config.fit.device),
            progress=watch,
        )
        outcome.problems += [note for note in done.notes if note not in done.passing]
        if done.asked is not None:
            _spent(outcome, work / "answers.jsonl", done.asked.asked, options.config)
            if not done.asked.complete:
                return
        unwritten = [n for n in outcome.problems if ": results not written: " in n]
        if unwritten:
            return
    watch(1.0, "writing")
    policy = digest(load_policy(options.config.contacts).to_dict())
    rows = records_of_run(
        work,
        _with_detected(plan, work),
        Origin(plan.sources, options.config.ask.action, policy, options.rules),
    )
    pairs = Counter(row["image"]["name"] for row in rows)
    images = [
        {
            "name": files.name,
            "source": plan.sources[files.name],
            "pairs": pairs[files.name],
            "problem": "; ".join(
                n.partition(": ")[2] for n in outcome.problems if n.startswith(f"{files.name}: ")
            ),
        }
        for files in plan.images
    ]
    if options.keep_work:
        (work / CLEARING).unlink(missing_ok=True)
    else:
        write_text(work / CLEARING, "")
    write_shard(
        out, ShardIndex(plan.number, images=images, made_from=origin), rows, pictures=options.pictures
    )
    outcome.done, outcome.pairs = True, len(rows)
    outcome.kept = sum(row["verdict"]["kept"] for row in rows)
    outcome.reasons = dict(Counter(reason for row in rows for reason in row["verdict"]["reasons"]))
    if not options.keep_work:
        _clear(work)


class _Watch:
    """Passes progress on, and measures the stages."""

    def __init__(self, tell: Tell | None) -> None:
        self._tell, self._stage = tell, "starting"
        self._since = time.perf_counter(), time.process_time()
        self._spent: dict[str, tuple[float, float]] = {}

    def __call__(self, share: float, doing: str) -> None:
        stage = doing.partition(":")[0]
        if stage == "fitting" and doing.startswith("fitting: writing"):
            stage = "writing fits"
        if stage != self._stage:
            now = time.perf_counter(), time.process_time()
            wall, cpu = self._spent.get(self._stage, (0.0, 0.0))
            self._spent[self._stage] = wall + now[0] - self._since[0], cpu + now[1] - self._since[1]
            self._stage, self._since = stage, now
        if self._tell is not None:
            self._tell(share, doing)

    def ended(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return seconds by stage, and CPU seconds."""
        self(1.0, "done")
        wall, cpu = ({name: round(spent[k], 4) for name, spent in self._spent.items()} for k in (0, 1))
        return wall, cpu


def _resident() -> float:
    """Return the memory of this process in MB; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


@cache
def _body(name: str, device: str) -> Any:
    """Return a body that all shards of a worker share."""
    from apu_losses.bodies import load_body

    return load_body(name, device=device)


def _with_detected(plan: ShardPlan, work: Path) -> list[Any]:
    """Return the images with the keypoint files that this line found."""
    found = []
    for files in plan.images:
        own = work / "detected" / f"{files.name}.npz"
        given = (
            {**files.files, "keypoints": own} if own.is_file() and "keypoints" not in files.files else None
        )
        found.append(files if given is None else dataclasses.replace(files, files=given))
    return found


def _spent(outcome: ShardOutcome, answers: Path, asked: int, config: RunConfig) -> None:
    """Add what this run's questions cost: the last lines of the file of answers are theirs."""
    from apu_contacts.asking.answer_file import read_answers

    outcome.asked = asked
    if not asked or not answers.is_file():
        return
    for record in list(read_answers(answers))[-asked:]:
        outcome.prompt_tokens += int(record.get("prompt_tokens") or 0)
        outcome.completion_tokens += int(record.get("completion_tokens") or 0)
    spent = outcome.prompt_tokens * config.ask.price_in + outcome.completion_tokens * config.ask.price_out
    outcome.cost = spent / 1e6


def _clear(work: Path) -> None:
    """Leave nothing of a shard's work but what was paid for; what says that it is to go, goes last."""
    for item in sorted(work.iterdir(), key=lambda item: item.name == CLEARING):
        if item.name == "answers.jsonl" or item.name.startswith(".apu-lock"):
            continue
        if item.is_dir():
            shutil.rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)

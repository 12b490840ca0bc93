"""The log of a data set's making: one line of JSON a shard, and running totals for whoever watches."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from apu_contacts.files import growing_lines
from apu_contacts.reading import parse_json
from apu_losses.generate.line.shard_work import ShardOutcome

LOG = "log.jsonl"
Scalars = Mapping[str, float]
Callback = Callable[[int, Scalars], None]
"""Called with the number of shards that are done and running totals by name; TensorBoard's ``add_scalar`` and
W&B's ``log`` take them as they are."""


@dataclass
class Totals:
    """Sums over the shards of a run.

    Attributes:
        shards, images, pairs, kept: worked on in this run.
        already: shards that were there before.
        asked, prompt_tokens, completion_tokens, cost: of this run's questions.
        reasons: rule -> pairs that it rejected.
        seconds: since the run began.
        stages: stage -> seconds of all workers together.
    """

    shards: int = 0
    already: int = 0
    images: int = 0
    pairs: int = 0
    kept: int = 0
    asked: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    stages: dict[str, float] = field(default_factory=dict)

    def add(self, outcome: ShardOutcome) -> None:
        """Add what became of a shard."""
        if not outcome.fresh:
            self.already += 1
            return
        self.shards += outcome.done
        for name in ("images", "pairs", "kept", "asked", "prompt_tokens", "completion_tokens", "cost"):
            setattr(self, name, getattr(self, name) + getattr(outcome, name))
        self.reasons.update(outcome.reasons)
        for stage, seconds in outcome.stages.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def scalars(self) -> dict[str, float]:
        """Return names and numbers, ``"rejected/depth"`` for each rule."""
        names = ("images", "pairs", "kept", "asked", "prompt_tokens", "completion_tokens", "cost", "seconds")
        found = {name: float(getattr(self, name)) for name in names}
        found["images_per_second"] = self.images / self.seconds if self.seconds > 0 else 0.0
        return found | {f"rejected/{rule}": float(count) for rule, count in sorted(self.reasons.items())}

    def in_words(self) -> str:
        """One line for a terminal."""
        rate = 60 * self.images / self.seconds if self.seconds > 0 else 0.0
        tokens = self.prompt_tokens + self.completion_tokens
        said = f"{self.images} images, {rate:.0f} a minute, {self.kept} of {self.pairs} pairs kept"
        said += f", {tokens} tokens"
        said += f", {self.cost:.4g} spent" if self.cost else ""
        worst = ", ".join(f"{rule} {count}" for rule, count in self.reasons.most_common(3))
        return f"{said}; rejected: {worst}" if worst else said


class LineLog:
    """Writes ``log.jsonl`` and tells callbacks; a context manager. Several runs may follow in one file.

    Args:
        path: the file; only one run writes to it at a time.
        callback: see `Callback`.
    """

    def __init__(self, path: str | Path, callback: Callback | None = None) -> None:
        self._context = growing_lines(path, _is_ours, "the log of apu generate", begins=b'{"shard": ')
        self._callback, self._began = callback, time.perf_counter()
        self.totals = Totals()

    def __enter__(self) -> LineLog:
        self._lines = self._context.__enter__()
        self._lines.lines.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, trace)

    def __call__(self, outcome: ShardOutcome) -> None:
        """Note what became of a shard."""
        self.totals.seconds = time.perf_counter() - self._began
        self.totals.add(outcome)
        if outcome.fresh:
            entry = {"shard": outcome.number, "time": round(time.time(), 3), **asdict(outcome)}
            entry.pop("number")
            self._lines.write(json.dumps(entry))
        if self._callback is not None:
            self._callback(self.totals.shards + self.totals.already, self.totals.scalars())


def _is_ours(line: bytes) -> bool:
    try:
        entry = parse_json(line, "line", checked=False)
    except ValueError:
        return False
    return isinstance(entry, dict) and {"shard", "time", "done"} <= entry.keys()

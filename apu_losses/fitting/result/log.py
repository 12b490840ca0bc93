"""Watching a fit: the loss of every scene, iteration and term as lines of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any

from apu_contacts.files import is_stream, refuse_foreign, write_bytes
from apu_contacts.reading import parse_json
from apu_losses.fitting.solve.progress import FitProgress


class FitLog:
    """A callback of `SceneFitter.fit` that writes a file while the fit runs.

    One line for each scene and iteration: ``{"number", "scene", "attempt", "stage", "iteration", "taken",
    "loss", "terms"}``, with the place of the scene in the list that is fitted, whether it took the step that
    was tried, and weighted values of where it stands; what is not finite is null. A batch that is fitted
    again, because a scene in it broke, is logged again: of a scene the lines of the last attempt count.

    ::

        with FitLog("fit.jsonl") as log:
            fitter.fit(scenes, callback=log)

    Args:
        path: the file, written anew; an existing one that is no such log is left alone.
        every: write each this many iterations only, and the first.
        keep: ``(number, scene)`` of the scenes whose lines of an existing log stay, for a fit that goes on.
        overwrite: replace an existing file whatever it is.

    Raises:
        ValueError: ``every`` is not positive.
        OSError: the file cannot be written, or is something else.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        every: int = 1,
        keep: Collection[tuple[int, str]] = (),
        overwrite: bool = False,
    ) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self.every = every
        refuse_foreign(path, _is_log, "the log of a fit", overwrite=overwrite)
        if not is_stream(path):
            write_bytes(path, b"".join(_kept_lines(Path(path), keep)))
        self._stream = Path(path).open("a", encoding="utf-8", newline="\n")  # noqa: SIM115  closed by `close`

    def __call__(self, event: FitProgress) -> None:
        """Write what a step reports, if it is the turn of its iteration."""
        if event.iteration % self.every:
            return
        terms = {name: values.tolist() for name, values in event.terms.items()}
        columns = (event.scenes.tolist(), event.loss.tolist(), event.taken.tolist())
        for place, (number, loss, taken) in enumerate(zip(*columns, strict=True)):
            line: dict[str, Any] = {
                "number": number,
                "scene": event.state.batch.scenes[place].name,
                "attempt": event.attempt,
                "stage": event.stage,
                "iteration": event.iteration,
                "taken": taken,
                "loss": _finite(loss),
                "terms": {name: _finite(values[place]) for name, values in terms.items()},
            }
            self._stream.write(json.dumps(line, allow_nan=False) + "\n")
        self._stream.flush()  # whoever watches sees each iteration

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> FitLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_log(path: Path) -> bool:
    """By its first line; the last one may have been cut off."""
    with path.open("rb") as file:
        first = file.readline(1 << 20)
    if not first.endswith(b"\n"):
        return first.startswith(b'{"number": ')
    return _source(first) is not None


def _source(line: bytes) -> tuple[int, str] | None:
    """Return number and name of the scene that a line is of; None if it is no line of a log."""
    try:
        entry = parse_json(line, "line", checked=False)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not {"number", "scene", "stage", "iteration", "loss"} <= entry.keys():
        return None
    return entry["number"], entry["scene"]


def _kept_lines(path: Path, keep: Collection[tuple[int, str]]) -> list[bytes]:
    if not keep or not path.is_file():
        return []
    with path.open("rb") as file:
        return [line for line in file if line.endswith(b"\n") and _source(line) in keep]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

"""Watching a fit: the loss of every scene, iteration and term as lines of JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import TracebackType
from typing import Any

from apu_losses.fitting.progress import FitProgress


class FitLog:
    """A callback of `SceneFitter.fit` that writes a file while the fit runs.

    One line for each scene and iteration: ``{"number", "scene", "stage", "iteration", "loss", "terms"}``,
    with the place of the scene in the list that is fitted, and weighted values; what is not finite is null.
    A batch that is fitted again, because a scene in it broke, is logged again: its later lines count.

    ::

        with FitLog("fit.jsonl") as log:
            fitter.fit(scenes, callback=log)

    Args:
        path: the file, written anew.
        every: write each this many iterations only, and the first.

    Raises:
        ValueError: ``every`` is not positive.
        OSError: the file cannot be written.
    """

    def __init__(self, path: str | Path, *, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self.every = every
        self._stream = Path(path).open("w", encoding="utf-8")  # noqa: SIM115  closed by `close`

    def __call__(self, event: FitProgress) -> None:
        if event.iteration % self.every:
            return
        terms = {name: values.tolist() for name, values in event.terms.items()}
        for place, (number, loss) in enumerate(zip(event.scenes.tolist(), event.loss.tolist(), strict=True)):
            line: dict[str, Any] = {
                "number": number,
                "scene": event.state.batch.scenes[place].name,
                "stage": event.stage,
                "iteration": event.iteration,
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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

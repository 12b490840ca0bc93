"""What tests of the production line share: four pictures, a server, and the cheapest honest configuration."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthetic_photos import AnswerServer, write_photos

from apu_losses.dataset import records
from apu_losses.fitting import Preset, Stage
from apu_losses.generate.config import RunConfig
from apu_losses.generate.line.records import lines
from apu_losses.generate.line.shard_work import LineOptions

SHORT = Preset(
    "short",
    {"keypoints": {}, "contact": {"over": "parts"}, "initial_pose": {}},
    (Stage("one", {"keypoints": 0.02, "contact": 1e4, "initial_pose": 100.0}, ("transl",), 0.02, 2),),
)


@contextmanager
def answering(answers: list[str], kind: type[AnswerServer] = AnswerServer) -> Iterator[AnswerServer]:
    """A server that runs until the block ends."""
    server = kind(answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def photos(folder: Path, count: int = 4) -> list[str]:
    """Write pictures that nobody looks at; return the answers about them."""
    SHORT.save(folder.parent / "short.json")
    return list(write_photos(folder, count, draw=False).values())


def options(folder: Path, url: str, **more: object) -> LineOptions:
    ask = {"model": "m", "base_url": url, "example": False, "parallel": 2, "max_retries": 0, "timeout": 5.0}
    fit = {"preset": str(folder.parent / "short.json")}
    return LineOptions(
        RunConfig().changed({"ask": ask, "fit": fit, "propose": {"start": "estimate"}}), **more
    )


def content(out: Path) -> str:
    """All records of a data set, sorted: what must not hang on how it was made."""
    return lines(list(records(out)))

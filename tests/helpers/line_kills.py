"""Lines that die: children that are killed, at random moments or between two operations on files.

A child is forked when all is warm, so that each costs its work alone. Whoever calls this must not have begun
anything that a fork leaves behind half (a Ray driver, a pool of threads under way).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_WRITES = frozenset("wax+")
_CHANGES = frozenset(
    ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "shutil.rmtree")
)
FAILED = 3
"""What a child ends with whose run was not whole."""


def changes_files(event: str, args: tuple[Any, ...]) -> bool:
    """Whether an audit event tells of a file that is about to be written, named, or removed."""
    if event == "open":
        mode, flags = args[1], args[2]
        return bool(_WRITES & set(mode)) if isinstance(mode, str) else bool(int(flags or 0) & os.O_ACCMODE)
    return event in _CHANGES


def in_child(
    work: Callable[[], bool],
    *,
    die_before: int | None = None,
    after: Callable[[int], None] | None = None,
    lasts: float | None = None,
    limit: Callable[[], None] | None = None,
) -> int:
    """Run ``work`` in a forked child; return its wait status.

    Args:
        work: returns whether all is done.
        die_before: the number of the operation on files before which the child kills itself.
        after: called with the child's id after ``lasts`` seconds, unless it has ended.
        lasts: see there.
        limit: called in the child before it works, for instance to set limits of the process.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if limit is not None:
                limit()
            if die_before is not None:
                _count_operations(die_before)
            code = 0 if work() else FAILED
        except OSError as error:
            code = FAILED
            with contextlib.suppress(OSError):  # what it would be written to may be full, too
                print(f"child: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    ended = threading.Event()
    thread = None
    if after is not None and lasts is not None:

        def strike() -> None:
            if not ended.wait(lasts):
                after(child)

        thread = threading.Thread(target=strike, daemon=True)
        thread.start()
    _, status = os.waitpid(child, 0)
    ended.set()
    if thread is not None:
        thread.join()
    return status


def _count_operations(last: int) -> None:
    seen = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal seen
        if changes_files(event, args):
            seen += 1
            if seen > last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def operations(work: Callable[[], bool]) -> int:
    """Return how many operations on files an undisturbed run of ``work`` does, in a child."""
    reader, writer = os.pipe()

    def counted() -> bool:
        seen = [0]

        def hook(event: str, args: tuple[Any, ...]) -> None:
            seen[0] += changes_files(event, args)

        sys.addaudithook(hook)
        done = work()
        os.write(writer, str(seen[0]).encode())
        return done

    status = in_child(counted)
    os.close(writer)
    found = os.read(reader, 100)
    os.close(reader)
    assert status == 0, status
    return int(found)


def sigkill(process: int) -> None:
    """Kill a process of ours, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def descendants(process: int, named: str = "") -> list[int]:
    """Return the processes that came of one, of whose command line ``named`` is a part; Linux."""
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(place.name))
    found, left = [], [process]
    while left:
        for child in parents.get(left.pop(), ()):
            left.append(child)
            try:
                said = (Path("/proc") / str(child) / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if named in said:
                found.append(child)
    return found


def stage_of(out: Path) -> str:
    """Return how far a data set is, by the files of its first shard that is under way."""
    if not (out / "plan" / "000000.json").is_file():
        return "planning"
    for number in range(len(list((out / "plan").glob("*.json")))):
        if (out / f"{number:06d}.json").is_file():
            continue
        work = out / "work" / f"{number:06d}"
        if (out / f"{number:06d}.parquet").is_file():
            return "writing the index"
        if (work / "fits").is_dir() and any((work / "fits").glob("*.json")):
            return "fitting, writing records"
        for name, stage in (("contacts.jsonl", "fitting"), ("answers.jsonl", "asking, resolving")):
            if (work / name).is_file():
                return stage
        return "proposing" if (work / "images.jsonl").is_file() else "starting"
    return "writing the card"


def files_of(out: Path) -> list[str]:
    """Return the names of all files of a data set: nothing half-written may be left among them."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


@dataclass
class Tally:
    """What became of lines that were killed.

    Attributes:
        kills: how many.
        rounds: lines that were killed until they were done.
        asked: questions that came to the server.
        needed: questions of as many undisturbed lines.
        at: stage -> kills.
        other_records: rounds whose records are not those of an undisturbed line.
        left_over: files that an undisturbed line does not leave.
        seconds: of it all.
    """

    kills: int = 0
    rounds: int = 0
    asked: int = 0
    needed: int = 0
    at: Counter[str] = field(default_factory=Counter)
    other_records: int = 0
    left_over: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        found = {**vars(self), "seconds": round(time.perf_counter() - self.began, 1)}
        found.pop("began")
        return found

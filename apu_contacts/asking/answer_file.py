"""The file of answers: one record of JSON a line, the memory of what was asked and paid for."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apu_contacts.files import LineFile, growing_lines, is_stream, real_target
from apu_contacts.reading import parse_json

NOT_ANSWERED = "empty"
"""The status of a record whose reply was paid for and holds neither words nor a refusal."""

STATUSES = ("answer", "refused", "unreadable", NOT_ANSWERED)

_WHAT = "a file of answers"
_BEGINS = b'{"question": "'


def sound(words: str) -> str:
    """Return the text as characters that every encoding has: halves of a pair are joined, a half alone
    becomes U+FFFD. A server that cuts an emoji in two sends such halves.
    """
    return words.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def encode_record(record: Mapping[str, Any]) -> str:
    """One line, in ASCII: whatever stands in a record can be written, and no character in it looks like the
    end of a line. A file name that is no UTF-8 comes back as it was.
    """
    return json.dumps(record)


def decode_record(line: bytes) -> dict[str, Any] | None:
    """Return a record of ours (it has ``id``, ``sample`` and ``text``), or None."""
    try:
        record = parse_json(line, "line", checked=False)
    except ValueError:
        return None
    if not isinstance(record, dict) or not {"id", "sample", "text"} <= set(record):
        return None
    return record if isinstance(record["sample"], int) else None


def _is_ours(line: bytes) -> bool:
    return decode_record(line) is not None


@dataclass
class AnswerIndex:
    """What a file of answers has; the last of several records of one question counts.

    Args:
        answered: question -> (status, position of the record).
        named: (id, question) -> number of the sample.
    """

    answered: dict[str, tuple[str, int]] = field(default_factory=dict)
    named: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, record: Mapping[str, Any], position: int) -> None:
        """Note a record. One without a question, of another tool, answers none."""
        question = record.get("question")
        name = str(record["id"])
        self.named[name, question if isinstance(question, str) else ""] = int(record["sample"])
        if isinstance(question, str) and question:
            self.answered[question] = str(record.get("status", "answer")), position

    def has(self, question: str, again: Collection[str] = ()) -> bool:
        """Whether a question has a record whose status is none of ``again``."""
        found = self.answered.get(question)
        return found is not None and found[0] not in again


class AnswerFile:
    """A file of answers that is being added to; see `open_answers`."""

    def __init__(self, lines: LineFile, index: AnswerIndex) -> None:
        self.index = index
        self._lines = lines

    def append(self, record: Mapping[str, Any], *, synced: bool = True) -> None:
        """Write a record; it is whole in the file, and on the disk if ``synced``, when this returns.

        Raises:
            OSError: it cannot be written; nothing of it is in the file.
        """
        line = encode_record(record)
        self._lines.write(line, synced=synced)
        self._lines.lines.append(line.encode("ascii"))
        self.index.add(record, len(self._lines.lines) - 1)

    def record(self, question: str) -> dict[str, Any]:
        """Return the record that answers a question."""
        found = decode_record(self._lines.lines[self.index.answered[question][1]])
        assert found is not None  # it was read when it was noted
        return found


@contextmanager
def open_answers(path: str | Path) -> Iterator[AnswerFile]:
    """Open a file of answers to add to it, alone; a new one can be read by nobody else.

    A whole last line without its end is kept; a half-written one, of a run that was killed, is taken off, if
    the other lines show that the file is ours.

    Raises:
        OSError: the file is something else (it is left as it is), another run is writing into it, or it
            cannot be written.
    """
    made = _make_private(path)
    try:
        with growing_lines(path, _is_ours, _WHAT, begins=_BEGINS) as lines:
            yield AnswerFile(lines, _index(lines.lines))
    finally:
        if made is not None:
            with suppress(OSError):
                if made.stat().st_size == 0:
                    made.unlink()


def _make_private(path: str | Path) -> Path | None:
    """Make a file that only its owner can read, where there is none; photographs' contents are in it."""
    target = real_target(path)
    if is_stream(path) or target.exists():
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return None
    return target


def read_index(path: str | Path) -> AnswerIndex:
    """Return what a file of answers has, without opening it for writing; nothing if it is not there.

    Raises:
        ValueError: if it is something else.
    """
    if not Path(path).is_file():
        return AnswerIndex()
    return _index([line for _, line, _ in _whole_lines(Path(path))])


def _index(lines: list[bytes]) -> AnswerIndex:
    index = AnswerIndex()
    for position, line in enumerate(lines):
        record = decode_record(line)
        if record is not None:
            index.add(record, position)
    return index


def read_answers(path: str | Path) -> Iterator[dict[str, Any]]:
    """Return the records of a file of answers, one after the other. Of a question that was asked again the
    last one counts; a half-written last line, of a run that was killed or is at work, is passed over with a
    warning.

    Raises:
        ValueError: on a line that is no answer; it is named.
    """
    last: dict[tuple[str, str], int] = {}
    for number, _, record in _whole_lines(Path(path)):
        if record.get("question"):
            last[str(record["id"]), str(record["question"])] = number
    for number, _, record in _whole_lines(Path(path), quiet=True):
        question = record.get("question")
        if not question or last.get((str(record["id"]), str(question)), number) == number:
            yield record


def _whole_lines(path: Path, quiet: bool = False) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            record = decode_record(line)
            if record is not None:
                yield number, line, record
            elif number > 1 and not line.endswith(b"\n"):
                if not quiet:
                    warnings.warn(f"{path}, line {number}: half-written, passed over", stacklevel=3)
            else:
                raise ValueError(
                    f"{path}, line {number}: expected an answer (id, sample, text), got {line[:60]!r}"
                )

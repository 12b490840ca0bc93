"""Records of `apu ask` read back: an answer from what the model wrote and from what the server said about
it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from apu_contacts.answers.answer import AnswerParseError, ContactAnswer
from apu_contacts.answers.parse import DEFAULT_CONFIDENCE, parse_answer
from apu_contacts.reading import parse_json

_FILTERED = "content_filter"
_CUT_OFF = ("length", "max_tokens", _FILTERED)
_DECLINED = ("refusal", "safety", "prohibited_content", "blocklist", "image_safety")


def read_reply(
    text: str,
    finish_reason: str | None = "stop",
    refusal: str | None = None,
    default_confidence: float = DEFAULT_CONFIDENCE,
) -> ContactAnswer:
    """Return what a server sent, read as an answer; what it says about the text counts too.

    A refusal by the server, and an answer that its content filter withheld, are refusals. An answer that was
    cut off at the token limit is truncated, whatever its text looks like.

    Args:
        text: the model's words; "" if there are none.
        finish_reason: why the text ends, in the server's word.
        refusal: the server's own word that the model declined; blank words are none.
        default_confidence: of contacts without a confidence that can be read.

    Raises:
        AnswerParseError: as `parse_answer`; ``truncated`` is set where the server cut the text off.
    """
    if refusal is not None and refusal.strip():
        return ContactAnswer(refusal=refusal, raw=text)
    reason = (finish_reason or "").lower()
    if not text.strip() and (reason == _FILTERED or reason in _DECLINED):
        return ContactAnswer(refusal=f"withheld by the server: {finish_reason}", raw=text)
    try:
        answer = parse_answer(text, default_confidence)
    except AnswerParseError as error:
        error.truncated |= reason in _CUT_OFF
        raise
    if reason in _CUT_OFF and not answer.truncated:
        answer = dataclasses.replace(answer, truncated=True)
    return answer


def answer_of_record(
    record: Mapping[str, Any], default_confidence: float = DEFAULT_CONFIDENCE
) -> ContactAnswer:
    """Return the answer in one line of a file that `apu ask` wrote.

    Args:
        record: with ``text`` (null is no words), and ``finish_reason`` and ``refusal`` where the server
        gave them.
        default_confidence: of contacts without a confidence that can be read.

    Raises:
        ValueError: if the record has no ``text``.
        AnswerParseError: if the text holds no answer and is no refusal.
    """
    text, refusal, reason = record.get("text"), record.get("refusal"), record.get("finish_reason")
    if "text" not in record or not (text is None or isinstance(text, str)):
        raise ValueError(
            f"a record of an answer has the model's words under 'text', got keys "
            f"{sorted(map(str, record))[:12]}; "
            f"is this a line of `apu ask`?"
        )
    return read_reply(
        text or "",
        reason if isinstance(reason, str) else None,
        refusal if isinstance(refusal, str) else None,
        default_confidence,
    )


def record_rows(content: str) -> Iterator[tuple[int, str, Mapping[str, Any] | None]]:
    """Return the lines of a file of answers: number, words, and the record, or None where a line is none.

    Lines end at line feeds only: a model's words may hold other separators (U+2028). A byte order mark is no
    part of them.
    """
    for number, line in enumerate(content.removeprefix("\ufeff").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, "line", checked=False)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not ("text" in row and isinstance(row["text"], (str, type(None)))):
            row = None
        yield number, line, row

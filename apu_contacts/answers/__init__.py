"""What a model's words say: the form of an answer, reading a text, fusing several, explaining one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from apu_contacts.answers.answer import AnswerParseError, ContactAnswer, Repair, Unexplained
from apu_contacts.answers.parse import parse_answer
from apu_contacts.answers.schema import ANSWER_SCHEMA, response_format

# Public name -> the module that defines it; loaded on first use.
_LAZY: dict[str, str] = {
    "Calibration": "fusion",
    "FusedAnswer": "fusion",
    "FusedContact": "fusion",
    "answer_of_record": "records",
    "explain": "explanation",
    "explain_file": "explanation",
    "fuse_answers": "fusion",
    "read_reply": "records",
}

if TYPE_CHECKING:
    from apu_contacts.answers.explanation import explain as explain
    from apu_contacts.answers.explanation import explain_file as explain_file
    from apu_contacts.answers.fusion import Calibration as Calibration
    from apu_contacts.answers.fusion import FusedAnswer as FusedAnswer
    from apu_contacts.answers.fusion import FusedContact as FusedContact
    from apu_contacts.answers.fusion import fuse_answers as fuse_answers
    from apu_contacts.answers.records import answer_of_record as answer_of_record
    from apu_contacts.answers.records import read_reply as read_reply

__all__ = [
    "ANSWER_SCHEMA",
    "AnswerParseError",
    "ContactAnswer",
    "Repair",
    "Unexplained",
    "parse_answer",
    "response_format",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(f"apu_contacts.answers.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'apu_contacts.answers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""Asking a vision language model which body parts touch, and reading what it answers."""

from apu_contacts.lvlm.answer import AnswerParseError, ContactAnswer, Repair, Unexplained
from apu_contacts.lvlm.parse import parse_answer
from apu_contacts.lvlm.schema import ANSWER_SCHEMA, response_format

__all__ = [
    "ANSWER_SCHEMA",
    "AnswerParseError",
    "ContactAnswer",
    "Repair",
    "Unexplained",
    "parse_answer",
    "response_format",
]

"""Asking a vision language model which body parts touch, and reading what it answers.

Clients, crops and the batch path load on first use, so that reading answers needs nothing but NumPy and
jsonschema.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from apu_contacts.lvlm.answer import AnswerParseError, ContactAnswer, Repair, Unexplained
from apu_contacts.lvlm.parse import parse_answer
from apu_contacts.lvlm.schema import ANSWER_SCHEMA, response_format

# Public name -> the module that defines it; loaded on first use.
_LAZY: dict[str, str] = {
    "AskError": "model",
    "AskInterrupted": "ask",
    "AskOptions": "commands",
    "AskSummary": "ask",
    "Budget": "budget",
    "BudgetError": "model",
    "CachedModel": "cache",
    "Calibration": "fusion",
    "Example": "prompt",
    "FusedAnswer": "fusion",
    "FusedContact": "fusion",
    "OpenAIClient": "openai_client",
    "PairQuery": "queries",
    "Prompt": "prompt",
    "ReplayModel": "cache",
    "Reply": "model",
    "ServerRefusal": "model",
    "StopRunError": "model",
    "VisionLanguageModel": "model",
    "answer_of": "ask",
    "answer_of_record": "records",
    "ask_all": "ask",
    "ask_pictures": "commands",
    "build_prompt": "prompt",
    "collect_batch": "batch",
    "crop_picture": "crop",
    "explain": "explanation",
    "explain_file": "explanation",
    "fuse_answers": "fusion",
    "image_queries": "queries",
    "load_example": "prompt",
    "pair_box": "crop",
    "pair_query": "queries",
    "read_answers": "answer_file",
    "read_reply": "records",
    "write_batch": "batch",
}

if TYPE_CHECKING:
    from apu_contacts.lvlm.answer_file import read_answers as read_answers
    from apu_contacts.lvlm.ask import AskInterrupted as AskInterrupted
    from apu_contacts.lvlm.ask import AskSummary as AskSummary
    from apu_contacts.lvlm.ask import answer_of as answer_of
    from apu_contacts.lvlm.ask import ask_all as ask_all
    from apu_contacts.lvlm.batch import collect_batch as collect_batch
    from apu_contacts.lvlm.batch import write_batch as write_batch
    from apu_contacts.lvlm.budget import Budget as Budget
    from apu_contacts.lvlm.cache import CachedModel as CachedModel
    from apu_contacts.lvlm.cache import ReplayModel as ReplayModel
    from apu_contacts.lvlm.commands import AskOptions as AskOptions
    from apu_contacts.lvlm.commands import ask_pictures as ask_pictures
    from apu_contacts.lvlm.crop import crop_picture as crop_picture
    from apu_contacts.lvlm.crop import pair_box as pair_box
    from apu_contacts.lvlm.explanation import explain as explain
    from apu_contacts.lvlm.explanation import explain_file as explain_file
    from apu_contacts.lvlm.fusion import Calibration as Calibration
    from apu_contacts.lvlm.fusion import FusedAnswer as FusedAnswer
    from apu_contacts.lvlm.fusion import FusedContact as FusedContact
    from apu_contacts.lvlm.fusion import fuse_answers as fuse_answers
    from apu_contacts.lvlm.model import AskError as AskError
    from apu_contacts.lvlm.model import BudgetError as BudgetError
    from apu_contacts.lvlm.model import Reply as Reply
    from apu_contacts.lvlm.model import ServerRefusal as ServerRefusal
    from apu_contacts.lvlm.model import StopRunError as StopRunError
    from apu_contacts.lvlm.model import VisionLanguageModel as VisionLanguageModel
    from apu_contacts.lvlm.openai_client import OpenAIClient as OpenAIClient
    from apu_contacts.lvlm.prompt import Example as Example
    from apu_contacts.lvlm.prompt import Prompt as Prompt
    from apu_contacts.lvlm.prompt import build_prompt as build_prompt
    from apu_contacts.lvlm.prompt import load_example as load_example
    from apu_contacts.lvlm.queries import PairQuery as PairQuery
    from apu_contacts.lvlm.queries import image_queries as image_queries
    from apu_contacts.lvlm.queries import pair_query as pair_query
    from apu_contacts.lvlm.records import answer_of_record as answer_of_record
    from apu_contacts.lvlm.records import read_reply as read_reply

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
        value = getattr(import_module(f"apu_contacts.lvlm.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'apu_contacts.lvlm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

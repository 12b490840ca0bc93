"""Asking a vision language model which body parts touch: prompt, crop, clients, cache, runs, batch files."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Public name -> the module that defines it; loaded on first use.
_LAZY: dict[str, str] = {
    "AskError": "model",
    "AskInterrupted": "ask",
    "AskOptions": "commands",
    "AskSummary": "ask",
    "Budget": "budget",
    "BudgetError": "model",
    "CachedModel": "cache",
    "Example": "prompt",
    "OpenAIClient": "openai_client",
    "PairQuery": "queries",
    "Prompt": "prompt",
    "ReplayModel": "cache",
    "Reply": "model",
    "ServerRefusal": "model",
    "StopRunError": "model",
    "VisionLanguageModel": "model",
    "answer_of": "ask",
    "ask_all": "ask",
    "ask_pictures": "commands",
    "build_prompt": "prompt",
    "collect_batch": "batch",
    "crop_picture": "crop",
    "image_queries": "queries",
    "load_example": "prompt",
    "pair_box": "crop",
    "pair_query": "queries",
    "read_answers": "answer_file",
    "write_batch": "batch",
}

if TYPE_CHECKING:
    from apu_contacts.asking.answer_file import read_answers as read_answers
    from apu_contacts.asking.ask import AskInterrupted as AskInterrupted
    from apu_contacts.asking.ask import AskSummary as AskSummary
    from apu_contacts.asking.ask import answer_of as answer_of
    from apu_contacts.asking.ask import ask_all as ask_all
    from apu_contacts.asking.batch import collect_batch as collect_batch
    from apu_contacts.asking.batch import write_batch as write_batch
    from apu_contacts.asking.budget import Budget as Budget
    from apu_contacts.asking.cache import CachedModel as CachedModel
    from apu_contacts.asking.cache import ReplayModel as ReplayModel
    from apu_contacts.asking.commands import AskOptions as AskOptions
    from apu_contacts.asking.commands import ask_pictures as ask_pictures
    from apu_contacts.asking.crop import crop_picture as crop_picture
    from apu_contacts.asking.crop import pair_box as pair_box
    from apu_contacts.asking.model import AskError as AskError
    from apu_contacts.asking.model import BudgetError as BudgetError
    from apu_contacts.asking.model import Reply as Reply
    from apu_contacts.asking.model import ServerRefusal as ServerRefusal
    from apu_contacts.asking.model import StopRunError as StopRunError
    from apu_contacts.asking.model import VisionLanguageModel as VisionLanguageModel
    from apu_contacts.asking.openai_client import OpenAIClient as OpenAIClient
    from apu_contacts.asking.prompt import Example as Example
    from apu_contacts.asking.prompt import Prompt as Prompt
    from apu_contacts.asking.prompt import build_prompt as build_prompt
    from apu_contacts.asking.prompt import load_example as load_example
    from apu_contacts.asking.queries import PairQuery as PairQuery
    from apu_contacts.asking.queries import image_queries as image_queries
    from apu_contacts.asking.queries import pair_query as pair_query

__all__ = [
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(f"apu_contacts.asking.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'apu_contacts.asking' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

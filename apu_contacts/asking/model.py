"""What a vision language model is to this package: one call from a prompt to a reply."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from apu_contacts.asking.prompt import Prompt


@dataclass(frozen=True)
class Reply:
    """What came back, and was paid for, whether or not it holds an answer.

    Args:
        text: the model's words; "" if it gave none.
        finish_reason: ``"stop"``, ``"length"`` (cut off), ``"content_filter"``, or what else the server said.
        refusal: the server's or the model's word that it declined, where there is one; never "".
        model: the model that answered, as the server names it.
        prompt_tokens: as the server counts them; 0 if it does not say.
        completion_tokens: the same, thoughts included.
        source: where ``text`` stood: ``"content"``, ``"tool_call"``, or ``"reasoning"`` where the whole
            answer stood among the model's thoughts and nowhere else.
        note: why there is no text, or what was changed in the request for this server; "" if there is nothing
            to say.
        reasoning: the model's thoughts, kept only where it gave nothing else. No contact is read from them.
        cached: it was read from a cache and cost nothing.
    """

    text: str
    finish_reason: str = "stop"
    refusal: str | None = None
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    source: str = "content"
    note: str = ""
    reasoning: str = ""
    cached: bool = False

    @property
    def empty(self) -> bool:
        """Whether it holds neither words nor a refusal: paid for, recorded, and no answer."""
        return not self.text.strip() and self.refusal is None

    def to_json(self) -> dict[str, Any]:
        """All fields but ``cached``."""
        return {key: value for key, value in asdict(self).items() if key != "cached"}

    @classmethod
    def from_json(cls, row: dict[str, Any], cached: bool = False) -> Reply:
        """Return the inverse of `to_json`.

        Raises:
            ValueError: if ``row`` is not such an object.
        """
        known = set(cls.__dataclass_fields__) - {"cached"}
        if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not set(row) <= known:
            raise ValueError(f"a reply must have the keys {', '.join(sorted(known))}, got {str(row)[:80]}")
        return cls(**row, cached=cached)


@runtime_checkable
class VisionLanguageModel(Protocol):
    """Anything that answers prompts. Calls may come from several threads."""

    @property
    def identity(self) -> str:
        """Model and settings in one line, the same for answers that may stand for each other: a key of the
        cache.
        """

    def __call__(self, prompt: Prompt, sample: int = 0) -> Reply:
        """Answers one prompt.

        Args:
            prompt: the question.
            sample: which of several answers to the same question is asked for.

        Raises:
            StopRunError: if no further question can be answered either.
            AskError: if there is no answer to this one.
        """


class AskError(RuntimeError):
    """A model could not be asked. The message never holds the API key.

    Args:
        message: what was tried, what came, and the likely cause.
        retryable: asking again later may help.
    """

    def __init__(self, message: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class StopRunError(AskError):
    """Every further question would fail in the same way: a run ends here and keeps what it has."""


class BudgetError(StopRunError):
    """The cap on spend is reached; nothing was sent."""


class ServerRefusal(StopRunError):
    """The server refuses for a reason that holds for every question: the key, the account, the model's name,
    the address.
    """

"""Any server that speaks OpenAI's chat completions: the hosted ones, vLLM, SGLang, Ollama."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from apu_contacts.lvlm.model import AskError, BudgetError, Reply
from apu_contacts.lvlm.prompt import Prompt
from apu_contacts.lvlm.schema import response_format

_KEY_VARIABLE = "OPENAI_API_KEY"
_FORMATS = ("json_schema", "json_object", "none")


def chat_body(
    model: str,
    prompt: Prompt,
    sample: int = 0,
    *,
    temperature: float = 0.0,
    max_tokens: int = 2000,
    format: str = "json_schema",
    extra_body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of a chat completion request, as a client sends it and as a line of a batch file holds it.

    ``sample`` becomes the seed where the temperature is above 0. The other arguments are those of
    `OpenAIClient`.
    """
    if format not in _FORMATS:
        raise ValueError(f"format must be one of {', '.join(_FORMATS)}, got {format!r}")
    body: dict[str, Any] = {
        "model": model,
        "messages": prompt.messages(),
        "temperature": temperature,
        "max_tokens": max_tokens,
        **(extra_body or {}),
    }
    if temperature > 0:
        body["seed"] = sample
    if format == "json_schema":
        body["response_format"] = response_format()
    elif format == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body


@dataclass
class Budget:
    """A cap on what a client may spend; shared by all its threads.

    Args:
        max_calls: requests that may be sent, retries included; None for no cap.
        max_tokens: tokens that may be used, as the server counts them; None for no cap.
        max_cost: money, with the two prices; None for no cap.
        price_in: per million prompt tokens.
        price_out: per million completion tokens.

    Tokens and money are known only after an answer: calls that run at the same time may go beyond the cap by
    what they cost.
    """

    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.max_cost is not None and not (self.price_in > 0 or self.price_out > 0):
            raise ValueError(
                "max_cost needs price_in or price_out, the price of a million tokens; both are 0"
            )

    def take_call(self) -> None:
        """Counts a request that is about to be sent.

        Raises:
            BudgetError: if a cap is reached.
        """
        with self._lock:
            for name, used, cap in (
                ("calls", self.calls, self.max_calls),
                ("tokens", self.tokens, self.max_tokens),
                ("cost", self.cost, self.max_cost),
            ):
                if cap is not None and used >= cap:
                    raise BudgetError(
                        f"the budget is spent: {used:g} of max_{name} = {cap:g}; nothing was sent"
                    )
            self.calls += 1

    def add(self, reply: Reply) -> None:
        """Counts what an answer cost."""
        with self._lock:
            self.tokens += reply.prompt_tokens + reply.completion_tokens
            self.cost += (
                reply.prompt_tokens * self.price_in + reply.completion_tokens * self.price_out
            ) / 1e6


class OpenAIClient:
    """A `VisionLanguageModel` behind an OpenAI-compatible server.

    Retried, with waiting times that double and never fall short of the server's ``Retry-After``: time-outs,
    broken connections, half-sent or unreadable bodies, answers without the expected fields, and the status
    codes 408, 409, 429 and from 500 on. Not retried: an exhausted account, and every other refusal of the
    request.

    Args:
        model: name that the server knows.
        base_url: of the server, with ``/v1``; None for OpenAI's own.
        api_key: None takes the environment variable OPENAI_API_KEY; local servers take any word. It is kept
            out of every representation and error message.
        timeout: seconds for connecting and for each wait for data.
        max_retries: further attempts after the first.
        max_parallel: requests at the same time, over all threads.
        budget: cap on spend; None for none.
        temperature: above 0 to get samples that differ.
        max_tokens: cap on an answer's length.
        format: ``"json_schema"`` sends the strict schema, ``"json_object"`` asks for JSON, ``"none"`` sends
            nothing. A server that rejects one gets the next.
        extra_body: further fields of the request, such as vLLM's.
        max_wait: longest single wait between attempts, in seconds; a ``Retry-After`` beyond it is not waited
            for.
        sleep: replaced in tests.

    Raises:
        ImportError: if the ``openai`` package is missing.
        ValueError: if there is no API key for OpenAI's own server, or an option is out of range.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 90.0,
        max_retries: int = 5,
        max_parallel: int = 4,
        budget: Budget | None = None,
        temperature: float = 0.0,
        max_tokens: int = 2000,
        format: str = "json_schema",
        extra_body: dict[str, Any] | None = None,
        max_wait: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        openai = _import_openai()
        if format not in _FORMATS:
            raise ValueError(f"format must be one of {', '.join(_FORMATS)}, got {format!r}")
        if max_parallel < 1 or max_retries < 0 or not timeout > 0:
            raise ValueError(
                f"max_parallel must be at least 1, max_retries at least 0 and timeout above 0, got "
                f"{max_parallel}, "
                f"{max_retries}, {timeout}"
            )
        key = api_key or os.environ.get(_KEY_VARIABLE) or ("" if base_url is None else "none")
        if not key:
            raise ValueError(f"api_key is missing and the environment variable {_KEY_VARIABLE} is not set")
        self._key = key
        self._client = openai.OpenAI(api_key=key, base_url=base_url, timeout=timeout, max_retries=0)
        self._openai = openai
        self.model, self.base_url = model, base_url
        self.max_retries, self.max_wait = max_retries, max_wait
        self.budget = budget or Budget()
        self.temperature, self.max_tokens = temperature, max_tokens
        self._format = format
        self.extra_body = dict(extra_body or {})
        self._slots = threading.BoundedSemaphore(max_parallel)
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"OpenAIClient({self.model!r}, base_url={self.base_url!r})"

    @property
    def identity(self) -> str:
        """Model, server and sampling settings."""
        settings = {"temperature": self.temperature, "max_tokens": self.max_tokens, **self.extra_body}
        return f"{self.model} at {self.base_url or 'openai'} {json.dumps(settings, sort_keys=True)}"

    def __call__(self, prompt: Prompt, sample: int = 0) -> Reply:
        """Asks the server, with retries.

        Raises:
            BudgetError: if the budget is spent.
            AskError: if the last attempt failed too, or the server will not take the request.
        """
        attempt = 0
        while True:
            self.budget.take_call()
            try:
                with self._slots:
                    reply = self._ask(prompt, sample)
                self.budget.add(reply)
                return reply
            except RetryableError as error:
                if error.downgrade:
                    continue
                wait = max(error.retry_after, min(2.0**attempt * 0.5, 30.0))
                if attempt >= self.max_retries or wait > self.max_wait:
                    raise AskError(
                        f"{self!r}: no answer after {attempt + 1} attempts; the last one: {error}", True
                    ) from None
                self._sleep(wait)
                attempt += 1

    def body(self, prompt: Prompt, sample: int = 0) -> dict[str, Any]:
        """The request as JSON."""
        return chat_body(
            self.model,
            prompt,
            sample,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            format=self._format,
            extra_body=self.extra_body,
        )

    def _ask(self, prompt: Prompt, sample: int) -> Reply:
        openai = self._openai
        body = self.body(prompt, sample)
        sent = self._format
        extra = {key: body.pop(key) for key in self.extra_body}
        try:
            completion = self._client.chat.completions.create(**body, extra_body=extra or None)
        except openai.APIStatusError as error:
            raise self._status(error, sent) from None
        except openai.APITimeoutError:
            raise RetryableError("the server did not answer in time") from None
        except (openai.APIConnectionError, openai.APIResponseValidationError, ValueError) as error:
            raise RetryableError(
                self._clean(f"the connection or the answer broke off: {_cause(error)}")
            ) from None
        except openai.OpenAIError as error:
            raise AskError(self._clean(f"{self!r}: {error}")) from None
        except (
            Exception
        ) as error:  # a body that breaks off surfaces as an error of the HTTP library, which has no name here
            raise RetryableError(
                self._clean(f"the answer broke off: {type(error).__name__}: {error}")
            ) from None
        return read_completion(completion)

    def _status(self, error: Any, sent: str) -> Exception:
        """What an error status means: another attempt, another format, or an end."""
        status, words = int(error.status_code), self._clean(str(error.message))[:300]
        told = words.lower()
        about_format = any(word in told for word in ("response_format", "schema", "structured"))
        if status in (400, 422) and about_format and sent != "none":
            if self._format == sent:
                self._format = _FORMATS[_FORMATS.index(sent) + 1]
            return RetryableError(f"the server does not take the format {sent}", downgrade=True)
        if status == 429 and "quota" in told:
            return AskError(f"{self!r}: the account is exhausted: {words}")
        if status in (408, 409, 429) or status >= 500:
            return RetryableError(f"status {status}: {words}", _retry_after(error.response))
        hint = "; is the API key right?" if status in (401, 403) else ""
        return AskError(f"{self!r}: the server refused the request with status {status}: {words}{hint}")

    def _clean(self, words: str) -> str:
        """The words without the API key, whole or in the masked form that servers echo."""
        if len(self._key) >= 8:
            words = words.replace(self._key, "***")
            for piece in words.split():
                bare = piece.strip("'\".,:;()")
                if "*" in bare and bare[:4] == self._key[:4]:
                    words = words.replace(bare, "***")
        return words


class RetryableError(Exception):
    """An attempt that failed in a way that another may not."""

    def __init__(self, message: str, retry_after: float = 0.0, downgrade: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.downgrade = downgrade


def read_completion(completion: Any) -> Reply:
    """A chat completion, as an object of the ``openai`` package or as its JSON, read into a `Reply`.

    Raises:
        RetryableError: if it lacks the expected fields.
    """
    row = completion if isinstance(completion, dict) else getattr(completion, "model_dump", dict)()
    choices = row.get("choices") if isinstance(row, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise RetryableError(f"the answer has no choices[0].message: {str(row)[:120]}")
    content, refusal = message.get("content"), message.get("refusal")
    if not isinstance(content, str) and not isinstance(refusal, str):
        raise RetryableError(f"the answer's message has neither content nor refusal: {str(message)[:120]}")
    usage: dict[str, Any] = row["usage"] if isinstance(row.get("usage"), dict) else {}

    def tokens(name: str) -> int:
        value = usage.get(name)
        return value if isinstance(value, int) and value >= 0 else 0

    return Reply(
        content if isinstance(content, str) else "",
        str(choice.get("finish_reason") or "stop"),
        refusal if isinstance(refusal, str) else None,
        str(row.get("model") or ""),
        tokens("prompt_tokens"),
        tokens("completion_tokens"),
    )


def _retry_after(response: Any) -> float:
    """Seconds of the header ``Retry-After``, given as a number or as a date; 0 without one."""
    headers = getattr(response, "headers", {})
    milliseconds = headers.get("retry-after-ms")
    value = headers.get("retry-after")
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        return max(0.0, float(value)) if value is not None else 0.0
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            return max(0.0, parsedate_to_datetime(str(value)).timestamp() - time.time())
        except (TypeError, ValueError):
            return 0.0


def _cause(error: BaseException) -> str:
    inner = error.__cause__ or error
    return f"{type(inner).__name__}: {str(inner)[:200]}"


def _import_openai() -> Any:
    try:
        import openai
    except ImportError:
        raise ImportError(
            "asking a server needs the openai package: pip install 'apu-losses[lvlm]'"
        ) from None
    return openai

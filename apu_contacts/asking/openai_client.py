"""Any server that speaks OpenAI's chat completions: the hosted ones, vLLM, SGLang, Ollama."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Callable
from typing import Any
from urllib.request import getproxies

from apu_contacts.asking.address import OPENAI_URL, checked_key, server_address
from apu_contacts.asking.budget import Budget as Budget
from apu_contacts.asking.failures import (
    Failure,
    Meaning,
    ServerError,
    error_of_body,
    error_of_document,
    judge,
)
from apu_contacts.asking.model import AskError, Reply, ServerRefusal
from apu_contacts.asking.prompt import Prompt
from apu_contacts.asking.redaction import Redactor, one_line
from apu_contacts.asking.replies import SHOWN, read_body
from apu_contacts.asking.replies import read_completion as read_completion
from apu_contacts.asking.request_body import RequestForm
from apu_contacts.asking.request_body import chat_body as chat_body
from apu_contacts.asking.transport import CutOffError, http_client

KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"
MAX_LOST = 2
"""A question whose answer was lost so often on the way is given up: each may have been paid for."""
_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError")
_NEVER_SENT = ("LocalProtocolError", "UnsupportedProtocol", "InvalidURL")


class OpenAIClient:
    """A `VisionLanguageModel` behind an OpenAI-compatible server.

    Sent again, with waiting times that double and never fall short of what the server asks for: questions
    that did not reach the server, and those that it put off (status 408, 409, 429 and from 500 on). A
    question whose answer was lost on the way (too late, cut off, no chat completion) may have been paid for:
    it is sent again once. An answer without words is an answer, and never asked for again. What the server
    refuses of the request (the format, the name of the token cap, the temperature, the seed) is changed, and
    the change kept for the next question; `Reply.note` says so.

    Args:
        model: name that the server knows.
        base_url: of the server, with ``/v1``; None takes the environment variable OPENAI_BASE_URL, else
            OpenAI's own server.
        api_key: None takes the environment variable OPENAI_API_KEY; local servers take any word. It is kept
            out of every representation, message and answer.
        timeout: seconds for a whole answer, from connecting to its last byte. Models that think need minutes.
        max_retries: further attempts after the first.
        max_parallel: requests at the same time, over all threads.
        budget: cap on spend; None for none.
        temperature: above 0 to get samples that differ.
        max_tokens: cap on an answer's length, thoughts included.
        format: one of `apu_contacts.asking.request_body.FORMATS`: ``"json_schema"`` sends the strict schema,
            ``"json_schema_unbounded"`` leaves its numeric bounds out, ``"json_object"`` asks for JSON,
            ``"none"`` sends nothing. A server that rejects one gets the next.
        length_field: ``"max_tokens"`` or ``"max_completion_tokens"``, the name under which the cap is sent;
            None takes the second for OpenAI's own server and the first for others.
        extra_body: further fields of the request, such as vLLM's.
        max_wait: longest single wait between attempts, in seconds; if the server asks for more, the question
            fails.
        sleep: replaced in tests; None waits until `cancel` is called.

    Raises:
        ImportError: if the ``openai`` package is missing.
        ValueError: if there is no API key for OpenAI's own server, the key cannot be sent, the address is
            none, or an option is out of range.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 300.0,
        max_retries: int = 5,
        max_parallel: int = 4,
        budget: Budget | None = None,
        temperature: float = 0.0,
        max_tokens: int = 2000,
        format: str = "json_schema",
        length_field: str | None = None,
        extra_body: dict[str, Any] | None = None,
        max_wait: float = 120.0,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        openai = _import_openai()
        if max_parallel < 1 or max_retries < 0 or not 0 < timeout < threading.TIMEOUT_MAX or max_tokens < 1:
            raise ValueError(
                f"max_parallel must be at least 1, max_retries at least 0, timeout above 0 and max_tokens at "
                f"least 1, got {max_parallel}, {max_retries}, {timeout} and {max_tokens}"
            )
        if not temperature >= 0:
            raise ValueError(f"temperature must be 0 or above, got {temperature}")
        self._address = server_address(base_url or os.environ.get(URL_VARIABLE) or OPENAI_URL)
        key = _key(api_key, self._address.is_openai)
        default = "max_completion_tokens" if self._address.is_openai else "max_tokens"
        self._wanted = self._form = RequestForm(format, length_field or default)
        self._redactor = Redactor((key, *self._address.secrets, *_proxy_secrets()))
        self._client = openai.OpenAI(
            api_key=key,
            base_url=self._address.url,
            # its own would send again what was paid for: six requests each after a time-out, a gateway's 504
            # and an exhausted account, with five retries; ours are two, two and one
            max_retries=0,
            http_client=http_client(openai, timeout),
            timeout=openai.Timeout(timeout, connect=min(timeout, 30.0)),
        )
        self._openai = openai
        self.model = model
        self.max_retries, self.max_wait = max_retries, max_wait
        self.budget = budget or Budget()
        self.temperature, self.max_tokens = temperature, max_tokens
        self.extra_body = dict(extra_body or {})
        self._slots = threading.BoundedSemaphore(max_parallel)
        self._cancelled = threading.Event()
        self._sleep = sleep
        self._answered = False
        self._not_the_form: set[tuple[int, str]] = set()

    def __repr__(self) -> str:
        return f"OpenAIClient({self.model!r}, base_url={self.base_url!r})"

    @property
    def base_url(self) -> str:
        """The server that is asked, without credentials; ``"openai"`` for OpenAI's own."""
        return self._address.name

    @property
    def identity(self) -> str:
        """Model, server and sampling settings, as they are used."""
        settings = {"temperature": self.temperature, "max_tokens": self.max_tokens, **self.extra_body}
        if self._wanted.format != "json_schema":
            settings["format"] = self._wanted.format
        return f"{self.model} at {self.base_url} {json.dumps(settings, sort_keys=True)}"

    @property
    def settings(self) -> dict[str, Any]:
        """What of `identity` a record states in fields of its own."""
        return {"asked_model": self.model, "server": self.base_url, "temperature": self.temperature}

    def cancel(self) -> None:
        """End the waiting and further attempts of all calls under way; answers on their way still come, and
        later calls are as before.
        """
        under_way, self._cancelled = self._cancelled, threading.Event()
        under_way.set()

    def __call__(self, prompt: Prompt, sample: int = 0) -> Reply:
        """Asks the server, with retries.

        Raises:
            BudgetError: if the budget is spent.
            ServerRefusal: if the server refuses for a reason that holds for every question.
            AskError: if the last attempt failed too, or the server will not take this question.
            ValueError: on a sample after the first at temperature 0.
        """
        form, attempt, lost, cancelled = self._form, 0, 0, self._cancelled
        while True:
            self.budget.take_call()
            with self._slots:
                got = self._attempt(prompt, sample, form)
            if isinstance(got, Reply):
                self.budget.add(got)
                self._answered, self._form = True, form
                return self._clean(got, form)
            if got.meaning is Meaning.FILTERED:
                return self._clean(Reply("", "content_filter", got.message), form)
            if got.meaning is Meaning.FORM and got.form is not None:
                form = got.form
                continue
            if got.meaning is Meaning.RUN:
                raise ServerRefusal(self._words(got.message))
            if got.meaning is Meaning.QUESTION:
                raise AskError(self._words(got.message))
            if got.meaning is Meaning.LOST:
                self.budget.add_lost(self.max_tokens)
                lost += 1
            wait = max(got.retry_after, min(2.0**attempt * 0.5, 30.0))
            attempt += 1
            if attempt > self.max_retries or lost >= MAX_LOST or wait > self.max_wait:
                raise self._given_up(got, attempt, wait)
            (self._sleep or cancelled.wait)(wait)
            if cancelled.is_set():
                raise AskError(self._words(f"stopped while waiting for another attempt: {got.message}"), True)

    def body(self, prompt: Prompt, sample: int = 0) -> dict[str, Any]:
        """Return the request as JSON, in the form that this server takes as far as is known."""
        return self._body(prompt, sample, self._form)

    def _body(self, prompt: Prompt, sample: int, form: RequestForm) -> dict[str, Any]:
        return chat_body(
            self.model,
            prompt,
            sample,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            format=form.format,
            length_field=form.length_field,
            left_out=form.left_out,
            extra_body=self.extra_body,
        )

    def _attempt(self, prompt: Prompt, sample: int, form: RequestForm) -> Reply | Failure:
        """One request, and what became of it."""
        openai = self._openai
        body = self._body(prompt, sample, form)
        pictures = sum(isinstance(piece, bytes) for piece in prompt.pieces)
        model, messages = body.pop("model"), body.pop("messages")
        try:
            raw = self._client.chat.completions.with_raw_response.create(
                model=model, messages=messages, extra_body=body
            )
            content, headers = raw.http_response.content, raw.http_response.headers
        except openai.APIStatusError as error:
            response = error.response
            return self._judge(
                error_of_body(response.status_code, response.content), response, form, pictures
            )
        except Exception as error:  # whatever the HTTP library raises has no name here
            return self._broken(error)
        try:
            document = read_body(content, headers.get("content-type", ""))
            stated = error_of_document(document)
            if stated is not None:
                return self._judge(stated, raw.http_response, form, pictures)
            return read_completion(document)
        except AskError as error:
            # A server that never gave an answer will send such a page to every question.
            page = not error.retryable and not self._answered
            return Failure(Meaning.RUN if page else Meaning.LOST, str(error))

    def _judge(self, error: ServerError, response: Any, form: RequestForm, pictures: int) -> Failure:
        sure = error.kind in self._not_the_form or (self._answered and form == self._form)
        failure = judge(error, response.headers, form=form, pictures=pictures, sure_form=sure)
        if failure.meaning is Meaning.QUESTION and form != self._form:
            # Every form was refused in the same way: the form was not it.
            self._not_the_form.add(error.kind)
        elif failure.meaning is Meaning.FORM and error.kind in self._not_the_form:
            words = f"the server refused the request with {failure.message}"
            failure = Failure(Meaning.QUESTION, words)
        return failure

    def _broken(self, error: Exception) -> Failure:
        """Return what an exception means that is no answer of the server."""
        cause = error if isinstance(error, CutOffError) else error.__cause__ or error
        kind, words = type(cause).__name__, one_line(str(cause), SHOWN)
        if isinstance(cause, CutOffError):
            return Failure(Meaning.LOST, words)
        if isinstance(error, self._openai.APITimeoutError) and kind not in _NOT_SENT:
            return Failure(Meaning.LOST, "the server did not answer in time")
        if kind in _NOT_SENT:
            return Failure(Meaning.RETRY, f"the server cannot be reached: {kind}: {words}")
        if kind in _NEVER_SENT:
            return Failure(Meaning.RUN, f"the question cannot be sent: {kind}: {words}")
        if isinstance(error, (self._openai.APIConnectionError, OSError)):
            return Failure(Meaning.LOST, f"the connection broke off: {kind}: {words}")
        return Failure(Meaning.QUESTION, f"the question cannot be sent: {kind}: {words}")

    def _given_up(self, failure: Failure, attempts: int, wait: float) -> AskError:
        """Return the end of a question that was tried often enough."""
        words = f"no answer after {attempts} attempts; the last one: {failure.message}"
        if failure.retry_after > self.max_wait:
            words += f"; the server asks to wait {wait:.0f} s, longer than {self.max_wait:g} s"
        if failure.meaning is Meaning.LOST:
            words += (
                "; what was lost may have been paid for: raise --timeout (timeout=) if answers take longer"
            )
        unreachable = not self._answered and failure.message.startswith("the server cannot be reached")
        return (ServerRefusal if unreachable else AskError)(self._words(words), True)

    def _words(self, message: str) -> str:
        """Return a message of this client without secrets, in one line that a terminal can show."""
        return self._redactor.message(f"{self!r}: {one_line(message, 3 * SHOWN)}")

    def _clean(self, reply: Reply, form: RequestForm) -> Reply:
        """Return a reply without the key, in case that the server or the model repeated it."""
        notes = [note for note in (reply.note, form.changes(self._wanted)) if note]
        hidden = self._redactor.answer
        return dataclasses.replace(
            reply,
            text=hidden(reply.text),
            finish_reason=hidden(reply.finish_reason),
            refusal=None if reply.refusal is None else self._redactor.message(reply.refusal),
            model=hidden(reply.model),
            note=hidden("; ".join(notes)),
            reasoning=hidden(reply.reasoning),
        )


def _key(api_key: str | None, hosted: bool) -> str:
    """Return the key to send."""
    origin = "api_key" if api_key else f"environment variable {KEY_VARIABLE}"
    key = checked_key(api_key or os.environ.get(KEY_VARIABLE) or "", origin)
    if not key and hosted:
        raise ValueError(f"api_key is missing and the environment variable {KEY_VARIABLE} is not set")
    return key or "none"


def _proxy_secrets() -> list[str]:
    """Passwords of the proxies that the environment names; errors of the HTTP library may show them."""
    found: list[str] = []
    for url in getproxies().values():
        try:
            found += server_address(url).secrets
        except ValueError:
            continue
    return found


def _import_openai() -> Any:
    try:
        import openai
    except ImportError:
        raise ImportError(
            "asking a server needs the openai package: pip install 'apu-losses[lvlm]'"
        ) from None
    return openai

"""What it means that a server did not answer: try again, ask in another form, or give up, and how much.

Meaning is taken from the status and the error's own code and type; words of a message only add to it where no
code is known, and never turn a limit that passes into one that does not.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from apu_contacts.asking.address import shown_url
from apu_contacts.asking.redaction import one_line
from apu_contacts.asking.replies import SHOWN
from apu_contacts.asking.request_body import RequestForm
from apu_contacts.reading import parse_json

_EXHAUSTED = frozenset(
    [
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_balance",
        "insufficient_credits",
        "credit_balance_too_low",
        "exceeded_current_quota_error",
        "account_deactivated",
        "access_terminated",
        "insufficient_user_quota",
        "arrearage",
        "payment_required",
        "billing_error",
    ]
)
_KEY_CODES = frozenset(
    [
        "invalid_api_key",
        "authentication_error",
        "invalid_authentication",
        "unauthorized",
        "permission_error",
        "permission_denied",
        "unauthenticated",
        "api_key_invalid",
        "invalid_authentication_error",
    ]
)
_MODEL_CODES = frozenset(["model_not_found", "model_not_exist", "deploymentnotfound", "not_found_error"])
_FILTER_CODES = frozenset(
    [
        "content_filter",
        "content_policy_violation",
        "moderation_blocked",
        "responsibleaipolicyviolation",
        "data_inspection_failed",
        "datainspectionfailed",
        "sensitive_content",
    ]
)
_RATE_CODES = frozenset(
    ["rate_limit_exceeded", "rate_limit_error", "too_many_requests", "resource_exhausted"]
)
_ABOUT_PICTURE = frozenset(
    [
        "context_length_exceeded",
        "string_above_max_length",
        "invalid_image",
        "invalid_image_format",
        "image_parse_error",
        "invalid_image_url",
        "request_too_large",
    ]
)
_FORMAT_STATUSES = (400, 404, 415, 422, 424, 500, 501)
_SURELY_STATUSES = (400, 415, 422, 424)
_LOST_STATUSES = (504, 524)
"""A gateway gave up waiting for a model that may well have answered."""

_FORMAT_WORDS = re.compile(
    r"response[_ ]?format|output_config|json[_ ]?(?:schema|object|mode)|structured|grammar|guided"
    r"|xgrammar|outlines|\bschema\b|requested parameters"
    r"|propert\w*,? (?:maximum|minimum)|['\"`](?:maximum|minimum)['\"`]"
)
_KEY_WORDS = re.compile(r"api[_ ]?key[_ ](?:not[_ ]valid|invalid)|invalid api[_ ]key|incorrect api[_ ]key")
_MODEL_WORDS = re.compile(
    r"\bmodel\b.{0,80}?\b(?:not (?:found|exist)|does not exist|doesn't exist)|unknown model"
)
_ONE_PICTURE = re.compile(
    r"\b(?:at most|maximum of|up to|only|more than|limit\w*)\b.{0,30}\b(?:1|one|single)\b.{0,20}\bimages?\b"
    r"|\bonly (?:one|a single|1) image|\bmultiple images\b|\bimages?\b.{0,40}\b(?:at most|up to) (?:1|one)\b"
)
_WAIT_WORDS = re.compile(
    r"(?:retry|try again) (?:in|after) (\d+(?:\.\d+)?) ?"
    r"(ms|milliseconds?|s\b|sec(?:onds?)?|m\b|min(?:utes?)?|h\b)"
)


class Meaning(Enum):
    """What a failed attempt asks for."""

    RETRY = "it was not answered, and may be if it is sent again"
    LOST = "it may have been answered and paid for, but the answer did not come"
    FORM = "the server does not take it in this form"
    FILTERED = "a filter of the server withheld the answer"
    QUESTION = "this question will not be answered"
    RUN = "no question will be answered"


@dataclass(frozen=True)
class Failure:
    """A failed attempt.

    Args:
        meaning: what it asks for.
        message: for people; it may still hold secrets.
        retry_after: seconds that the server asks to wait.
        form: how to ask instead, where ``meaning`` is ``FORM``.
    """

    meaning: Meaning
    message: str
    retry_after: float = 0.0
    form: RequestForm | None = None


@dataclass(frozen=True)
class ServerError:
    """An error that a server states, with a status or inside of a body.

    Args:
        status: of HTTP, or what the body gives as one.
        codes: the error's codes and type, lower case.
        parameter: the parameter that it is about, or "".
        words: what it says, for people.
        searched: everything it says, lower case, to look for words in.
        structured: the body is JSON, as a server of this interface sends it.
    """

    status: int
    codes: frozenset[str]
    parameter: str
    words: str
    searched: str
    structured: bool

    @property
    def kind(self) -> tuple[int, str]:
        """The same for errors that differ in their numbers only."""
        return self.status, re.sub(r"\d+", "#", self.searched)[:200]


def error_of_body(status: int, body: bytes) -> ServerError:
    """Return the error in the body of an answer with an error status."""
    try:
        document = parse_json(body, "body", checked=False)
    except ValueError:
        text = body[:100_000].decode("utf-8", "replace")
        words = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
        return ServerError(status, frozenset(), "", one_line(words, SHOWN), words[:4000].lower(), False)
    return _error(status, document)


def error_of_document(document: Any) -> ServerError | None:
    """Return the error that the JSON document of an answer with status 200 states; None if it states none."""
    row = document[0] if isinstance(document, list) and len(document) == 1 else document
    if not isinstance(row, dict):
        return None
    choices = row.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message")
        silent = not (isinstance(message, dict) and message.get("content"))
        return _error(200, choices[0]) if choices[0].get("error") and silent else None
    return _error(200, row) if row.get("error") else None


def _error(status: int, document: Any) -> ServerError:
    row = document[0] if isinstance(document, list) and document else document
    error = row.get("error", row) if isinstance(row, dict) else row
    fields = error if isinstance(error, dict) else {}
    named = [fields.get(name) for name in ("code", "type", "status", "reason")]
    inner = fields.get("innererror")
    named.append(inner.get("code") if isinstance(inner, dict) else None)
    codes = frozenset(
        str(value).strip().lower() for value in named if isinstance(value, (str, int)) and value
    )
    if status == 200:
        numbers = [int(code) for code in codes if code.isdecimal() and 400 <= int(code) < 600]
        status = numbers[0] if numbers else _status_of(codes)
    metadata = fields.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    words = error if isinstance(error, str) else fields.get("message") or fields.get("detail")
    if isinstance(row, dict) and row.get("detail"):
        words = row["detail"]
    said = words if isinstance(words, str) else json.dumps(words or error, ensure_ascii=False)
    if raw:
        said += f" ({raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False)})"
    everything = json.dumps(_without_echo(document), ensure_ascii=False)[:8000].lower()
    parameter = fields.get("param")
    return ServerError(
        status,
        codes,
        parameter.lower() if isinstance(parameter, str) else "",
        one_line(said, SHOWN),
        everything,
        True,
    )


def _without_echo(document: Any, depth: int = 8) -> Any:
    """Return a document without the request that some servers repeat in it, whose words mean nothing."""
    if isinstance(document, dict) and depth:
        kept = {
            key: value for key, value in document.items() if key not in ("input", "body", "request", "ctx")
        }
        return {key: _without_echo(value, depth - 1) for key, value in kept.items()}
    if isinstance(document, list) and depth:
        return [_without_echo(value, depth - 1) for value in document]
    return document if not isinstance(document, (dict, list)) else None


def _status_of(codes: frozenset[str]) -> int:
    """Return the status that an error inside of a body stands for."""
    if codes & _EXHAUSTED:
        return 402
    if codes & _KEY_CODES:
        return 401
    if codes & _MODEL_CODES:
        return 404
    if codes & _RATE_CODES:
        return 429
    return 400 if codes & _FILTER_CODES or "invalid_request_error" in codes else 500


def judge(
    error: ServerError,
    headers: Mapping[str, str],
    *,
    form: RequestForm,
    pictures: int,
    sure_form: bool = False,
) -> Failure:
    """Return what an error of the server means.

    Args:
        error: what it said.
        headers: of the answer.
        form: how the question was asked.
        pictures: how many the question has.
        sure_form: this form is known to be taken, or this error is known not to be about it: it is then
            blamed only where the error names it.
    """
    status, codes = error.status, error.codes
    said = f"status {status}: {error.words or 'without a word'}"
    if codes & _EXHAUSTED or status == 402:
        return Failure(Meaning.RUN, f"the account is exhausted: {said}")
    if codes & _FILTER_CODES or (status in (400, 403) and "flagged_input" in error.searched):
        return Failure(Meaning.FILTERED, f"blocked by the server's content filter: {error.words}")
    if 300 <= status < 400:
        place = one_line(shown_url(headers.get("location", "")), SHOWN)
        return Failure(
            Meaning.RUN,
            f"status {status}: the server sends the question on to {place or 'another address'}; if you "
            "trust that address, give it as base_url",
        )
    if status in (401, 403, 407) or codes & _KEY_CODES or _KEY_WORDS.search(error.searched):
        return Failure(Meaning.RUN, f"the server refuses the API key: {said}; is the key right?")
    if status in (408, 409, 425, 429):
        return Failure(Meaning.RETRY, said, _retry_after(headers, error))
    if status in _LOST_STATUSES:
        return Failure(Meaning.LOST, said, _retry_after(headers, error))
    if pictures > 1 and 400 <= status < 500 and _ONE_PICTURE.search(error.searched):
        return Failure(
            Meaning.RUN,
            f"the server takes one picture only: {said}; leave the example out (--no-example, example=None)",
        )
    other = _other_form(error, form, sure_form)
    if other is not None:
        return Failure(Meaning.FORM, said, form=other)
    if status >= 500:
        return Failure(Meaning.RETRY, said, _retry_after(headers, error))
    if status in (404, 405, 410) or codes & _MODEL_CODES or _MODEL_WORDS.search(error.searched):
        hint = "is the model's name right?" if error.structured else "does base_url end in /v1?"
        return Failure(Meaning.RUN, f"the server does not know the model or the address: {said}; {hint}")
    hint = ""
    if status == 413 or "request_too_large" in codes:
        hint = "; the question is too large: leave the example out (--no-example) or send a smaller picture"
    elif "context_length_exceeded" in codes or "context length" in error.searched:
        hint = "; leave the example out (--no-example) or cap the answer (--answer-tokens)"
    return Failure(Meaning.QUESTION, f"the server refused the request with {said}{hint}")


def _other_form(error: ServerError, form: RequestForm, sure_form: bool) -> RequestForm | None:
    """Return the form to ask in instead, if the error is about the form or may be."""
    if error.status not in _FORMAT_STATUSES or error.codes & (_ABOUT_PICTURE | _MODEL_CODES):
        return None
    if _MODEL_WORDS.search(error.searched):
        return None
    if error.status in _SURELY_STATUSES:
        for name in form.parameters():
            if error.parameter == name or re.search(rf"\b{name}\b", error.searched):
                return form.without(name)
    named = bool(_FORMAT_WORDS.search(f"{error.parameter} {error.searched}"))
    maybe = error.status in _SURELY_STATUSES and error.parameter not in ("messages", "model")
    return form.next_format() if named or (maybe and not sure_form) else None


def _retry_after(headers: Mapping[str, str], error: ServerError | None = None) -> float:
    """Seconds that the server asks to wait, in its headers (a number or a date) or its words; else 0."""
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return _finite(float(milliseconds) / 1000)
        if value is not None:
            return _finite(float(value))
    except ValueError:
        try:
            return max(0.0, parsedate_to_datetime(str(value)).timestamp() - time.time())
        except (TypeError, ValueError, OverflowError):
            return 0.0
    found = _WAIT_WORDS.search(error.searched) if error is not None else None
    if found is None:
        return 0.0
    unit = found.group(2)
    scale = {"ms": 1e-3, "mi": 60.0, "m": 60.0, "h": 3600.0}.get(
        "ms" if unit.startswith("mil") else unit[:2], 1.0
    )
    return float(found.group(1)) * scale


def _finite(seconds: float) -> float:
    return seconds if 0 <= seconds < 1e9 else 0.0

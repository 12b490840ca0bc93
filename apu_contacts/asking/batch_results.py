"""Lines of a batch's results, as OpenAI, vLLM, Anthropic and Gemini write them, read into replies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apu_contacts.asking.model import Reply
from apu_contacts.asking.replies import read_completion
from apu_contacts.reading import parse_json


@dataclass(frozen=True)
class BatchResult:
    """One line of a results file.

    Args:
        where: file and line, for messages.
        request: the request's id; "" for a line that cannot be read.
        reply: what came, or why nothing did.
    """

    where: str
    request: str
    reply: Reply | str


def read_results(path: str | Path) -> Iterator[BatchResult]:
    """Return the lines of a results file; one that cannot be read, such as a half-written last one, is a
    result without a request.

    Raises:
        ValueError: if no line is a batch result.
        OSError: if the file cannot be read.
    """
    lines = any_result = False
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                lines = True
                result = _result(line, f"{path}, line {number}")
                any_result |= bool(result.request)
                yield result
    if lines and not any_result:
        raise ValueError(
            f"{path}: no line is a batch result; expected lines of JSON with custom_id and response (OpenAI, "
            "vLLM), custom_id and result (Anthropic), or key and response (Gemini)"
        )


def _result(line: bytes, where: str) -> BatchResult:
    try:
        row = parse_json(line, where, checked=False)  # takes a byte order mark, too
    except ValueError:
        return BatchResult(where, "", f"the line is no JSON, or only half of one: {line[:60]!r}")
    name = row.get("custom_id", row.get("key")) if isinstance(row, dict) else None
    if not isinstance(name, str) or not name or not {"response", "result", "error"} & set(row):
        return BatchResult(where, "", f"the line is no batch result (custom_id, response): {line[:60]!r}")
    try:
        return BatchResult(where, name, _reply(row))
    except Exception as error:  # whatever a server put there concerns this line only
        return BatchResult(where, name, f"{type(error).__name__}: {error}")


def _reply(row: dict[str, Any]) -> Reply | str:
    if isinstance(row.get("result"), dict):
        return _anthropic(row["result"])
    response = row.get("response")
    if row.get("error") or not isinstance(response, dict):
        return _failed(row.get("error") or response)
    if "candidates" in response or "promptFeedback" in response:
        return _gemini(response)
    if "choices" in response:  # the answer itself, without a status around it
        return read_completion(response)
    body = response.get("body")
    error = response.get("error") or (body.get("error") if isinstance(body, dict) else None)
    if error or response.get("status_code", 200) != 200:
        return _failed(error or response)
    return read_completion(body)


def _failed(error: Any) -> str:
    words = error.get("message") if isinstance(error, dict) else error
    shown = words if isinstance(words, str) and words else json.dumps(error)
    return f"failed in the batch: {shown[:300]}"


def _anthropic(result: dict[str, Any]) -> Reply | str:
    message = result.get("message")
    if result.get("type") != "succeeded" or not isinstance(message, dict):
        error = result.get("error")
        inner = error.get("error", error) if isinstance(error, dict) else result.get("type")
        return _failed(inner)
    parts = [part for part in message.get("content", []) if part.get("type") == "text"]
    stop, usage = str(message.get("stop_reason") or "stop"), message.get("usage") or {}
    return Reply(
        "".join(part["text"] for part in parts),
        {"end_turn": "stop", "max_tokens": "length"}.get(stop, stop),
        "the model declined (stop_reason refusal)" if stop == "refusal" else None,
        str(message.get("model") or ""),
        _count(usage.get("input_tokens")),
        _count(usage.get("output_tokens")),
    )


def _gemini(response: dict[str, Any]) -> Reply | str:
    model, usage = str(response.get("modelVersion") or ""), response.get("usageMetadata") or {}
    tokens = (
        _count(usage.get("promptTokenCount")),
        sum(_count(usage.get(name)) for name in ("candidatesTokenCount", "thoughtsTokenCount")),
    )
    candidates = response.get("candidates") or []
    if not candidates:
        why = f"the server blocked the question: {json.dumps(response.get('promptFeedback'))[:120]}"
        return Reply("", "content_filter", why, model, *tokens)
    content = candidates[0].get("content") or {}
    parts = [part for part in content.get("parts", []) if not part.get("thought")]
    text = "".join(part.get("text", "") for part in parts)
    finish = str(candidates[0].get("finishReason") or "STOP")
    reason = {"STOP": "stop", "MAX_TOKENS": "length"}.get(finish, "content_filter")
    withheld = reason == "content_filter" and not text.strip()
    return Reply(text, reason, f"withheld by the server ({finish})" if withheld else None, model, *tokens)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0

"""What a server sent with status 200, read into a `Reply`, wherever it put the model's words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from apu_contacts.asking.model import AskError, Reply
from apu_contacts.asking.redaction import one_line
from apu_contacts.reading import parse_json

_CUT_OFF = ("length", "max_tokens", "max_output_tokens", "model_length")
_FILTERED = (
    "content_filter",
    "safety",
    "prohibited_content",
    "blocklist",
    "recitation",
    "sensitive",
    "image_safety",
    "spii",
)
_DECLINED = ("refusal", "refused")
_NO_ANSWER = ("length", "content_filter", "refusal")
_TEXT_PARTS = ("text", "output_text", "input_text")
_THOUGHT_PARTS = ("thinking", "reasoning", "redacted_thinking", "reasoning_content", "thought")
_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_BLOCKED_FIELDS = ("prompt_feedback", "promptFeedback", "prompt_filter_results", "usage")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
SHOWN = 300
"""Characters of a body that a message shows."""


def read_body(body: bytes, content_type: str = "") -> Any:
    """Return the JSON document of a body; deltas of an event stream, which some servers send unasked, are
    joined.

    Raises:
        AskError: if it is neither; the message shows its beginning.
    """
    try:
        return parse_json(body, "body", checked=False)
    except ValueError:
        pass
    text = body.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text.startswith(("data:", "event:", "id:", ":")):
        return _join_stream(text)
    kind = content_type.partition(";")[0].strip().lower()
    page = kind == "text/html" or re.match(r"<(?:!doctype|html|head|body|\?xml)", text, re.IGNORECASE)
    hint = "; does base_url end in /v1?" if page else ""
    shown = one_line(text, SHOWN) or "nothing"
    raise AskError(
        f"the server sent {kind or 'something'} that is no chat completion: {shown}{hint}", not page
    )


def read_completion(completion: Any) -> Reply:
    """Return a chat completion, as an object of the ``openai`` package or as its JSON, read into a `Reply`.

    The words are looked for in the message's content (a string, parts, or JSON already), then among tool
    calls. Thoughts are never read as an answer, unless all of it stands there as one JSON document and
    nothing else does. A completion without words was paid for, too: its reply is empty and says why in
    ``note``, or holds a ``refusal`` where a filter withheld it.

    Raises:
        AskError: if it is no completion.
    """
    row = completion.model_dump() if hasattr(completion, "model_dump") else completion
    row = row[0] if isinstance(row, list) and len(row) == 1 else row
    if not isinstance(row, dict):
        raise AskError(f"the answer is no JSON object: {one_line(str(row), SHOWN)}", True)
    prompt_tokens, completion_tokens = _tokens(row.get("usage"))
    model = _whole(str(row.get("model") or ""))
    choices = row.get("choices")
    if choices == [] and any(row.get(name) for name in _BLOCKED_FIELDS):
        feedback = next((row[name] for name in _BLOCKED_FIELDS[:-1] if row.get(name)), "")
        words = "the server blocked the question: it gave no choices"
        words += f" ({one_line(json.dumps(feedback), 120)})" if feedback else ""
        return Reply("", "content_filter", words, model, prompt_tokens, completion_tokens)
    candidates = [_said(c) for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
    found = [said for said in candidates if said is not None]
    if not found:
        raise AskError(f"the answer has no choices[0].message: {one_line(_json(row), SHOWN)}", True)
    said = next((s for s in found if s.text.strip() or s.refusal), found[0])
    text, source, note = said.text, said.source, ""
    refusal, finish = said.refusal, _finish_reason(said.finish)
    if not text.strip():
        text = ""
        if refusal is None and finish not in _NO_ANSWER and _is_whole_answer(said.thoughts):
            text, source = said.thoughts.rpartition("</think>")[2].strip(), "reasoning"
            note = "the answer stood among the model's thoughts, all of it JSON"
        elif refusal is None and finish == "content_filter":
            refusal = f"withheld by the server's content filter ({one_line(said.finish, 60)})"
        elif refusal is None and finish == "refusal":
            refusal = f"the model declined (finish_reason {one_line(said.finish, 60)})"
        elif refusal is None:
            note = _why_empty(finish, said, completion_tokens)
    return Reply(
        _whole(text),
        finish,
        _whole(refusal) if refusal is not None else None,
        model,
        prompt_tokens,
        completion_tokens,
        source,
        note,
        "" if text or refusal else _whole(said.thoughts),
    )


@dataclass(frozen=True)
class _Said:
    """What one choice says."""

    text: str = ""
    source: str = "content"
    thoughts: str = ""
    refusal: str | None = None
    finish: str = "stop"
    keys: tuple[str, ...] = ()


def _said(choice: dict[str, Any]) -> _Said | None:
    """Return the words of a choice; None if it has no message."""
    finish = str(choice.get("finish_reason") or "stop")
    message = choice.get("message")
    if not isinstance(message, dict):
        text = choice.get("text")  # of servers that complete texts
        return _Said(text, finish=finish) if isinstance(text, str) else None
    text, thoughts, declined = _content(message.get("content"))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        declined = refusal
    arguments = _arguments(message)
    source = "content"
    if arguments:
        text, source = (f"{text}\n{arguments}" if text.strip() else arguments), "tool_call"
    thoughts = thoughts or next(filter(None, (_thoughts(message.get(name)) for name in _THOUGHT_FIELDS)), "")
    keys = tuple(str(key) for key, value in message.items() if value not in (None, "", [], {}))
    return _Said(text, source, thoughts, declined or None, finish, keys)


def _content(content: Any) -> tuple[str, str, str]:
    """Text, thoughts and refusal in a message's content."""
    if isinstance(content, str):
        return content, "", ""
    if isinstance(content, dict):
        content = [content] if {"type", "text"} <= set(content) else content
    if isinstance(content, dict) or (isinstance(content, list) and content and not _are_parts(content)):
        return _json(content), "", ""
    text, thoughts, refusal = "", "", ""
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, str):
            text += part
        elif kind in _THOUGHT_PARTS:
            thoughts += _thoughts(part)
        elif kind == "refusal":
            refusal += str(part.get("refusal") or "")
        elif kind in (*_TEXT_PARTS, None):
            words = part.get("text")
            words = words.get("value") if isinstance(words, dict) else words
            text += words if isinstance(words, str) else ""
        elif isinstance(part.get("input"), dict):
            text += _json(part["input"])
    return text, thoughts, refusal


def _are_parts(content: list[Any]) -> bool:
    """Whether a list is one of a message's parts, and not an answer that is JSON already."""
    return all(
        isinstance(part, str) or (isinstance(part, dict) and ({"type", "text"} & set(part)))
        for part in content
    )


def _arguments(message: dict[str, Any]) -> str:
    """Return what the model gave to the functions that it called."""
    calls = message.get("tool_calls")
    functions = (
        [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    )
    functions.append(message.get("function_call"))
    given = [function.get("arguments") for function in functions if isinstance(function, dict)]
    texts = [value if isinstance(value, str) else _json(value) for value in given if value]
    return "\n".join(text for text in texts if text.strip())


def _thoughts(value: Any) -> str:
    """All words of a field or part that holds thoughts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_thoughts(each) for each in value)
    if isinstance(value, dict):
        names = ("thinking", "reasoning", "text", "summary", "content")
        return next(filter(None, (_thoughts(value.get(name)) for name in names)), "")
    return ""


def _is_whole_answer(thoughts: str) -> bool:
    """Whether thoughts are one answer in JSON, from their first character or the end of a block on."""
    try:
        document = parse_json(thoughts.rpartition("</think>")[2], "thoughts", checked=False)
    except ValueError:
        return False
    return isinstance(document, dict) and isinstance(document.get("contacts"), list)


def _finish_reason(said: str) -> str:
    """Return the server's reason in the words of this package, where they mean the same."""
    word = said.strip().lower()
    if word in _CUT_OFF:
        return "length"
    if word.startswith(_FILTERED):
        return "content_filter"
    return "refusal" if word in _DECLINED else one_line(said, 60)


def _why_empty(finish: str, said: _Said, tokens: int) -> str:
    thinks = "; the model thinks, raise the cap (--answer-tokens)" if said.thoughts or tokens else ""
    if finish == "length":
        return f"the answer ended at its cap of tokens before any text{thinks}"
    if said.thoughts:
        return "the model gave its thoughts and no answer"
    return (
        f"the model gave no text (finish_reason {finish}, message with {', '.join(said.keys) or 'nothing'})"
    )


def _tokens(usage: Any) -> tuple[int, int]:
    """Tokens of the prompt, and of the answer with its thoughts, which some servers count in the sum only."""
    if not isinstance(usage, dict):
        return 0, 0
    prompt = _count(usage, "prompt_tokens", "input_tokens")
    completion = _count(usage, "completion_tokens", "output_tokens")
    return prompt, max(completion, _count(usage, "total_tokens") - prompt)


def _count(usage: dict[str, Any], *names: str) -> int:
    for name in names:
        value = usage.get(name)
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                number = float(value)
            except ValueError:
                continue
            if 0 <= number < 1e12:
                return int(number)
    return 0


def _join_stream(text: str) -> dict[str, Any]:
    """Return the deltas of a stream of server-sent events as one completion."""
    document: dict[str, Any] = {}
    message: dict[str, Any] = {}
    calls: dict[Any, dict[str, Any]] = {}
    finish, ended = None, False
    for line in re.split(r"\r\n|\n|\r", text):
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        ended = ended or data == "[DONE]"
        try:
            event = parse_json(data, "event", checked=False)
        except ValueError:
            continue
        if not isinstance(event, dict):
            continue
        document.update(
            {key: value for key, value in event.items() if key != "choices" and value is not None}
        )
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                finish = choice.get("finish_reason") or finish
                delta = choice.get("delta") or choice.get("message")
                _add_delta(message, calls, delta if isinstance(delta, dict) else {})
    if not message and not calls and "error" not in document:
        raise AskError(f"the server sent an event stream without an answer: {one_line(text, SHOWN)}", True)
    if calls:
        message["tool_calls"] = [{"function": call} for call in calls.values()]
    # A stream that stops in the middle is an answer cut off.
    reason = finish or ("stop" if ended else "length")
    if message:
        document["choices"] = [{"message": message, "finish_reason": reason}]
    return document


def _add_delta(message: dict[str, Any], calls: dict[Any, dict[str, Any]], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key == "tool_calls" and isinstance(value, list):
            for call in value:
                function = call.get("function") if isinstance(call, dict) else None
                if isinstance(function, dict):
                    kept = calls.setdefault(call.get("index", 0), {"arguments": ""})
                    kept["arguments"] += str(function.get("arguments") or "")
        elif isinstance(value, str) and key != "role" and isinstance(message.get(key), str):
            message[key] += value
        elif isinstance(value, list) and isinstance(message.get(key), list):
            message[key] = message[key] + value
        elif value is not None:
            message[key] = value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _whole(text: str) -> str:
    """Return the text without halves of surrogate pairs, which no file can hold."""
    return _LONE_SURROGATE.sub("\ufffd", text)

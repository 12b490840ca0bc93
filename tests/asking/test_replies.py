"""Where servers put a model's words, and what a reply without any is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from loopback import completion

from apu_contacts.asking import AskError, answer_of
from apu_contacts.asking.replies import read_body, read_completion

ANSWER = {
    "interaction": "hug",
    "people": {"person_left": "a", "person_right": "b"},
    "orientation": "front to front",
    "contacts": [
        {
            "body_part_person_left": {"part_name": "hand", "body_side": "left"},
            "body_part_person_right": {"part_name": "back", "body_side": "right"},
            "confidence": 0.8,
        }
    ],
}
GOOD = json.dumps(ANSWER)


def reply_to(finish: str | None = "stop", **message: Any) -> Any:
    document = completion(None)
    document["choices"][0] = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", **message},
    }
    return read_completion(read_body(json.dumps(document).encode()))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("content", {"content": [{"type": "text", "text": GOOD}]}),
        ("content", {"content": [{"type": "text", "text": GOOD[:40]}, {"type": "text", "text": GOOD[40:]}]}),
        (
            "content",
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "the chest?"}]},
                    {"type": "text", "text": GOOD},
                ]
            },
        ),
        ("content", {"content": [{"type": "output_text", "text": {"value": GOOD}}]}),
        ("content", {"content": ANSWER}),
        ("content", {"content": ANSWER["contacts"]}),
        ("content", {"content": GOOD, "refusal": ""}),
        ("content", {"content": GOOD, "refusal": "  "}),
        ("content", {"content": GOOD, "reasoning_content": "the chest touches the chest"}),
        ("tool_call", {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": GOOD}}]}),
        ("tool_call", {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": ANSWER}}]}),
        ("tool_call", {"content": None, "function_call": {"name": "f", "arguments": GOOD}}),
        ("reasoning", {"content": None, "reasoning_content": GOOD}),
        ("reasoning", {"content": None, "reasoning": f"hm</think>\n{GOOD}"}),
    ],
)
def test_finds_the_words_wherever_they_stand(source: str, message: dict[str, Any]) -> None:
    reply = reply_to(**message)
    answer = answer_of(reply)
    (contact,) = answer.contacts
    assert (contact.part_a, contact.side_a, contact.part_b, contact.side_b) == (
        "hand",
        "left",
        "back",
        "right",
    )
    assert reply.source == source and reply.refusal is None and not reply.empty
    assert "chest" not in reply.text


@pytest.mark.parametrize(
    ("finish", "message", "why"),
    [
        ("length", {"content": None, "reasoning_content": GOOD}, "answer-tokens"),
        ("length", {"content": ""}, "cap of tokens"),
        ("MAX_TOKENS", {"content": None}, "cap of tokens"),
        ("stop", {"content": None, "reasoning_content": f"Perhaps {GOOD}? No, the feet."}, "thoughts"),
        ("stop", {"content": None}, "no text"),
        ("stop", {"content": []}, "no text"),
    ],
)
def test_a_reply_without_words_is_one_and_says_why(finish: str, message: dict[str, Any], why: str) -> None:
    """It was paid for; nothing is read from thoughts, which may hold a draft."""
    reply = reply_to(finish, **message)
    assert reply.empty and reply.text == "" and reply.refusal is None
    assert why in reply.note
    assert (reply.prompt_tokens, reply.completion_tokens) == (1000, 50)
    assert reply.reasoning == message.get("reasoning_content", "")


@pytest.mark.parametrize(
    ("finish", "message"),
    [
        ("content_filter", {"content": None}),
        ("content_filter: PROHIBITED_CONTENT", {}),
        ("SAFETY", {"content": ""}),
        ("refusal", {"content": ""}),
        ("stop", {"content": "", "refusal": "I can't help with that."}),
        ("stop", {"content": [{"type": "refusal", "refusal": "I can't help with that."}]}),
    ],
)
def test_what_was_withheld_is_a_refusal(finish: str, message: dict[str, Any]) -> None:
    reply = reply_to(finish, **message)
    assert reply.refusal and not reply.empty and answer_of(reply).refused
    assert reply.finish_reason in ("content_filter", "refusal", "stop")


def test_a_blocked_question_is_a_refusal() -> None:
    document = {"choices": [], "usage": {"prompt_tokens": 1500, "completion_tokens": 0}}
    reply = read_completion(document)
    assert reply.refusal and "blocked" in reply.refusal and reply.prompt_tokens == 1500
    with pytest.raises(AskError):
        read_completion({"choices": []})


def test_an_answer_cut_off_is_said_to_be() -> None:
    for finish in ("length", "MAX_TOKENS", "max_output_tokens"):
        assert answer_of(reply_to(finish, content=GOOD)).truncated


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": "1500", "completion_tokens": 2000.0}, (1500, 2000)),
        ({"input_tokens": 7, "output_tokens": 8}, (7, 8)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115}, (10, 105)),
        ({"prompt_tokens": -3, "completion_tokens": "many", "total_tokens": None}, (0, 0)),
        ({"prompt_tokens": float("inf"), "completion_tokens": True}, (0, 0)),
        ([], (0, 0)),
    ],
)
def test_counts_what_the_server_counts(usage: Any, counted: tuple[int, int]) -> None:
    reply = read_completion({**completion(GOOD), "usage": usage})
    assert (reply.prompt_tokens, reply.completion_tokens) == counted


def test_the_choice_that_says_something_is_taken() -> None:
    document = completion("")
    document["choices"].append({"index": 1, "finish_reason": "stop", "message": {"content": GOOD}})
    assert read_completion(document).text == GOOD


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_encodings_of_json(encoding: str) -> None:
    assert read_completion(read_body(json.dumps(completion(GOOD)).encode(encoding))).text == GOOD


def events(*deltas: dict[str, Any], end: str = "data: [DONE]\n\n") -> bytes:
    lines = [
        f"data: {json.dumps({'model': 'm-1', 'choices': [delta]}, ensure_ascii=False)}\r\n"
        for delta in deltas
    ]
    return (": keep-alive\n\n" + "\n".join(lines) + "\n" + end).encode()


def test_joins_a_stream_that_nobody_asked_for() -> None:
    stream = events(
        {"delta": {"role": "assistant", "content": GOOD[:30]}},
        {"delta": {"content": GOOD[30:] + "\u2028"}, "finish_reason": "stop"},
    )
    reply = read_completion(read_body(stream, "text/event-stream"))
    assert (reply.text, reply.finish_reason, reply.model) == (GOOD + "\u2028", "stop", "m-1")
    calls = [
        {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}}
        for part in (GOOD[:9], GOOD[9:])
    ]
    assert read_completion(read_body(events(*calls))).text == GOOD


def test_a_stream_that_breaks_off_is_an_answer_cut_off() -> None:
    stream = events({"delta": {"content": GOOD}}, end="")
    assert answer_of(read_completion(read_body(stream))).truncated
    with pytest.raises(AskError, match="event stream"):
        read_body(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"<!doctype html><title>Open WebUI</title>", "text/html; charset=utf-8", r"Open WebUI.*/v1\?"),
        (b"<HTML>portal</HTML>", "application/json", r"portal.*/v1\?"),
        (b"", "application/json", "nothing"),
        (b"[" * 100_000, "application/json", "application/json"),
        (b'{"choices": [{"message": {"content": "x"', "", "no chat completion"),
    ],
)
def test_shows_what_came_in_place_of_an_answer(content: bytes, kind: str, said: str) -> None:
    with pytest.raises(AskError, match=said) as caught:
        read_body(content, kind)
    assert len(str(caught.value)) < 450


@pytest.mark.parametrize(
    "row", [None, 3, [], {}, {"choices": None}, {"choices": {}}, {"choices": [7]}, {"choices": [{}]}]
)
def test_refuses_what_is_no_completion(row: Any) -> None:
    with pytest.raises(AskError):
        read_completion(row)


def test_half_a_character_does_not_stay_half() -> None:
    r"""A lone ``\ud83d`` in the JSON could not be written to any file."""
    body = json.dumps(completion("x")).replace('"x"', r'"left \ud83d hand \ud83d\ude00"').encode()
    reply = read_completion(read_body(body))
    assert reply.text == "left \ufffd hand \U0001f600" and reply.text.encode()

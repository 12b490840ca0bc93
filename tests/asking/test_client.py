"""The client against a real HTTP server on loopback that behaves badly in every way servers do."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import (
    TEXT,
    Behaviour,
    Handler,
    Server,
    answer,
    completion,
    good,
    half,
    hang_up,
    serving,
    stall,
    status,
)
from PIL import Image

from apu_contacts.asking import (
    AskError,
    Budget,
    BudgetError,
    CachedModel,
    Prompt,
    ReplayModel,
    Reply,
    ServerRefusal,
    build_prompt,
)
from apu_contacts.asking.request_body import chat_body

pytest.importorskip("openai", reason="the openai package is optional: pip install 'apu-losses[lvlm]'")

from apu_contacts.asking import AskOptions, OpenAIClient, ask_pictures, image_queries, load_example
from apu_contacts.asking.commands import collect_results, parse_file, summary_lines, write_requests

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def picture(color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def prompt() -> Prompt:
    return build_prompt(picture())


def client(server: Server, **options: Any) -> tuple[OpenAIClient, list[float]]:
    waits: list[float] = []
    options.setdefault("timeout", 0.5)
    options.setdefault("api_key", KEY)
    return OpenAIClient("m", server.url, sleep=waits.append, **options), waits


def test_sends_the_schema_and_the_picture(server: Server, prompt: Prompt) -> None:
    model, waits = client(server)
    reply = model(prompt)
    assert (reply.text, reply.model, reply.prompt_tokens, reply.completion_tokens) == (TEXT, "m-1", 1000, 50)
    assert waits == []
    body = server.requests[0]
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["messages"][0]["content"][-1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert body == chat_body("m", prompt)
    assert server.headers_seen[0]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "bad", [status(429), status(500), status(503), status(408)], ids=["429", "500", "503", "408"]
)
def test_retries_what_may_pass(server: Server, prompt: Prompt, bad: Behaviour) -> None:
    server.script = [bad, bad, good]
    model, waits = client(server)
    assert model(prompt).text == TEXT
    assert len(server.requests) == 3
    assert waits == [0.5, 1.0]
    assert model.budget.lost == 0


@pytest.mark.parametrize(
    "bad",
    [stall, half, hang_up, status(504), answer({"choices": []}), answer({"hello": 1}), answer([1, 2])],
    ids=["stall", "half", "hang-up", "504", "empty", "fields", "list"],
)
def test_asks_once_more_where_an_answer_was_lost(server: Server, prompt: Prompt, bad: Behaviour) -> None:
    """It may have been paid for: once more, and not six times; each counts against the caps."""
    server.script = [bad, good]
    model, waits = client(server, max_tokens=300)
    assert model(prompt).text == TEXT
    assert len(server.requests) == 2 and waits == [0.5]
    assert (model.budget.calls, model.budget.lost, model.budget.tokens) == (2, 1, 300 + 1050)
    server.requests.clear()
    server.script = [bad]
    with pytest.raises(AskError, match=r"2 attempts.*may have been paid for") as caught:
        model(prompt)
    assert len(server.requests) == 2 and model.budget.lost == 3 and caught.value.retryable


def test_a_retry_that_may_be_paid_for_can_be_forbidden(server: Server, prompt: Prompt) -> None:
    server.script = [stall]
    with pytest.raises(AskError, match="1 attempts"):
        client(server, max_retries=0)[0](prompt)
    assert len(server.requests) == 1


def test_honours_retry_after(server: Server, prompt: Prompt) -> None:
    server.script = [status(429, Retry_After="7"), status(503, retry_after_ms="2500"), good]
    model, waits = client(server)
    model(prompt)
    assert waits == [7.0, 2.5]


def test_does_not_wait_longer_than_allowed(server: Server, prompt: Prompt) -> None:
    server.script = [status(429, Retry_After="86400")]
    model, waits = client(server)
    with pytest.raises(AskError, match="1 attempts") as caught:
        model(prompt)
    assert caught.value.retryable and waits == []


def test_gives_up_in_the_end(server: Server, prompt: Prompt) -> None:
    server.script = [status(500, "broken")]
    model, waits = client(server, max_retries=2)
    with pytest.raises(AskError, match=r"3 attempts.*500.*broken"):
        model(prompt)
    assert len(server.requests) == 3 and len(waits) == 2


@pytest.mark.parametrize("code", [400, 401, 403, 404])
def test_does_not_retry_what_will_not_pass(server: Server, prompt: Prompt, code: int) -> None:
    server.script = [status(code, "no such thing")]
    model, _ = client(server)
    with pytest.raises(AskError, match=str(code)) as caught:
        model(prompt)
    # The form of the request may be what a 400 is about: it is asked for without a format, too.
    assert len(server.requests) == (4 if code == 400 else 1) and not caught.value.retryable
    assert isinstance(caught.value, ServerRefusal) == (code != 400)


def test_the_key_is_shown_nowhere(server: Server, prompt: Prompt, capsys: pytest.CaptureFixture[str]) -> None:
    masked = KEY[:7] + "*" * 10 + KEY[-4:]
    server.script = [status(401, f"Incorrect API key provided: {KEY}, that is {masked}.")]
    model, _ = client(server)
    with pytest.raises(AskError) as caught:
        model(prompt)
    for words in (str(caught.value), repr(model), model.identity, repr(caught.value)):
        assert KEY not in words and masked not in words and KEY[-4:] not in words
    assert caught.value.__cause__ is None
    printed = capsys.readouterr()
    assert KEY not in printed.out + printed.err


def test_reads_a_refusal_of_the_server(server: Server, prompt: Prompt) -> None:
    server.script = [answer(completion(None, refusal="I can't help with that."))]
    reply = client(server)[0](prompt)
    assert reply.refusal == "I can't help with that." and reply.text == ""


def test_budget_stops_before_sending(server: Server, prompt: Prompt) -> None:
    model, _ = client(server, budget=Budget(max_tokens=2000))
    model(prompt)
    model(prompt)
    with pytest.raises(BudgetError, match=r"2100 of max_tokens = 2000"):
        model(prompt)
    assert len(server.requests) == 2
    money = Budget(max_cost=0.001, price_in=1.0, price_out=10.0)
    model, _ = client(server, budget=money)
    model(prompt)
    assert money.cost == pytest.approx(1000 * 1e-6 + 50 * 10e-6)
    with pytest.raises(BudgetError, match="max_cost"):
        model(prompt)


def test_budget_counts_retries(server: Server, prompt: Prompt) -> None:
    server.script = [status(500)]
    with pytest.raises(BudgetError, match="max_calls"):
        client(server, budget=Budget(max_calls=2))[0](prompt)
    assert len(server.requests) == 2


def test_a_cost_cap_needs_a_price() -> None:
    with pytest.raises(ValueError, match="price_in"):
        Budget(max_cost=1.0)


def test_caps_parallel_calls(server: Server, prompt: Prompt) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.1)
        good(handler)

    server.script = [slow]
    model, _ = client(server, max_parallel=2, timeout=5.0)
    threads = [threading.Thread(target=model, args=(prompt,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 6 and server.most_at_once == 2


def test_needs_a_key_for_the_hosted_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ValueError, match="OPENAI_API_KEY"):
        OpenAIClient("m")


def test_options_are_checked(server: Server) -> None:
    with pytest.raises(ValueError, match="length_field"):
        client(server, length_field="n_predict")
    with pytest.raises(ValueError, match="temperature"):
        client(server, temperature=-1.0)
    with pytest.raises(ValueError, match="format"):
        client(server, format="xml")
    with pytest.raises(ValueError, match="max_parallel"):
        client(server, max_parallel=0)


def test_cache_pays_once(server: Server, prompt: Prompt, tmp_path: Any) -> None:
    cached = CachedModel(client(server, temperature=0.7)[0], tmp_path)
    first, again = cached(prompt), cached(prompt)
    assert again == Reply(**{**first.to_json(), "cached": True}) and len(server.requests) == 1
    cached(prompt, 1)
    cached(build_prompt(picture("blue")))
    assert len(server.requests) == 3
    other = CachedModel(client(server, temperature=0.2)[0], tmp_path)
    other(prompt)
    assert len(server.requests) == 4
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 4 and all(KEY not in path.read_text() for path in files)


def test_cache_survives_a_broken_file(prompt: Prompt, tmp_path: Any) -> None:
    cached = CachedModel(ReplayModel(TEXT), tmp_path)
    cached(prompt)
    cached.path(prompt).write_text('{"reply": {"text"')
    assert not cached(prompt).cached
    assert cached(prompt).cached


def test_cache_alone_plays_back(prompt: Prompt, tmp_path: Any) -> None:
    CachedModel(ReplayModel(TEXT, "m"), tmp_path)(prompt)
    assert CachedModel(None, tmp_path, "m")(prompt).text == TEXT
    with pytest.raises(AskError, match="no kept answer"):
        CachedModel(None, tmp_path, "m")(prompt, 1)
    with pytest.raises(ValueError, match="identity"):
        CachedModel(None, tmp_path)


def test_replay_knows_what_it_has_not(prompt: Prompt) -> None:
    assert ReplayModel({prompt.content_hash: "x"})(prompt).text == "x"
    with pytest.raises(AskError, match="nothing was recorded"):
        ReplayModel({})(prompt)


def test_the_command_from_end_to_end(server: Server, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.png").write_bytes(picture(color={"a": "red", "b": "green", "c": "blue"}[name]))
    options = AskOptions(
        "m", server.url, cache=tmp_path / "cache", example=False, action="hug", max_retries=0
    )
    server.script = [good, status(500, "not now"), good, good]
    out = tmp_path / "answers.jsonl"
    first = ask_pictures([tmp_path], out, dataclasses.replace(options, parallel=1))
    assert first.asked == 2 and len(first.failures) == 1 and "not now" in first.failures[0][2]
    assert any("failed" in line for line in summary_lines(first))
    second = ask_pictures([tmp_path], out, options)
    assert (second.asked, second.already, second.failures) == (1, 2, [])
    out.unlink()
    third = ask_pictures([tmp_path], out, options)
    assert third.asked == 3 and len(server.requests) == 4  # all from the cache
    (requests,) = write_requests([tmp_path], tmp_path / "r.jsonl", options).paths
    sent = [json.loads(line)["body"] for line in requests.read_text().splitlines()]
    assert sent[0]["messages"] == server.requests[0]["messages"]
    results = tmp_path / "results.jsonl"
    lines = [json.loads(line)["custom_id"] for line in requests.read_text().splitlines()]
    rows = [
        {"custom_id": name, "response": {"status_code": 200, "body": completion()}, "error": None}
        for name in lines
    ]
    results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert collect_results([results], tmp_path / "other.jsonl").asked == 3
    words, readable = parse_file(out)
    assert readable and "0 contacts" in words
    everything = "".join(
        path.read_text(errors="ignore")
        for path in tmp_path.rglob("*")
        if path.suffix != ".png" and path.is_file()
    )
    assert KEY not in everything


def shown(body: dict[str, Any]) -> str:
    """The picture that a request is about: its last one, as the first may be the example's."""
    url: str = body["messages"][-1]["content"][-1]["image_url"]["url"]
    return url


def words_about(body: dict[str, Any]) -> str:
    """An answer that only this picture gets, so that a mixed-up one would show."""
    return json.dumps({"interaction": f"number {zlib.crc32(shown(body).encode())}", "contacts": []})


def wait_for_lines(path: Path, number: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (not path.exists() or path.read_bytes().count(b"\n") < number):
        time.sleep(0.01)


def about_it(handler: Handler) -> None:
    handler.send(200, json.dumps(completion(words_about(handler.body))).encode())


@pytest.mark.long
@pytest.mark.parametrize("moment", ["half an answer sent", "answer sent", "line half written"])
def test_a_killed_run_is_resumed_and_pays_once(server: Server, tmp_path: Path, moment: str) -> None:
    """`apu ask` in a process of its own, killed when the third of six questions is with the server."""
    pictures, out, cache = tmp_path / "pictures", tmp_path / "answers.jsonl", tmp_path / "cache"
    pictures.mkdir()
    for color in ("red", "green", "blue", "white", "black", "gray"):
        (pictures / f"{color}.png").write_bytes(picture(color))
    reached, over = threading.Event(), threading.Event()

    def at_the_moment(handler: Handler) -> None:
        if moment == "half an answer sent":
            half(handler)
        elif moment == "answer sent":
            about_it(handler)
        elif moment == "line half written":
            wait_for_lines(out, 2)
        reached.set()
        if moment != "answer sent":
            over.wait(30)

    def after_the_kill(handler: Handler) -> None:
        # A slow kill must not let the first run go on to its end.
        over.wait(30)
        about_it(handler)

    server.script = [about_it, about_it, at_the_moment, after_the_kill]
    command = [sys.executable, "-m", "apu_losses.app.cli", "ask", str(pictures), "-o", str(out)]
    command += ["--model", "m", "--base-url", server.url, "--cache", str(cache), "--parallel", "1"]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "OPENAI_API_KEY": KEY}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert reached.wait(30)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        over.set()

    if moment == "line half written":
        # What a kill inside of the write leaves, which cannot be timed: the answer is then in the cache only.
        lines = out.read_bytes()
        assert lines.count(b"\n") == 2
        out.write_bytes(lines[:-20])
    example = load_example()
    kept = AskOptions("m", server.url, cache=cache).client()
    assert isinstance(kept, CachedModel)
    prompts = {query.id: query.prompt(example) for query in image_queries([pictures])}
    pages = {shown(chat_body("m", prompt)): name for name, prompt in prompts.items()}
    whole_lines = out.read_bytes().rpartition(b"\n")[0].splitlines()
    on_disk = {json.loads(line)["id"] for line in whole_lines}
    on_disk |= {name for name, prompt in prompts.items() if kept.look_up(prompt) is not None}
    before = Counter(pages[shown(body)] for body in server.requests)
    assert 2 <= len(on_disk) <= 3 and set(before.values()) == {1} and on_disk <= set(before)
    assert len(set(before) - on_disk) <= 1  # the one in flight

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    every = Counter(pages[shown(body)] for body in server.requests)
    assert every - before == Counter(set(prompts) - on_disk)
    assert {name for name, times in every.items() if times > 1} == set(before) - on_disk
    assert set(every) == set(prompts) and max(every.values()) <= 2
    written = out.read_bytes()
    rows = [json.loads(line) for line in written.splitlines()]
    assert written.endswith(b"\n") and sorted(row["id"] for row in rows) == sorted(prompts)
    answers = {pages[shown(body)]: words_about(body) for body in server.requests}
    assert {row["id"]: row["text"] for row in rows} == answers
    assert {row["status"] for row in rows} == {"answer"}
    assert KEY not in written.decode() + done.stdout + done.stderr

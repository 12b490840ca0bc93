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
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from apu_contacts.lvlm import (
    AskError,
    Budget,
    BudgetError,
    CachedModel,
    Prompt,
    ReplayModel,
    Reply,
    build_prompt,
)
from apu_contacts.lvlm.openai_client import chat_body

pytest.importorskip("openai", reason="the openai package is optional: pip install 'apu-losses[lvlm]'")

from apu_contacts.lvlm import AskOptions, OpenAIClient, ask_pictures, image_queries, load_example
from apu_contacts.lvlm.commands import collect_results, parse_file, summary_lines, write_requests

KEY = "sk-test-0123456789abcdef"
TEXT = '{"contacts": []}'
Behaviour = Callable[["Handler"], None]


def completion(text: str | None = TEXT, **message: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m-1",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050},
    }


class Server(ThreadingHTTPServer):
    """Plays a list of behaviours, one per request; the last one repeats."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Behaviour] = [good]
        self.requests: list[dict[str, Any]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken pipes are part of the play."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.body = body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append(body)
            self.server.headers_seen.append({k.lower(): v for k, v in self.headers.items()})
            behaviour = self.server.script[min(number, len(self.server.script) - 1)]
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            behaviour(self)
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def good(handler: Handler) -> None:
    handler.send(200, json.dumps(completion()).encode())


def answer(document: Any) -> Behaviour:
    return lambda handler: handler.send(200, json.dumps(document).encode())


def status(code: int, message: str = "no", **headers: str) -> Behaviour:
    body = json.dumps({"error": {"message": message, "type": "t", "code": None}}).encode()
    return lambda handler: handler.send(code, body, **headers)


def stall(handler: Handler) -> None:
    time.sleep(1.5)


def half(handler: Handler) -> None:
    body = json.dumps(completion()).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.close_connection = True


def not_json(handler: Handler) -> None:
    handler.send(200, b"<html>gateway</html>")


def hang_up(handler: Handler) -> None:
    handler.connection.close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


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
    "bad",
    [
        status(429),
        status(500),
        status(503),
        status(408),
        stall,
        half,
        not_json,
        hang_up,
        answer({"choices": []}),
        answer({"hello": 1}),
        answer([1, 2]),
        answer(completion(None)),
    ],
    ids=["429", "500", "503", "408", "stall", "half", "html", "hang-up", "empty", "fields", "list", "null"],
)
def test_retries_what_may_pass(server: Server, prompt: Prompt, bad: Behaviour) -> None:
    server.script = [bad, bad, good]
    model, waits = client(server)
    assert model(prompt).text == TEXT
    assert len(server.requests) == 3
    assert waits == [0.5, 1.0]


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
    assert len(server.requests) == 1 and not caught.value.retryable


def test_does_not_retry_an_exhausted_account(server: Server, prompt: Prompt) -> None:
    server.script = [status(429, "You exceeded your current quota")]
    with pytest.raises(AskError, match="exhausted"):
        client(server)[0](prompt)
    assert len(server.requests) == 1


def test_falls_back_where_the_schema_is_not_taken(server: Server, prompt: Prompt) -> None:
    refuse = status(400, "response_format.type json_schema is not supported")
    server.script = [refuse, refuse, good]
    model, waits = client(server)
    assert model(prompt).text == TEXT
    model(prompt)
    formats = [body.get("response_format", {}).get("type") for body in server.requests]
    assert formats == ["json_schema", "json_object", None, None]
    assert waits == []


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
    (requests,) = write_requests([tmp_path], tmp_path / "r.jsonl", options)
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
    command = [sys.executable, "-m", "apu_losses.cli", "ask", str(pictures), "-o", str(out), "--model", "m"]
    command += ["--base-url", server.url, "--cache", str(cache), "--parallel", "1"]
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

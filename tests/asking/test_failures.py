"""What a server's refusals mean, and what it may not do to a client: against a real server on loopback."""

from __future__ import annotations

import gzip
import io
import json
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loopback import TEXT, Behaviour, Handler, Server, answer, completion, good, raw, serving, status
from PIL import Image

from apu_contacts.asking import AskError, CachedModel, Example, Prompt, ServerRefusal, build_prompt

pytest.importorskip("openai", reason="the openai package is optional: pip install 'apu-losses[lvlm]'")

from apu_contacts.asking import AskOptions, OpenAIClient
from apu_contacts.asking.commands import write_requests
from apu_contacts.asking.transport import MAX_BODY

KEY = "sk-test-0123456789abcdef"


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def prompt() -> Prompt:
    return build_prompt(picture())


def client(server: Server, **options: Any) -> tuple[OpenAIClient, list[float]]:
    waits: list[float] = []
    options.setdefault("timeout", 10.0)
    options.setdefault("api_key", KEY)
    return OpenAIClient("m", server.url, sleep=waits.append, **options), waits


def error(http: int, message: str, /, **fields: Any) -> Behaviour:
    return raw(json.dumps({"error": {"message": message, **fields}}).encode(), code=http)


def unless(refused: Callable[[dict[str, Any]], bool], refuse: Behaviour) -> Behaviour:
    """Refuses the requests that a rule names, and answers the others."""

    def behave(handler: Handler) -> None:
        (refuse if refused(handler.body) else good)(handler)

    return behave


def has_format(body: dict[str, Any]) -> bool:
    return "response_format" in body


def has_bounds(body: dict[str, Any]) -> bool:
    return "minimum" in json.dumps(body.get("response_format", {}))


class TestForm:
    """A server that takes a question in another form gets that form, and gets it at once the next time."""

    @pytest.mark.parametrize(
        ("refused", "refuse", "most", "told"),
        [
            (has_format, error(400, "response_format.type json_schema is not supported"), 4, "format none"),
            (has_format, error(400, "Failed to initialize samplers: failed to parse it"), 4, "format none"),
            (
                has_format,
                error(404, "No endpoints found that can handle the requested parameters"),
                4,
                "none",
            ),
            (has_format, raw(b"unsupported", "text/plain", 400), 4, "format none"),
            (has_format, raw(b'{"error": "json: unknown field \\"response_format\\""}', code=400), 4, "none"),
            (has_format, raw(b'{"object": "error", "message": "xgrammar failed"}', code=500), 4, "none"),
            (has_format, raw(b'{"detail": [{"loc": ["body", "response_format"]}]}', code=422), 4, "none"),
            (
                has_bounds,
                error(400, "For 'number' type, properties maximum, minimum are not supported"),
                2,
                "json_schema_unbounded",
            ),
            (
                lambda body: "max_tokens" in body,
                error(400, "Use 'max_completion_tokens' instead.", param="max_tokens"),
                2,
                "max_completion_tokens",
            ),
            (
                lambda body: "temperature" in body,
                error(400, "'temperature' does not support 0.0", code="unsupported_value"),
                2,
                "no temperature",
            ),
        ],
    )
    def test_steps_down_once(
        self,
        server: Server,
        prompt: Prompt,
        refused: Callable[[dict[str, Any]], bool],
        refuse: Behaviour,
        most: int,
        told: str,
    ) -> None:
        server.script = [unless(refused, refuse)]
        model, waits = client(server)
        reply = model(prompt)
        assert reply.text == TEXT and told in reply.note and waits == []
        assert len(server.requests) == most
        assert model(prompt).text == TEXT and len(server.requests) == most + 1
        assert model.budget.calls == most + 1

    def test_several_parameters(self, server: Server, prompt: Prompt) -> None:
        """The request that some servers repeat in their error names every parameter, and means nothing."""

        def picky(handler: Handler) -> None:
            for name in ("seed", "temperature", "max_tokens"):
                if name in handler.body:
                    detail = [{"type": "extra_forbidden", "loc": ["body", name], "input": handler.body}]
                    return raw(json.dumps({"detail": detail}).encode(), code=422)(handler)
            return good(handler)

        server.script = [picky]
        model, _ = client(server, temperature=0.7)
        assert "no seed, no temperature" in model(prompt).note
        assert [has_bounds(body) for body in server.requests] == [True] * 4

    @pytest.mark.parametrize("more", ["", " by its schema"])
    def test_what_is_not_about_the_form_changes_nothing(
        self, server: Server, prompt: Prompt, more: str
    ) -> None:
        """A picture that the server cannot read must not cost the next picture its schema."""
        server.script = [error(400, f"image 17 is odd{more}")] * 4 + [
            error(400, f"image 18 is odd{more}"),
            good,
        ]
        model, _ = client(server)
        for requests in (4, 5):
            with pytest.raises(AskError, match="is odd") as caught:
                model(prompt)
            assert len(server.requests) == requests and not isinstance(caught.value, ServerRefusal)
        reply = model(prompt)
        assert has_bounds(server.requests[-1]) and reply.note == ""

    def test_openais_own_server_gets_the_new_name(self) -> None:
        body = OpenAIClient("m", api_key=KEY).body(build_prompt(picture()))
        assert body["max_completion_tokens"] == 2000 and "max_tokens" not in body

    def test_batches_take_the_same_options(self, tmp_path: Any) -> None:
        (tmp_path / "a.png").write_bytes(picture())
        options = AskOptions(
            "m", example=False, answer_tokens=77, length_field="max_completion_tokens", format="json_object"
        )
        write_requests([tmp_path / "a.png"], tmp_path / "requests.jsonl", options)
        body = json.loads((tmp_path / "requests.jsonl").read_text())["body"]
        assert body["max_completion_tokens"] == 77 and body["response_format"] == {"type": "json_object"}


class TestMeaning:
    @pytest.mark.parametrize(
        ("refuse", "said"),
        [
            (status(401), "API key"),
            (status(403), "API key"),
            (error(400, "API key not valid.", status="INVALID_ARGUMENT"), "API key"),
            (error(402, "Insufficient Balance"), "exhausted"),
            (error(429, "You have run out of credits.", code="insufficient_quota"), "exhausted"),
            (error(429, "no", type="insufficient_quota", code=None), "exhausted"),
            (error(404, "model 'm' not found, try pulling it first"), "model's name"),
            (error(400, "Model Not Exist"), "model's name"),
            (raw(b"404 page not found", "text/plain", 404), r"404 page not found.*/v1\?"),
            (raw(b"<html><title>Open WebUI</title></html>", "text/html"), r"text/html.*Open WebUI.*/v1\?"),
            (raw(b"[]", "text/plain", 301, Location="http://u:p@other/v1?key=s"), "http://other/v1;"),
            (answer({"error": {"message": "no", "code": 401}}), "API key"),
            (answer([{"error": {"message": "no", "code": 402}}]), "exhausted"),
        ],
    )
    def test_a_refusal_of_every_question_stops_the_run(
        self, server: Server, prompt: Prompt, refuse: Behaviour, said: str
    ) -> None:
        server.script = [refuse]
        with pytest.raises(ServerRefusal, match=said):
            client(server)[0](prompt)
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("put_off", "wait"),
        [
            (error(429, "rate limit. Go to https://aka.ms/oai/quotaincrease", code="429"), 0.5),
            (error(429, "You exceeded your current quota. Please retry in 1.2s.", code=429), 1.2),
            (error(429, "Please try again in 20s."), 20.0),
            (error(429, "Please try again in 2500ms."), 2.5),
            (error(529, "Overloaded", type="overloaded_error"), 0.5),
            (answer({"error": {"message": "Provider error", "code": 429}, "choices": None}), 0.5),
            (
                answer({"choices": [{"error": {"code": 502, "message": "x"}, "message": {"content": ""}}]}),
                0.5,
            ),
        ],
    )
    def test_a_limit_that_passes_is_waited_for(
        self, server: Server, prompt: Prompt, put_off: Behaviour, wait: float
    ) -> None:
        server.script = [put_off, good]
        model, waits = client(server)
        assert model(prompt).text == TEXT and waits == [wait]

    def test_the_words_inside_of_a_good_status_are_shown(self, server: Server, prompt: Prompt) -> None:
        metadata = {"raw": '{"error": {"message": "the provider cannot see"}}'}
        server.script = [answer({"error": {"message": "Provider error", "code": 413, "metadata": metadata}})]
        with pytest.raises(AskError, match=r"413: Provider error.*the provider cannot see"):
            client(server)[0](prompt)
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "block",
        [
            error(400, "The response was filtered", code="content_filter"),
            error(403, "flagged", metadata={"reasons": ["sexual"], "flagged_input": "..."}),
            answer({"error": {"message": "filtered", "code": "content_policy_violation"}}),
        ],
    )
    def test_a_blocked_question_is_recorded_and_not_asked_again(
        self, server: Server, prompt: Prompt, block: Behaviour
    ) -> None:
        server.script = [block]
        reply = client(server)[0](prompt)
        assert reply.refusal and reply.finish_reason == "content_filter" and len(server.requests) == 1

    def test_an_empty_answer_is_paid_for_once(self, server: Server, prompt: Prompt, tmp_path: Any) -> None:
        document = completion(None)
        document["choices"][0]["finish_reason"] = "length"
        server.script = [answer(document)]
        model, waits = client(server)
        reply = model(prompt)
        assert reply.empty and "--answer-tokens" in reply.note and waits == []
        assert len(server.requests) == 1 and model.budget.tokens == 1050

    def test_one_picture_only(self, server: Server) -> None:
        server.script = [error(400, "At most 1 image(s) may be provided in one request.")]
        two = build_prompt(picture(), example=Example(picture(), TEXT))
        with pytest.raises(ServerRefusal, match="--no-example"):
            client(server)[0](two)
        assert len(server.requests) == 1

    def test_too_large(self, server: Server, prompt: Prompt) -> None:
        page = b"<html><head><style>p {}</style></head><center>413 Request Entity Too Large</center></html>"
        server.script = [raw(page, "text/html", 413)]
        with pytest.raises(AskError, match=r"status 413: 413 Request Entity Too Large; .*smaller picture"):
            client(server)[0](prompt)

    def test_a_server_that_is_not_there(self, prompt: Prompt) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        waits: list[float] = []
        model = OpenAIClient("m", f"http://127.0.0.1:{port}/v1", KEY, max_retries=2, sleep=waits.append)
        with pytest.raises(ServerRefusal, match="cannot be reached"):
            model(prompt)
        assert len(waits) == 2 and model.budget.lost == 0

    def test_cancelling_ends_the_waiting(self, server: Server, prompt: Prompt) -> None:
        put_off = status(429, Retry_After="100")

        def put_off_and_cancel(handler: Handler) -> None:
            model.cancel()
            put_off(handler)

        server.script = [put_off_and_cancel, status(429, retry_after_ms="1"), good]
        model = OpenAIClient("m", server.url, KEY)
        with pytest.raises(AskError, match="stopped while waiting") as caught:
            model(prompt)
        assert caught.value.retryable and len(server.requests) == 1
        # whoever goes on with the client after an interrupt has its attempts back
        assert model(prompt).text == TEXT and len(server.requests) == 3


class TestWhatAServerMayNotDo:
    def test_send_a_byte_now_and_then_for_ever(self, server: Server, prompt: Prompt) -> None:
        def trickle(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.end_headers()
            for _ in range(200):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.1)

        def trickle_headers(handler: Handler) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            for _ in range(200):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.1)

        def trickle_chunks(handler: Handler) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(200):
                handler.wfile.write(b"1\r\n \r\n")
                handler.wfile.flush()
                time.sleep(0.1)

        for behaviour in (trickle, trickle_chunks, trickle_headers):
            server.script = [behaviour]
            model, _ = client(server, timeout=0.4, max_retries=0)
            with pytest.raises(AskError, match=r"no whole answer within 0\.4 s"):
                model(prompt)
            assert model.budget.lost == 1

    def test_send_without_end(self, server: Server, prompt: Prompt) -> None:
        sent = 0

        def flood(handler: Handler) -> None:
            nonlocal sent
            handler.send_response(200)
            handler.end_headers()
            for _ in range(400):
                handler.wfile.write(b" " * 2**20)
                sent += 2**20

        server.script = [flood]
        with pytest.raises(AskError, match=f"more than {MAX_BODY} bytes"):
            client(server, max_retries=0)[0](prompt)
        assert sent < 2 * MAX_BODY

    @pytest.mark.parametrize("code", [200, 500])
    def test_send_little_that_unpacks_to_much(self, server: Server, prompt: Prompt, code: int) -> None:
        bomb = gzip.compress(b" " * 2**28)
        server.script = [raw(bomb, code=code, Content_Encoding="gzip")]
        model, _ = client(server, max_retries=0)
        tracemalloc.start()
        try:
            with pytest.raises(AskError, match=f"more than {MAX_BODY} bytes"):
                model(prompt)
            assert tracemalloc.get_traced_memory()[1] < 5 * MAX_BODY
        finally:
            tracemalloc.stop()
        server.script = [raw(bomb, Content_Encoding="gzip, gzip")]
        with pytest.raises(AskError, match="not asked for"):
            model(prompt)

    def test_packed_answers_are_read(self, server: Server, prompt: Prompt) -> None:
        body = json.dumps(completion()).encode()
        server.script = [raw(gzip.compress(body[:50]) + gzip.compress(body[50:]), Content_Encoding="gzip")]
        assert client(server)[0](prompt).text == TEXT

    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    def test_send_the_photograph_on(self, server: Server, prompt: Prompt, code: int) -> None:
        with serving() as other:
            server.script = [raw(b"", code=code, Location=f"{other.url}/chat/completions")]
            with pytest.raises(ServerRefusal, match="if you trust that address"):
                client(server)[0](prompt)
            assert other.requests == []

    def test_steer_the_terminal(self, server: Server, prompt: Prompt) -> None:
        server.script = [error(413, "\x1b]0;owned\x07\x1b[2J\r\u202eno\nline two")]
        with pytest.raises(AskError) as caught:
            client(server)[0](prompt)
        assert all(c.isprintable() for c in str(caught.value))

    def test_have_the_key_written_into_a_file(self, server: Server, prompt: Prompt, tmp_path: Any) -> None:
        said = completion(f"the key is {KEY} and {json.dumps(KEY)}; contacts: none", refusal=f"no {KEY}")
        said["model"] = f"m-{KEY}"
        server.script = [answer(said)]
        reply = CachedModel(client(server)[0], tmp_path)(prompt)
        assert reply.text == 'the key is *** and "***"; contacts: none'
        files = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
        assert files and KEY not in "".join(files) + repr(reply)


class TestServerAndKey:
    def test_the_server_of_the_environment_is_the_one_that_is_named(
        self, server: Server, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        model = OpenAIClient("m", api_key=KEY)
        assert model(prompt).text == TEXT and len(server.requests) == 1
        named = OpenAIClient("m", server.url.replace("127.0.0.1", "localhost") + "/", KEY)
        assert model.identity == named.identity and "openai" not in model.identity
        monkeypatch.setenv("OPENAI_BASE_URL", "")
        assert OpenAIClient("m", api_key=KEY).identity.startswith("m at openai ")

    def test_settings_are_part_of_the_identity(self, server: Server) -> None:
        plain = client(server)[0].identity
        for options in (
            {"temperature": 0.5},
            {"max_tokens": 9},
            {"format": "none"},
            {"extra_body": {"top_k": 1}},
        ):
            assert client(server, **options)[0].identity != plain
        assert client(server, timeout=1.0, max_retries=0)[0].identity == plain

    def test_credentials_in_the_address_are_used_and_not_shown(self, server: Server, prompt: Prompt) -> None:
        server.script = [error(403, "user:s3cretpass is dXNlcjpzM2NyZXRwYXNz, forbidden")]
        url = server.url.replace("http://", "http://user:s3cretpass@")
        model = OpenAIClient("m", url, KEY)
        with pytest.raises(ServerRefusal, match="forbidden") as caught:
            model(prompt)
        assert server.headers_seen[0]["authorization"] == "Basic dXNlcjpzM2NyZXRwYXNz"
        for words in (str(caught.value), repr(model), model.identity, model.base_url):
            assert "s3cret" not in words and "zM2NyZXRwYXNz" not in words

    def test_another_servers_key(
        self, server: Server, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OTHER_KEY", "other-key-123456\r\n")
        options = AskOptions("m", server.url, api_key_env="OTHER_KEY")
        options.client()(prompt)
        assert server.headers_seen[0]["authorization"] == "Bearer other-key-123456"
        monkeypatch.setenv("OTHER_KEY", "other-key\x01-123456")
        with pytest.raises(ValueError, match=r"OTHER_KEY.*control character") as caught:
            options.client()
        assert "other-key" not in str(caught.value)
        monkeypatch.delenv("OTHER_KEY")
        with pytest.raises(ValueError, match="OTHER_KEY"):
            options.client()

    def test_samples_at_temperature_0_are_not_paid_for(self, server: Server, prompt: Prompt) -> None:
        with pytest.raises(ValueError, match="temperature 0"):
            AskOptions("m", server.url, samples=5)
        assert AskOptions("m", server.url, samples=5, temperature=0.7).samples == 5
        model, _ = client(server)
        model(prompt)
        with pytest.raises(ValueError, match="temperature 0"):
            model(prompt, 1)
        assert len(server.requests) == 1

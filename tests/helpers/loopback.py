"""A real HTTP server on loopback that behaves as a test tells it, and the pieces of its answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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

    def send(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
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


def raw(content: bytes, content_type: str = "application/json", code: int = 200, **headers: str) -> Behaviour:
    """Sends exactly these bytes."""

    def behave(handler: Handler) -> None:
        handler.send(code, content, content_type, **headers)

    return behave


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


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs until the block ends."""
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        running.server_close()

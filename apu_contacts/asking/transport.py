"""HTTP for the client: a request ends in time, an answer has a size, nothing goes on to another host."""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

MAX_BODY = 16 * 2**20
"""Bytes of an answer, unpacked; four times the longest text that is read."""
_ENCODINGS = {"": None, "identity": None, "gzip": 47, "x-gzip": 47, "deflate": 47}
# zlib's code for a header of either gzip or zlib
# The last two say where the body ends.
_DESCRIBES_THE_BODY = ("content-encoding", "content-length", "transfer-encoding")


class CutOffError(Exception):
    """An answer was given up: it took too long, was too large, or packed in a way that was not asked for."""


def http_client(openai: Any, timeout: float) -> Any:
    """Return an HTTP client for the ``openai`` package in which a request takes at most ``timeout`` seconds.

    Whatever the server does, a byte a second or blanks for ever included. An answer is read whole, up to
    `MAX_BODY` bytes. Redirects are not followed. A connection is used once: one that the server closed
    in the meantime would lose a question that may have been paid for. Its ``send`` raises
    `CutOffError` where it gives an answer up.
    """
    too_late = f"no whole answer within {timeout:g} s"

    class BoundedClient(openai.DefaultHttpxClient):
        def send(self, request: Any, **options: Any) -> Any:
            request.headers["Connection"] = "close"
            request.headers["Accept-Encoding"] = "gzip"
            options.update(stream=True, follow_redirects=False)
            deadline = _Deadline(timeout)
            request.extensions = {**request.extensions, "trace": deadline.trace}
            try:
                response = super().send(request, **options)
                try:
                    encoding = response.headers.get("content-encoding", "").strip().lower()
                    body = _unpacked(response.iter_raw(), encoding)
                finally:
                    response.close()
            except Exception:
                if deadline.passed and deadline.connected:
                    raise CutOffError(too_late) from None
                raise
            finally:
                deadline.over()
            if deadline.passed and not any(name in response.headers for name in _DESCRIBES_THE_BODY[1:]):
                # Such an answer ends where the connection does, and that was shut here.
                raise CutOffError(too_late)
            headers = [
                (name, value)
                for name, value in response.headers.multi_items()
                if name.lower() not in _DESCRIBES_THE_BODY
            ]
            return type(response)(response.status_code, headers=headers, content=body, request=request)

    limits = openai.Timeout(timeout, connect=min(timeout, 30.0))
    return BoundedClient(timeout=limits, follow_redirects=False)


class _Deadline:
    """Shuts the connection of a request at a moment, which wakes whoever waits for it."""

    def __init__(self, seconds: float) -> None:
        self.passed = self.connected = False
        self._lock = threading.Lock()
        self._socket: Any = None
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Hears from the HTTP library of each step of a request; connecting gives the socket."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete", "connect_unix_socket.complete")):
            stream = info.get("return_value")
            self.connected = True
            with self._lock:
                self._socket = stream.get_extra_info("socket") if stream is not None else None
            if self.passed:
                self._shut()

    def over(self) -> None:
        """End the request."""
        self._timer.cancel()
        with self._lock:
            self._socket = None

    def _shut(self) -> None:
        with self._lock:
            self.passed = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


def _unpacked(chunks: Iterable[bytes], encoding: str) -> bytes:
    """Return the body, unpacked no further than its limit.

    Raises:
        CutOffError: if it is larger, or packed otherwise.
    """
    if encoding not in _ENCODINGS:
        raise CutOffError(f"the answer is packed as {encoding[:40]!r}, which was not asked for")
    window = _ENCODINGS[encoding]
    unpacker = zlib.decompressobj(window) if window else None
    body = bytearray()
    for chunk in chunks:
        rest = chunk
        while rest:
            if unpacker is None:
                body += rest
                rest = b""
            else:
                try:
                    body += unpacker.decompress(rest, MAX_BODY + 1 - len(body))
                except zlib.error as error:
                    raise CutOffError(f"the answer cannot be unpacked: {error}") from None
                rest = unpacker.unconsumed_tail
                if unpacker.eof:
                    rest, unpacker = unpacker.unused_data, zlib.decompressobj(window or 47)
            if len(body) > MAX_BODY:
                raise CutOffError(f"the answer has more than {MAX_BODY} bytes")
    return bytes(body)

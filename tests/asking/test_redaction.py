"""No form of a key gets out, and no text of a server steers a terminal."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from apu_contacts.asking.address import checked_key, server_address, shown_url
from apu_contacts.asking.redaction import Redactor, one_line, visible

KEY = "sk-proj-aB3/xY+9\"q'Zt\\77-WxYz"
PLAIN = "sk-test-ABCDEFGH12345678wxyz"


def shows(text: str, key: str, length: int = 6) -> bool:
    """Whether a text, read through every escape, has six characters of a key in a row."""
    forms = [
        text,
        text.replace("\\\\", "\\"),
        text.replace('\\"', '"'),
        bytes(text, "utf-8").decode("unicode_escape"),
    ]
    return any(key[i : i + length] in form for form in forms for i in range(len(key) - length + 1))


@pytest.mark.parametrize("key", [KEY, PLAIN])
@pytest.mark.parametrize("method", ["message", "answer"])
def test_a_key_in_any_writing_is_blanked(key: str, method: str) -> None:
    clean = getattr(Redactor([key]), method)
    unicode = "".join(f"\\u{ord(c):04x}" for c in key)
    for written in (
        key,
        repr(f"Bearer {key}\r".encode()),
        json.dumps({"key": key}),
        unicode,
        "".join(f"\\x{ord(c):02X}" for c in key),
        "".join(f"&#{ord(c)};" for c in key),
        quote(f"Bearer {key}", safe=""),
        quote(quote(key, safe=""), safe=""),
        json.dumps(json.dumps({"error": repr(key)})),
        unicode.replace("\\", "\\\\"),
        f"cut {key[:-5]}",
        f"cut {key[4:]}",
    ):
        text = clean(f"before {written} after")
        assert "***" in text and text.startswith("before ") and text.endswith(" after")
        assert not shows(text, key, 8 if method == "message" else 12), written


@pytest.mark.parametrize("around", ["{}", ":{}", "user:{}", "{}:", "ab{}cd", "Bearer {}"])
def test_a_key_inside_of_base64_is_blanked(around: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(around.format(PLAIN).encode()).decode()
        cleaned = Redactor([PLAIN]).message(f"Basic {text}")
        assert cleaned.startswith("Basic ") and "***" in cleaned
        for piece in cleaned.removeprefix("Basic ").split("***"):
            for lead in range(4):
                digits = "A" * lead + piece.rstrip("=")
                decoded = base64.urlsafe_b64decode(digits + "A" * (-len(digits) % 4))
                assert not any(PLAIN[i : i + 3].encode() in decoded for i in range(len(PLAIN) - 2))


@pytest.mark.parametrize(
    "masked",
    [
        "****wxyz",
        "sk-test-**************wxyz",
        "sk-test-...wxyz",
        "sk-…wxyz",
        "sk-tXXXXXXXXwxyz",
        "sk-te••••",
    ],
)
def test_a_masked_key_is_blanked(masked: str) -> None:
    text = Redactor([PLAIN]).message(f"Your api key: {masked} is invalid...")
    assert "wxyz" not in text and "sk-" not in text and text.endswith(" is invalid...")


def test_long_texts_take_no_long_time() -> None:
    """A search for masks that begins anew at every character would take hours here."""
    for text in ("a" * 10**6, "*" * 10**6, "a*" * 10**5, "x" * 10**6, "." * 10**6):
        assert Redactor([PLAIN]).message(text) == text


def test_what_is_no_secret_stays() -> None:
    text = "none of the hands touch... **bold** xxxx; empty, ollama, sk-other-key-000"
    for words in (["none"], ["EMPTY"], ["ollama"], ["abc"], [PLAIN], []):
        assert Redactor(words).message(text) == text == Redactor(words).answer(text)
    # A short key could be a word of an answer; a message may lose it, an answer may not.
    assert Redactor(["hand12"]).answer("hand12 touches") == "hand12 touches"
    assert Redactor(["hand12"]).message("hand12 touches") == "*** touches"
    assert PLAIN not in repr(Redactor([PLAIN]))


def test_nothing_steers_a_terminal() -> None:
    text = "\x1b]0;title\x07\x1b[2Jred\r\u202eevil\u200b\ud83d\x9b31m é\u00a0ß 中\n\tend"
    shown = visible(text, keep="\n\t")
    assert shown == (r"\x1b]0;title\x07\x1b[2Jred\r\u202eevil\u200b\ud83d\x9b31m é" + "\u00a0ß 中\n\tend")
    assert "\n" not in one_line(text, 300) and one_line("a" * 500, 10) == "aaaaaaa..."


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        (" http://127.0.0.1:8000/v1/ ", "http://localhost:8000/v1"),
        ("http://[::1]:8000/v1", "http://localhost:8000/v1"),
        ("http://0.0.0.0:8000/v1//", "http://localhost:8000/v1"),
        ("HTTP://LocalHost:8000/v1/chat/completions", "http://localhost:8000/v1"),
        ("http://Example.org:80/v1", "http://example.org/v1"),
        ("https://user:s3cretpass@example.org:443/v1", "https://example.org/v1"),
        ("http://[2001:db8::1]:81/V1", "http://[2001:db8::1]:81/V1"),
        ("https://api.openai.com/v1/", "openai"),
    ],
)
def test_one_server_has_one_name(url: str, name: str) -> None:
    assert server_address(url).name == name
    assert "s3cretpass" not in repr(server_address(url))


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "ftp://example.org/v1",
        "http://",
        "http://example.org:port/v1",
        "http://[::1/v1",
        "http://user:s3cretpass@example.org/v1?key=s3cretpass",
        "http://example.org/v1#s3cretpass",
        "http://example.org/v1\r\nX: s3cretpass",
        "",
    ],
)
def test_an_address_that_cannot_be_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        server_address(url)
    assert "s3cretpass" not in str(caught.value)
    assert "s3cretpass" not in shown_url("http://user:s3cretpass@example.org/v1?key=s3cretpass")


def test_a_key_is_stripped_or_refused_and_not_shown() -> None:
    for written in (f"{PLAIN}\r\n", f" {PLAIN}", f"{PLAIN}\t"):
        assert checked_key(written, "api_key") == PLAIN
    for written in (
        f"{PLAIN}\0",
        f"“{PLAIN}”",
        f"{PLAIN}\u00a0",
        f"{PLAIN[:8]}\t{PLAIN[8:]}",
        f'"{PLAIN}"',
        f"{PLAIN} x",
    ):
        with pytest.raises(ValueError, match="the variable MY_KEY") as caught:
            checked_key(written, "the variable MY_KEY")
        assert not shows(str(caught.value), PLAIN)

"""Words of a server made fit to be shown and kept: without secrets, and without what steers a terminal.

A secret is not searched for as it stands: quoting, escaping, base64 and cutting all leave pieces of it. The
text is read through its escapes, and every character that takes part in a piece of a secret is blanked.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

_PIECE = 8
"""So many characters in a row that also stand in a row in a secret are taken for a piece of it."""
_PIECE_IN_ANSWER = 12
"""The same for a model's answer, whose words must not be taken for a key by chance."""
_SHORTEST = 4
_BLANK = "***"
_NOT_SECRET = frozenset(
    [
        "none",
        "null",
        "empty",
        "dummy",
        "test",
        "token",
        "key",
        "secret",
        "local",
        "ollama",
        "not-needed",
        "not-required",
        "no-key",
        "no_key",
        "lm-studio",
        "vllm",
        "sglang",
        "llama",
        "sk-no-key-required",
        "unused",
    ]
)
"""Words that people give to servers that want no key; an answer may well have them."""

# Each as often escaped as may be; a backslash before anything else is left out of what is read.
_ESCAPE = re.compile(
    r"\\+u([0-9a-fA-F]{4})|\\+x([0-9a-fA-F]{2})|%(?:25)*([0-9a-fA-F]{2})|&#x([0-9a-fA-F]{1,6});"
    r"|&#([0-9]{1,7});|\\+"
)
_MASK = re.compile(r"\*+|•+|…|\.{3,}|[xX]{4,}")
_WORD = re.compile(r"[\w+/=-]")
_LONGEST_HALF = 200
_TAIL = re.compile(rf"[\w+/=*•….-]{{0,{_LONGEST_HALF}}}")


class Redactor:
    """Takes secrets out of texts.

    Args:
        secrets: API keys and passwords. Words that only stand in for a key ("none", "EMPTY"), and secrets of
            less than 4 characters, are left alone: blanking them would spoil texts and hide nothing.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [s for s in secrets if len(s) >= _SHORTEST and s.lower() not in _NOT_SECRET]

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def message(self, text: str) -> str:
        """Return a text for people without any piece of a secret, masked forms (``sk-...wxyz``) included."""
        return self._without_masked(self._without_pieces(text, _PIECE))

    def answer(self, text: str) -> str:
        """Return a model's text without a secret or a long piece of it; nothing else changes."""
        return self._without_pieces(text, _PIECE_IN_ANSWER)

    def _without_pieces(self, text: str, length: int) -> str:
        longest = max((len(secret) for secret in self._secrets), default=0)
        if not text or not longest:
            return text
        plain, spans = _read_escapes(text)
        marked = bytearray(len(plain))
        for secret in self._secrets:
            if length == _PIECE_IN_ANSWER and len(secret) < _PIECE:
                continue
            for form in _forms(secret):
                size = min(length, len(form))
                for at in range(len(form) - size + 1):
                    piece = form[at : at + size]
                    found = plain.find(piece)
                    while found >= 0:
                        marked[found : found + size] = b"\x01" * size
                        found = plain.find(piece, found + 1)
        if not any(marked):
            return text
        parts, at = [], 0
        for run in re.finditer(b"\x01+", bytes(marked)):
            start, end = run.span()
            parts += [text[at : spans[start][0]], _BLANK]
            at = spans[end - 1][1]
        return "".join(parts) + text[at:]

    def _without_masked(self, text: str) -> str:
        if not self._secrets:
            return text
        parts, at = [], 0
        for mask in _MASK.finditer(text):
            start = mask.start()
            while at < start and mask.start() - start < _LONGEST_HALF and _WORD.match(text, start - 1):
                start -= 1
            tail = _TAIL.match(text, mask.end())
            end = tail.end() if tail else mask.end()
            if mask.start() >= at and self._is_masked(text[start : mask.start()], text[mask.end() : end]):
                parts += [text[at:start], _BLANK]
                at = end
        return "".join(parts) + text[at:]

    def _is_masked(self, head: str, tail: str) -> bool:
        """Whether what stands around a mask begins or ends a secret."""
        tail = _MASK.split(tail)[-1].strip(".-")
        return any(
            (len(head) >= 3 and secret.startswith(head)) or (len(tail) >= 2 and secret.endswith(tail))
            for secret in self._secrets
        )


def _forms(secret: str) -> set[str]:
    """Return the secret as it may be written: as it is but for backslashes, which escapes are made of, in
    hex, and inside of any base64.
    """
    raw = secret.encode("utf-8", "replace")
    forms = {secret.replace("\\", ""), unquote(secret).replace("\\", ""), raw.hex(), raw.hex().upper()}
    for lead in range(3):
        whole = base64.b64encode(b"\0" * lead + raw)
        # The digits at both ends also depend on what stands around the secret.
        first, last = -(-lead * 8 // 6), (lead + len(raw)) * 8 // 6
        for digits in (whole, whole.translate(bytes.maketrans(b"+/", b"-_"))):
            forms.add(digits[first:last].decode("ascii"))
    return {form for form in forms if len(form) >= _SHORTEST}


def _read_escapes(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the text with its escapes resolved and without backslashes, and where each character stood."""
    characters: list[str] = []
    spans: list[tuple[int, int]] = []
    at = 0
    for match in _ESCAPE.finditer(text):
        start, end = match.span()
        characters += text[at:start]
        spans += [(i, i + 1) for i in range(at, start)]
        at = end
        if match.lastindex is None:
            continue
        code = int(match[match.lastindex], 10 if match.lastindex == 5 else 16)
        if code != ord("\\"):
            characters.append(chr(code) if code < 0x110000 else "?")
            spans.append((start, end))
    characters += text[at:]
    spans += [(i, i + 1) for i in range(at, len(text))]
    return "".join(characters), spans


def visible(text: str, keep: str = "") -> str:
    r"""Return the text with control characters, marks that turn the direction of writing, and halves of
    surrogate pairs written as escapes (``\x1b``), so that it can be printed; those in ``keep`` stay.
    """
    return "".join(
        c if c in keep or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else _escaped(c)
        for c in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def one_line(text: str, most: int) -> str:
    """At most ``most`` characters of the text, in one visible line."""
    line = visible(" ".join(text[: 8 * most].split()))
    return line if len(line) <= most else line[: most - 3] + "..."

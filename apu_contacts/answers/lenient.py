"""JSON as language models write it: read without executing, guessing or backtracking.

One pass from left to right. What departs from JSON is read by a fixed rule and logged as a `Repair`, or
logged as `Unexplained` and left out. Every look-ahead is bounded or scans white space only, so the time is
linear in the length of the text; nesting is capped.

A node knows whether it was closed: what the end of the text cuts off stays marked as open, so that no value
that might have gone on is taken for a whole one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from apu_contacts.answers.answer import AnswerParseError, Repair, Unexplained

MAX_DEPTH = 64
MAX_CHARACTERS = 4_000_000

_SPACE = re.compile(r"\s*")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_FENCE = re.compile(r"(?:`{3,}|~{3,})[ \t]*[A-Za-z0-9_+.-]{0,20}")
_FENCE_MARKS = ("```", "~~~")
_ELLIPSIS = re.compile(r"\.{3,}|…")
# A value without quotes: up to the next mark of structure, a line end, or a comment.
_BARE = re.compile(r"(?:[^,\[\]{}()\":\n“”/#;]|/(?![/*]))+")
_BARE_KEY = re.compile(r"([^\W\d][\w$.-]{0,63}(?:[ \t][\w$.-]{1,64}){0,5})[ \t]*[:=]")
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?")
_STRICT_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r",(\d{1,6})(?=\s*[,}\]])")
_KEY_AHEAD = re.compile(r"\s*[\"'“][^\"\n]{0,120}?[\"'”]\s*[:=]")
_AFTER_COMMA_IN_OBJECT = re.compile(
    r"\s*(?:[\"'“][^\"\n]{0,120}?[\"'”]\s*[:=]|[\"'“][\w ]{1,40}:\s*[\"'“]|[}\]{]|\Z|//|/\*|#|,"
    r"|[A-Za-z_]\w{0,63}\s*:|\.\.\.|```)"
)
_AFTER_COMMA_IN_ARRAY = re.compile(
    r"\s*(?:[\"'“\[{}\],]|-?[\d.]|\Z|//|/\*|#|```|(?:true|false|null|none)\b)", re.IGNORECASE
)
_NO_KEY = re.compile(r"[{}\[\]\n]|/\*|//")
_SKIP = re.compile(r"(?:[^\"'“{}\[\],\n/#]|/(?![/*]))+")
_LITERALS: dict[str, bool | None] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "undefined": None,
}
_STRICT_LITERALS = {"true", "false", "null"}
_ESCAPES = {
    '"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_CLOSERS = {'"': '"', "'": "'", "“": '”"', "‘": "’'", "`": "`"}
_SCAN = {opener: re.compile(f"[\\\\{closers}]") for opener, closers in _CLOSERS.items()}
_QUOTES = frozenset("\"'“‘`")


@dataclass(slots=True)
class Node:
    """One value of the text.

    Args:
        kind: ``"object"``, ``"array"``, ``"string"``, ``"number"``, ``"literal"``, ``"word"`` (no quotes) or
            ``"missing"`` (a key without value).
        start: first character.
        end: one past the last.
        value: list of ``(key, node)`` for an object, of nodes for an array, else the Python value.
        closed: the text shows where the value ends.
    """

    kind: str
    start: int
    end: int
    value: Any
    closed: bool = True


@dataclass(slots=True)
class Reading:
    """A text as a sequence of values and what stands around them.

    Args:
        values: in the order of the text.
        gaps: ``(start, end)`` of what is no value, neither white space nor fences nor commas.
        repairs: departures from JSON and how they were read.
        unexplained: characters inside values that were left out.
        truncated: the text ends inside a value.
        shown: the text as it was read, with blanks for reasoning; every position is that of the raw text.
    """

    values: list[Node] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    unexplained: list[Unexplained] = field(default_factory=list)
    truncated: bool = False
    shown: str = ""


# Marks that are told apart by identity: a set's first element in place of a key, and what `pair` makes of it.
_LONE = "\0lone"
_ELEMENT: tuple[str, Node] = (_LONE, Node("missing", 0, 0, None))


def plain(node: Node) -> Any:
    """Return the node as plain Python values; of a key that occurs twice the last counts."""
    if node.kind == "object":
        return {key: plain(value) for key, value in node.value}
    if node.kind == "array":
        return [plain(value) for value in node.value]
    return "" if node.kind == "missing" else node.value


def check_length(text: str) -> None:
    """Raise `AnswerParseError` for a text longer than `MAX_CHARACTERS`."""
    if len(text) > MAX_CHARACTERS:
        raise AnswerParseError(
            f"the text has {len(text)} characters, more than {MAX_CHARACTERS}; is this one answer, or a "
            f"whole file?"
        )


class Reader:
    """Reads values one after the other; `Reading` collects what was found.

    Args:
        text: the whole text.

    Raises:
        AnswerParseError: on a text that is too long; by its methods, on nesting deeper than `MAX_DEPTH`.
    """

    def __init__(self, text: str) -> None:
        check_length(text)
        self.text = text
        self.length = len(text)
        self.pos = 0
        self.reading = Reading()
        # The brackets that are open around the position, innermost last.
        self.open: list[str] = []

    # Logging

    def repair(self, kind: str, start: int, end: int, meaning: str) -> None:
        """Log a repair."""
        self.reading.repairs.append(Repair(kind, start, end, meaning))

    def skip_unexplained(self, end: int, reason: str) -> None:
        """Leaves out the characters up to ``end``; adjoining ones become one entry."""
        start, log = self.pos, self.reading.unexplained
        self.pos = end
        if log and log[-1].end == start and log[-1].reason == reason:
            start = log.pop().start
        log.append(Unexplained(start, end, self.text[start : min(end, start + 200)], reason))

    # White space, comments

    def skip_space(self) -> None:
        """Move past white space, comments and ellipses."""
        text = self.text
        while True:
            match = _SPACE.match(text, self.pos)
            self.pos = match.end() if match else self.pos
            char = text[self.pos : self.pos + 1]
            if char in "/#" and char:
                comment = _COMMENT.match(text, self.pos)
                if comment is None:
                    return
                self.repair("comment", comment.start(), comment.end(), "left out")
                self.pos = comment.end()
            elif char in ".…" and char:
                ellipsis = _ELLIPSIS.match(text, self.pos)
                if ellipsis is None:
                    return
                self.repair("ellipsis", ellipsis.start(), ellipsis.end(), "the model left something out here")
                self.pos = ellipsis.end()
            else:
                return

    def at_end(self) -> bool:
        """At the end of the text, or at the fence that ends the block."""
        return self.pos >= self.length or self.text.startswith(_FENCE_MARKS, self.pos)

    # Values

    def value(self, context: str) -> Node:
        """Read one value; ``context`` is ``"object"``, ``"array"`` or ``"top"``. Position: at its first
        character.
        """
        char = self.text[self.pos]
        if char == "{":
            return self.bracketed("object", "}")
        if char == "[":
            return self.bracketed("array", "]")
        if char == "(":
            return self.bracketed("array", ")")
        if char in _QUOTES:
            return self.string(context)
        return self.bare(context)

    def bracketed(self, kind: str, closer: str) -> Node:
        """Read an object, an array or a tuple. Position: at the opening bracket."""
        start = self.pos
        self.pos += 1
        self.push(closer)
        node = self.object_body(start, False) if kind == "object" else self.array_body(start, closer)
        self.open.pop()
        return node

    def push(self, closer: str) -> None:
        """Enters a bracket."""
        if len(self.open) >= MAX_DEPTH:
            raise AnswerParseError(
                f"brackets are nested deeper than {MAX_DEPTH} at character {self.pos}; an answer has 4 "
                f"levels",
                tuple(self.reading.repairs),
                tuple(self.reading.unexplained),
            )
        self.open.append(closer)

    def implicit_object(self, start: int) -> Node:
        """Read ``"key": value`` pairs whose opening brace is missing. Position: at the first key."""
        self.repair("missing bracket", start, start + 1, "an opening brace was missing")
        self.push("}")
        node = self.object_body(start, len(self.open) == 1)
        self.open.pop()
        return node

    def object_body(self, start: int, open_ended: bool) -> Node:
        """Read the members of an object, from the first key to its end."""
        items: list[tuple[str, Node]] = []
        node = Node("object", start, start, items)
        comma = -1  # position of a comma that has not been followed by a key yet
        while True:
            self.skip_space()
            if self.at_end():
                node.closed = open_ended
                self.reading.truncated |= not open_ended
                break
            at, char = self.pos, self.text[self.pos]
            if char == "}":
                if comma >= 0:
                    self.repair("trailing comma", comma, comma + 1, "left out")
                self.pos += 1
                break
            if char in "])":
                if char in self.open:
                    self.repair("missing bracket", at, at, "a closing brace was missing")
                    break
                self.repair("stray bracket", at, at + 1, "left out")
                self.pos += 1
            elif char in ",;":
                if comma >= 0 or char == ";" or not items:
                    self.repair("stray comma", at, at + 1, "left out")
                comma = at
                self.pos += 1
            elif char in "{[(":
                last = items[-1][1] if items else None
                if last is not None and self.goes_on(last, char):
                    self.repair("list closed early", last.end - 1, last.end, "the list goes on after it")
                    last.value.append(self.value("array"))
                    comma = -1
                    continue
                if char == "{" and items and "]" in self.open:
                    # The next element of the list begins: this object's closing brace was lost.
                    self.repair("missing bracket", at, at, "a closing brace was missing")
                    break
                if not items:
                    return self.as_array(start)
                self.value_unexplained()
                comma = -1
            else:
                pair = self.pair(char, not items)
                if pair is _ELEMENT:
                    self.pos = at
                    return self.as_array(start)
                if pair is not None:
                    items.append(pair)
                    comma = -1
        node.end = self.pos
        return node

    def goes_on(self, last: Node, char: str) -> bool:
        """Whether a value without a key belongs to the list before it, by the kind of its first element."""
        if last.kind != "array" or not last.value or not last.closed:
            return False
        first: Node = last.value[0]
        return first.kind == ("object" if char == "{" else "array")

    def as_array(self, start: int) -> Node:
        """Read an object without keys as what it is, a list in the wrong brackets (a Python set)."""
        self.repair("wrong brackets", start, start + 1, "braces without keys were read as a list")
        self.open[-1] = "}"
        return self.array_body(start, "}")

    def value_unexplained(self) -> None:
        """Leaves out a value that has no key."""
        start = self.pos
        self.value("object")
        end, self.pos = self.pos, start
        self.skip_unexplained(end, "a value without a key")

    def pair(self, char: str, first: bool) -> tuple[str, Node] | None:
        """Read ``key: value``; None if there is none here, `_ELEMENT` if this is no object but a set."""
        at = self.pos
        name = self.quoted_key(first) if char in _QUOTES else self.bare_key()
        if name is None or name is _LONE:
            return None if name is None else _ELEMENT
        self.skip_space()
        if self.at_end():
            self.reading.truncated = True
            return name, Node("missing", self.pos, self.pos, None, False)
        if self.text[self.pos] in ",}])":
            self.repair("missing value", at, self.pos, f"the key {name[:40]!r} has no value")
            return name, Node("missing", self.pos, self.pos, None)
        return name, self.value("object")

    def quoted_key(self, first: bool) -> str | None:
        """Read a key and its colon; None if there is no key, `_LONE` for a first string without a colon."""
        at = self.pos
        key = self.string("key")
        if not key.closed:
            return None
        name = str(key.value).strip("\r\n")  # a space may be meant; a line break is none of JSON's
        if _NO_KEY.search(name):
            # Marks of structure in a key: the quotation marks are out of step. Drop one to get back in step.
            self.pos = at
            self.skip_unexplained(at + 1, "a quotation mark out of step")
            return None
        self.skip_space()
        follows = self.text[self.pos : self.pos + 1]
        if follows and follows in ":=":
            self.pos += 1
            if follows == "=":
                self.repair("wrong separator", self.pos - 1, self.pos, "= read as a colon")
                self.pos += self.text.startswith(">", self.pos)
        elif name.rstrip().endswith(":"):
            name = name.strip()[:-1].rstrip(" '\"")
            self.repair("missing quote", at, self.pos, f"the key {name[:40]!r} lacked its closing quote")
        elif not follows or follows in ",}]":
            if first and follows and follows in ",}":
                return _LONE
            end, self.pos = self.pos, at
            self.skip_unexplained(end, "a key without a value")
            return None
        else:
            self.repair("missing colon", self.pos, self.pos, f"after the key {name[:40]!r}")
        return name

    def bare_key(self) -> str | None:
        """Read a key without quotes and its colon; skips to the next mark of structure if there is none."""
        match = _BARE_KEY.match(self.text, self.pos)
        if match is None:
            skipped = _SKIP.match(self.text, self.pos)
            self.skip_unexplained(skipped.end() if skipped else self.pos + 1, "no key")
            return None
        name = match.group(1)
        self.repair("key without quotes", self.pos, match.end(1), f"read as {name!r}")
        self.pos = match.end()
        return name

    def array_body(self, start: int, closer: str) -> Node:
        """Read the items of an array, from behind its bracket to its end."""
        items: list[Node] = []
        node = Node("array", start, start, items)
        comma, separated = -1, True
        while True:
            self.skip_space()
            if self.at_end():
                node.closed = False
                self.reading.truncated = True
                break
            at, char = self.pos, self.text[self.pos]
            if char == closer:
                if comma >= 0 and closer == "]":
                    self.repair("trailing comma", comma, comma + 1, "left out")
                self.pos += 1
                if closer == ")" and len(items) == 1 and comma < 0:
                    return items[0]  # a value in parentheses, no tuple
                break
            if char in "}])":
                if char in self.open and not (char == "}" and self.more_elements(at + 1)):
                    self.repair("missing bracket", at, at, f"a closing {closer} was missing")
                    break
                self.repair("stray bracket", at, at + 1, "left out")
                self.pos += 1
            elif char in ",;":
                if comma >= 0 or char == ";" or not items:
                    self.repair("stray comma", at, at + 1, "left out")
                comma, separated = at, True
                self.pos += 1
            elif char in "-*" and self.text[at + 1 : at + 2] in (" ", ""):
                self.repair("bullet", at, at + 1, "left out")
                self.pos += 1
            else:
                if not separated:
                    self.repair("missing comma", at, at, "between two elements")
                element = self.value("array")
                if element.kind != "missing":
                    items.append(element)
                comma, separated = -1, False
        node.end = self.pos
        return node

    def more_elements(self, pos: int) -> bool:
        """Whether a list goes on with an object after a brace that closes nothing."""
        match = _SPACE.match(self.text, pos)
        pos = match.end() if match else pos
        if self.text[pos : pos + 1] != ",":
            return False
        match = _SPACE.match(self.text, pos + 1)
        return match is not None and self.text[match.end() : match.end() + 1] == "{"

    # Strings

    def string(self, context: str) -> Node:
        """Read a string, or the implicit object that begins with it. Position: at the opening quote."""
        text, start = self.text, self.pos
        opener = text[start]
        i = start + 1
        if text.startswith(opener * 3, start):
            end = text.find(opener * 3, start + 3)
            if end > 0:
                self.repair("triple quotes", start, end + 3, "read as one string")
                self.pos = end + 3
                return Node("string", start, self.pos, text[start + 3 : end])
        if opener != '"':
            self.repair("quotes", start, start + 1, f"{opener} read as a quotation mark")
        elif text[i : i + 1] == opener and (text[i + 1 : i + 2].isalnum() or text[i + 1 : i + 2] == "_"):
            self.repair("doubled quote", start, i + 1, "read as one")
            i += 1
        begin = i
        scan = _SCAN[opener]
        escaped, inner, fallback = False, -1, -1
        while True:
            match = scan.search(text, i)
            if match is None or (text[match.start()] == "\\" and match.end() >= self.length):
                return self.unclosed_string(start, begin, escaped)
            j = match.start()
            if text[j] == "\\":
                escaped = True
                i = j + 2
                continue
            verdict = self.closes(context, begin, j, fallback)
            if verdict == "close":
                break
            if verdict == "fallback":
                self.repair("missing quote", fallback, fallback, "the string ends before this comma")
                self.pos = fallback
                return Node("string", start, fallback, self.decode(start, text[begin:fallback], escaped))
            if verdict == "implicit":
                self.pos = start
                return self.implicit_object(start)
            if inner < 0 and not (opener == "'" and text[j + 1 : j + 2].isalnum()):
                inner = j
            if fallback < 0 or context != "object":
                fallback = self.comma_before(begin, j)
            i = j + 1
        if inner >= 0:
            self.repair("quote inside a string", inner, inner + 1, "taken as part of the string")
        self.pos = j + 1
        return Node("string", start, self.pos, self.decode(start, text[begin:j], escaped))

    def comma_before(self, begin: int, quote: int) -> int:
        """Position of the comma that stands before a quote with only white space between; -1 if there is
        none.
        """
        k = quote - 1
        while k >= max(begin, quote - 64) and self.text[k].isspace():
            k -= 1
        return k if k >= begin and self.text[k] == "," else -1

    def closes(self, context: str, begin: int, quote: int, fallback: int) -> str:
        """Whether a quotation mark ends the string, by what follows it: "close", "inner", "fallback",
        "implicit".
        """
        text = self.text
        match = _SPACE.match(text, quote + 1)
        k = match.end() if match else quote + 1
        char = text[k : k + 1]
        if not char:
            return "close"
        if context == "key":
            if char in ":=,}]{[" or char in _QUOTES or char.isdigit():
                return "close"
            return "close" if text[quote - 1] == ":" and quote > begin else "inner"
        if context == "top":
            return "close"
        if char in "}])":
            return "close" if char in self.open else "inner"
        if char == ",":
            ahead = _AFTER_COMMA_IN_OBJECT if context == "object" else _AFTER_COMMA_IN_ARRAY
            return "close" if ahead.match(text, k + 1) else "inner"
        if char == ":":
            return "fallback" if fallback >= 0 and context == "object" else "implicit"
        if char in _QUOTES and context == "object" and not text.startswith("```", k):
            return "close" if _KEY_AHEAD.match(text, k) else "inner"
        if char in _QUOTES and "\n" in text[quote + 1 : k]:
            return "close"
        if text.startswith(("//", "/*", "#", "```", "~~~"), k):
            return "close"
        return "inner"

    def unclosed_string(self, start: int, begin: int, escaped: bool) -> Node:
        """Say whether the text ends inside a string."""
        self.reading.truncated = True
        self.pos = self.length
        body = self.text[begin:]
        if body.endswith("\\"):
            body = body[:-1]
        trimmed = body.rstrip().removesuffix("```").rstrip(" \n\t}])")
        self.repair("missing quote", start, self.length, "the text ends inside this string")
        return Node("string", start, self.length, self.decode(start, trimmed, escaped), False)

    def decode(self, start: int, body: str, escaped: bool) -> str:
        """Resolve backslash escapes; a backslash before anything else stays."""
        if not escaped:
            return body

        def resolve(match: re.Match[str]) -> str:
            code = match.group(1)
            if code[0] == "u" and len(code) == 5:
                return chr(int(code[1:], 16))
            if code in _ESCAPES:
                return _ESCAPES[code]
            return match.group(0)

        decoded = _ESCAPE.sub(resolve, body)
        # Surrogate pairs of JSON escapes become one character; a lone half cannot be written to a file.
        return decoded.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    # Values without quotes

    def bare(self, context: str) -> Node:
        """Read a number, a literal or a word without quotes; may read nothing and skip."""
        text, start = self.text, self.pos
        match = _BARE.match(text, start)
        if match is None:
            if text[start] == ":" and context != "object":
                self.skip_unexplained(start + 1, "a colon without a key")
            else:
                self.skip_unexplained(start + 1, "no value")
            return Node("missing", start, start, None)
        word = match.group().rstrip()
        self.pos = start + len(word)
        node = Node("word", start, self.pos, word)
        lowered = word.lower()
        if lowered in _LITERALS:
            node.kind, node.value = "literal", _LITERALS[lowered]
            if word not in _STRICT_LITERALS:
                self.repair("literal", start, self.pos, f"{word} read as {lowered}")
        elif _NUMBER.fullmatch(word):
            self.number(node, word, context)
        else:
            self.repair("value without quotes", start, self.pos, f"read as the text {word[:40]!r}")
        self.stray_quote()
        # A word that runs to the end of the text might have gone on.
        if self.pos >= self.length:
            node.closed = False
            self.reading.truncated = True
        node.end = self.pos
        return node

    def number(self, node: Node, word: str, context: str) -> None:
        """Turn a word into a number; a decimal comma counts inside objects, where no key can follow it."""
        digits = word.replace("_", "")
        if context == "object" and "." not in word:
            comma = _DECIMAL_COMMA.match(self.text, self.pos)
            if comma is not None:
                digits = f"{digits}.{comma.group(1)}"
                self.repair("decimal comma", node.start, comma.end(), f"read as {digits}")
                self.pos = comma.end()
        elif not _STRICT_NUMBER.fullmatch(word):
            self.repair("number", node.start, self.pos, f"{word[:40]} read as {digits[:40]}")
        is_float = any(mark in digits for mark in ".eE") or len(digits) > 300
        node.kind, node.value = "number", float(digits) if is_float else int(digits)

    def stray_quote(self) -> None:
        """Drop a quotation mark that closes a string which was never opened."""
        text = self.text
        if text[self.pos : self.pos + 1] != '"':
            return
        match = _SPACE.match(text, self.pos + 1)
        k = match.end() if match else self.pos + 1
        if text[k : k + 1] in ",}]":
            self.repair("stray quote", self.pos, self.pos + 1, "left out")
            self.pos += 1

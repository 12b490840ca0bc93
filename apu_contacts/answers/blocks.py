"""The values in a model's text, and what stands around them: prose, fences, reasoning, lines of JSON."""

from __future__ import annotations

import re

from apu_contacts.answers.lenient import Reader, Reading, check_length
from apu_contacts.answers.reasoning import reasoning_blocks

# Where a value may begin: a bracket followed by what can stand in one, a fence, a reasoning tag, or a quoted
# key.
_START = re.compile(
    r"(?P<fence>`{3,}|~{3,})"
    r"|(?P<object>\{(?=\s*(?:\Z|[\"'“‘}{\[\\/#]|[^\W\d][\w .-]{0,64}[:=]|\.\.\.)))"
    r"|(?P<array>\[(?=\s*(?:\Z|[\[\]{(\"'“/#]|-?[\d.]|-\s|(?:true|false|null|none)\b)))"
    r"|(?P<key>(?:(?<=[\n,}\]])|(?<=^))[ \t]*(?:\"[^\"\n]{1,60}\"\s*[:\"]|'[^'\n]{1,60}'\s*:"
    r"|(?:interaction|people|orientation|contacts)[ \t]*:\s{0,40}[\"'\[{]))"
    r"|(?P<comment>/\*|(?:(?<=[\s,{}\[\]])|(?<=^))(?://|#)(?=[\s{\[\"']))"
    r"|(?P<stray>[\]}]+)",
    re.IGNORECASE,
)
_COMMENT_END = {"/*": re.compile(r"\*/|\Z"), "line": re.compile(r"\n|\Z")}
# Full-width marks of structure, one character each, and what they stand for.
_WIDE = str.maketrans("：，｛｝［］（）＂；＝．", ':,{}[]()";=.')
_IS_WIDE = re.compile("[：｛｝［］，＂]")
# A check box is no list; it says whether its line holds, and is read with its line.
_CHECK_BOX = re.compile(
    r"^([ \t]*(?:(?:[-*+•]|\d{1,3}[.)])[ \t]+)?)\[[ \t]?([xX✓✔✗✘*-]?)[ \t]?\](?=[ \t]+[^\s,}\]])",
    re.MULTILINE,
)
_FENCE_INFO = re.compile(r"[ \t]*(?:[A-Za-z0-9_+.-]{1,20})?")
_TUPLE_START = re.compile(r"\s*\((?=\s*(?:[(\"'\[{]|-?\d))")
_SEPARATOR = re.compile(r"[\s,;]*")
_WHOLE_STRING = re.compile(r"\s*[\"“]")
# An object whose every quotation mark is escaped, as if copied out of a string.
_ESCAPED = re.compile(r"\s*(?:```\w*\s*)?[{\[](?:\s|\\[nrt]|[{\[])*\\\"")


def read_text(text: str) -> Reading:
    """Find and read all values of a text, in linear time.

    Raises:
        AnswerParseError: on a text that is too long or nested too deep.
    """
    check_length(text)
    thoughts = reasoning_blocks(text)
    shown = blank_spans(text, thoughts) if thoughts else text
    removed = _diff_spans(shown)
    if removed:
        shown = _DIFF_PLUS.sub(" ", blank_spans(shown, removed))
    shown = _CHECK_BOX.sub(_box, shown)
    if _IS_WIDE.search(shown):
        shown = shown.translate(_WIDE)
    escaped = _ESCAPED.match(shown) is not None
    if escaped:
        # Blanks in place of the backslashes, so that every position stays what it is in the raw text.
        shown = re.sub(r"\\[nrt]", "  ", shown.replace('\\"', ' "'))
    reader = Reader(shown)
    for start, end in thoughts:
        reader.repair("reasoning", start, end, "left out: the model's reasoning before its answer")
    for start, end in removed:
        reader.repair("removed line", start, end, "left out: a line that a comparison takes out")
    if escaped:
        reader.repair("escaped JSON", 0, len(text), "backslashes before quotation marks were dropped")
    _scan(reader)
    reader.reading.shown = shown
    reader.reading.truncated |= any(end > len(text) for _, end in thoughts)
    return reader.reading


_DIFF = re.compile(
    r"^(?:`{3,}|~{3,})[ \t]*(?:diff|patch)\b|^@@ .{0,80}@@|^--- \S.*\n\+\+\+ \S", re.MULTILINE | re.IGNORECASE
)
_DIFF_OUT = re.compile(r"^(?:-(?!\d*\s*$).*|@@.*@@.*|\+\+\+ .*)$", re.MULTILINE)
_DIFF_PLUS = re.compile(r"^\+", re.MULTILINE)


def _diff_spans(text: str) -> list[tuple[int, int]]:
    """Return the lines that a comparison of two versions takes out, and those that say where it stands."""
    if _DIFF.search(text) is None:
        return []
    return [match.span() for match in _DIFF_OUT.finditer(text)]


def _box(match: re.Match[str]) -> str:
    """One sign and blanks in place of a check box."""
    sign = "☑" if match.group(2) and match.group(2) not in "✗✘-" else "☐"
    return match.group(1) + sign + " " * (len(match.group()) - len(match.group(1)) - 1)


def blank_spans(text: str, spans: list[tuple[int, int]]) -> str:
    """Return the text with blanks in place of spans, so that every position stays what it is."""
    pieces, end = [], 0
    for start, stop in spans:
        pieces += [text[end:start], " " * (min(stop, len(text)) - start)]
        end = stop
    return "".join([*pieces, text[end:]])


def _scan(reader: Reader) -> None:
    text, reading = reader.text, reader.reading
    in_fence = False
    gap = 0  # first character that is neither a value nor accounted for
    if _TUPLE_START.match(text):
        reader.pos = text.index("(")
        reading.values.append(reader.value("top"))
        gap = reader.pos
    elif _WHOLE_STRING.match(text) and not _quoted_key(text):
        _whole_string(reader)
        gap = reader.pos
    while True:
        match = _START.search(text, reader.pos)
        if match is None:
            break
        start, kind = match.start(), match.lastgroup
        if kind == "fence":
            _add_gap(reading, text, gap, start)
            in_fence = _fence(reader, match.end(), in_fence, start)
            gap = reader.pos
            if in_fence and (opened := _TUPLE_START.match(text, reader.pos)):
                reader.pos = opened.end() - 1
                reading.values.append(reader.value("top"))
                gap = reader.pos
        elif kind == "comment":
            # Words that the model took out itself; as part of the gap they are prose.
            end = _COMMENT_END["/*" if match.group() == "/*" else "line"].search(text, match.end())
            reader.pos = end.end() if end else len(text)
        elif kind == "stray":
            if reading.values and text[gap:start].strip(" \t\r\n,;") == "":
                reader.repair("stray bracket", start, match.end(), "left out")
                gap = match.end()
            reader.pos = match.end()
        else:
            _add_gap(reading, text, gap, start)
            reader.pos = start
            if kind == "key":
                reader.pos += len(match.group()) - len(match.group().lstrip())
            reading.values.append(
                reader.implicit_object(reader.pos) if kind == "key" else reader.value("top")
            )
            gap = reader.pos
    _add_gap(reading, text, gap, len(text))


def _quoted_key(text: str) -> bool:
    return re.match(r"\s*[\"“][^\"”\n]{1,60}[\"”]\s*:", text) is not None


def _whole_string(reader: Reader) -> None:
    """Read a text that is one string, such as JSON inside JSON; leave any other text alone."""
    text = reader.text
    reader.pos = len(text) - len(text.lstrip())
    logged = len(reader.reading.repairs)
    node = reader.string("array")
    if node.closed and node.kind == "string" and not text[reader.pos :].strip():
        reader.reading.values.append(node)
        return
    reader.pos = 0
    reader.reading.truncated = False
    reader.reading.values.clear()
    del reader.reading.repairs[logged:]


def _fence(reader: Reader, end: int, in_fence: bool, start: int) -> bool:
    """Move past a fence and, where it opens a block, the name of the language. Return whether a block is
    open.
    """
    if not in_fence:
        info = _FENCE_INFO.match(reader.text, end)
        # A word after a closing fence is prose, unless the fence stands alone on its line.
        end = info.end() if info else end
    reader.pos = end
    reader.repair("code fence", start, end, "left out")
    return not in_fence


def _add_gap(reading: Reading, text: str, start: int, end: int) -> None:
    match = _SEPARATOR.match(text, start, end)
    first = match.end() if match else start
    if first < end:
        reading.gaps.append((first, end))

"""Contacts as lines of ``key: value``, nested by their indentation (bullets of bullets, YAML)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from apu_contacts.answers.collected import Collected
from apu_contacts.answers.interpret import is_contact, read_contact
from apu_contacts.answers.keys import contact_key, is_remark, says_whether
from apu_contacts.answers.lenient import Node
from apu_contacts.answers.scopes import Line
from apu_contacts.answers.sentences import BULLET, EMPHASIS
from apu_contacts.answers.vocabulary import UnknownWordError, read_part

_ENTRY = re.compile(r"(?P<key>[^:：|]{1,60}?)\s*[:：](?P<value>.*)")  # of a line without blanks around
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_MOST = 40
_MEMORY = 256  # lines, each of which is looked at by up to 40 before it


class _Entry(NamedTuple):
    indent: int
    bullet: bool
    key: str
    value: str
    line: Line


@lru_cache(_MEMORY)
def _entry(line: Line) -> _Entry | None:
    bullet = BULLET.match(line.text)
    words = line.text[bullet.end() :] if bullet else line.text
    match = _ENTRY.fullmatch(EMPHASIS.sub("", words).strip())
    if match is None:
        return None
    key = match.group("key")
    if contact_key(key) is None and not is_remark(key) and not says_whether(key):
        return None
    value = match.group("value").strip().strip("\"'")
    return _Entry(bullet.end() if bullet else line.indent, bullet is not None, key, value, line)


def read_record(lines: list[Line], i: int, into: Collected) -> int:
    """Read the contact that begins at line ``i`` as lines of ``key: value``; returns the line after it, or
    ``i`` if there is none.
    """
    first = _entry(lines[i])
    if first is None or (key := contact_key(first.key)) is None or not key.person:
        return i
    entries = [first]
    for line in lines[i + 1 : i + _MOST]:
        entry = _entry(line)
        if entry is None or entry.indent < first.indent:
            break
        same = entry.indent == first.indent
        if same and (entry.key == first.key or (entry.bullet and not first.bullet)):
            break
        if same and first.bullet and entry.bullet and first.value == "" and entry.key == first.key:
            break
        entries.append(entry)
    node, used = _object(entries, 0)
    if used < len(entries) or not (is_contact(node) or _names_parts(node)):
        return i
    before = len(into.drafts), len(into.unexplained)
    read_contact(node, into)
    if len(into.drafts) > before[0]:
        into.repair("outline", node.start, node.end, "lines of keys and values read as one contact")
    return i + len(entries)


def _object(entries: list[_Entry], at: int) -> tuple[Node, int]:
    """Return the object of the entries from ``at`` on that have its indentation, and the entry after it."""
    indent = entries[at].indent
    items: list[tuple[str, Node]] = []
    start = entries[at].line.start
    end = entries[at].line.end
    while at < len(entries) and entries[at].indent == indent:
        entry = entries[at]
        end = entry.line.end
        at += 1
        if not entry.value and at < len(entries) and entries[at].indent > indent:
            value, at = _object(entries, at)
            end = value.end
        else:
            value = Node("string", entry.line.start, entry.line.end, entry.value)
            if _NUMBER.fullmatch(entry.value):
                value = Node("number", entry.line.start, entry.line.end, float(entry.value))
        items.append((entry.key, value))
    return Node("object", start, end, items), at


def _names_parts(node: Node) -> bool:
    """Whether the values under the names of two people are body parts, not descriptions."""
    people = set()
    for name, value in node.value:
        key = contact_key(name)
        if key is None or not key.person or value.kind != "string":
            continue
        try:
            found = read_part(str(value.value))
        except UnknownWordError:
            return False
        if found:
            people.add(key.person)
    return people == {"a", "b"}

"""There is one door for JSON of others, and every reader goes through it."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import apu_contacts
import apu_losses
from apu_contacts.reading import parse_json

# Who parses JSON by itself, and why that is no file or reply of a stranger.
ALLOWED = {
    "apu_contacts/reading/json_text.py": "the door itself",
    "apu_contacts/answers/parse.py": "a model's words, whose length and depth are bounded before; own hooks",
    "apu_contacts/answers/fusion.py": "data of the package",
    "apu_contacts/asking/prompt.py": "data of the package",
    "apu_contacts/regions/table.py": "data of the package",
    "apu_losses/dataset/record.py": "the schema, data of the package",
    "apu_losses/fitting/scene/file.py": "the schema, data of the package",
    "apu_losses/prior/training/loop.py": "what was written a moment before, in memory",
    "apu_losses/generate/fit_files/run.py": "what was written a moment before, in memory",
}


def modules():
    for package in (apu_contacts, apu_losses):
        root = Path(package.__file__).parent
        for file in sorted(root.rglob("*.py")):
            yield file.relative_to(root.parent).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def parses_json(tree: ast.AST) -> bool:
    names = {"load", "loads", "JSONDecoder"}
    found = False
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= node.module in ("json", "json.decoder") and bool(names & {a.name for a in node.names})
        elif isinstance(node, ast.Attribute):
            found |= node.attr in names and getattr(node.value, "id", "") == "json"
    return found


def test_nobody_else_parses_json():
    assert {name for name, tree in modules() if parses_json(tree)} == ALLOWED.keys()


def test_the_walk_finds_what_it_looks_for():
    for code in ("import json\njson.loads('1')", "from json import loads", "x = map(json.loads, y)"):
        assert parses_json(ast.parse(code)), code
    assert not parses_json(ast.parse("import json, pickle\njson.dumps(1)\npickle.loads(b'')"))


def test_two_values_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"scene\.json: not JSON: two values of the name 'betas'"):
        parse_json('{"people": [{"betas": [1], "betas": [2]}]}', "scene.json")
    assert parse_json('{"a": [1], "a": [1]}', "scene.json") == {"a": [1]}


def test_replies_and_records_of_our_own_keep_their_values():
    """A server's id may be huge, its words may end in half an emoji, and a loss may be NaN."""
    text = '{"id": 123456789012345678901234567890, "text": "\\ud83d", "loss": NaN, "loss": 1}'
    assert parse_json(text, "reply", checked=False) == json.loads(text)
    with pytest.raises(ValueError, match="nested"):
        parse_json("[" * 5000, "reply", checked=False)

"""Errors about an argument have one form: "NAME must be ..., got ...; the likely cause"."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import apu_contacts
import apu_losses

OTHER_FORM = re.compile(r"^[A-Za-z_][\w.\[\], ]*: expected\b")


def said(node: ast.Raise) -> str:
    """Return what a raised error says, with {} for what is filled in."""
    call = node.exc
    if not (isinstance(call, ast.Call) and call.args):
        return ""
    message = call.args[0]
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    return "".join(
        p.value if isinstance(p, ast.Constant) and isinstance(p.value, str) else "{}" for p in parts
    )


def messages():
    for package in (apu_contacts, apu_losses):
        root = Path(package.__file__).parent
        for file in sorted(root.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Raise):
                    yield f"{file.relative_to(root.parent)}:{node.lineno}", said(node)


def test_errors_about_arguments_have_one_form():
    """A place in a file is another matter: "scene.json: expected an object, got a list"."""
    found = dict(messages())
    assert len(found) > 500
    assert not {where: text for where, text in found.items() if OTHER_FORM.match(text)}


def test_the_walk_finds_the_other_form():
    for code in (
        "raise ValueError(f'rows: expected {n} numbers, got {m}')",
        "raise TypeError('a.b: expected c')",
    ):
        assert OTHER_FORM.match(said(ast.parse(code).body[0])), code
    for code in ("raise ValueError(f'{path}: expected an object')", "raise ValueError('a must be b, got c')"):
        assert not OTHER_FORM.match(said(ast.parse(code).body[0])), code

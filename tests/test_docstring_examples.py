"""The examples in docstrings run as they stand."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import apu_contacts
import apu_losses


def modules_with_examples() -> list[str]:
    """Names of the modules whose text holds an example; none is imported to find out."""
    roots = [Path(package.__path__[0]) for package in (apu_contacts, apu_losses)]
    found = [(root.parent, path) for root in roots for path in sorted(root.rglob("*.py"))]
    return [
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for root, path in found
        if ">>> " in path.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_run(name: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    done = doctest.testmod(import_module(name), optionflags=flags)
    assert not done.failed, f"{done.failed} of {done.attempted} examples; pytest shows them above"

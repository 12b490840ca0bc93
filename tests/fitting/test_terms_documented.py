"""The page on fitting names every term, every option and every preset."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from apu_losses.fitting import PRESET_NAMES
from apu_losses.fitting.solve.registry import BUILT_IN

PAGE = (Path(__file__).parents[2] / "docs" / "fitting.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \|(.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_term_and_its_options_are_documented(name):
    rows = [row for term, row in ROWS if term == name]
    assert rows, f"docs/fitting.md has no row for the term {name!r}"
    options = [field.name for field in fields(BUILT_IN[name]) if field.init]
    assert all(f"`{option}`" in " ".join(rows) for option in options), options


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_a_preset_is_documented(name):
    assert any(term == name for term, _ in ROWS)

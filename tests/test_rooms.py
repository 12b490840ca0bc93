"""Nobody takes what is in another room's private drawer: modules and names that begin with an underscore."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("apu_contacts", "apu_losses")


def room_of(module: str) -> str:
    """Where a module stands: its package and room, and in `apu_losses.fitting` the room of that, too."""
    parts = module.split(".")
    return ".".join(parts[: 3 if parts[:2] == ["apu_losses", "fitting"] else 2])


def drawers_opened(source: str, module: str) -> list[str]:
    """What a module imports that is private to another room."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] not in PACKAGES:
                continue
            for i, part in enumerate(parts):
                owner = room_of(".".join(parts[:i]))
                if (
                    part.startswith("_")
                    and not part.endswith("__")
                    and not f"{module}.".startswith(f"{owner}.")
                ):
                    found.append(name)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_nobody_opens_another_rooms_drawer(package: str) -> None:
    opened = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if names := drawers_opened(path.read_text(encoding="utf-8"), module):
            opened[module] = names
    assert opened == {}


def test_a_drawer_is_found_out() -> None:
    source = "from apu_losses.fitting.solve.adam import _Adam\nfrom apu_contacts import __version__\n"
    assert drawers_opened(source, "apu_losses.fitting.result.log") == ["apu_losses.fitting.solve.adam._Adam"]
    assert drawers_opened(source, "apu_losses.fitting.solve.loop") == []
    assert drawers_opened("import apu_contacts.sources._json", "apu_contacts.people.x") != []

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


def modules_of(root: Path) -> dict[str, Path]:
    """Every module of both packages by its dotted name."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    dotted = [".".join(path.relative_to(root).with_suffix("").parts) for path in paths]
    return {name.removesuffix(".__init__"): path for name, path in zip(dotted, paths, strict=True)}


def imported_modules(source: str, known: frozenset[str]) -> set[str]:
    """What a module imports of the house, inside functions too, but not what type checkers alone see."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return found & known


def circle_in(arrows: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, in its order; empty if there is none."""
    done: set[str] = set()

    def follow(name: str, way: list[str]) -> list[str]:
        if name in way:
            return way[way.index(name) :]
        if name in done:
            return []
        for other in sorted(arrows[name] - {name}):
            if found := follow(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(arrows) if (found := follow(name, []))), [])


def test_no_modules_import_each_other() -> None:
    modules = modules_of(ROOT)
    known = frozenset(modules)
    arrows = {
        name: imported_modules(path.read_text(encoding="utf-8"), known) for name, path in modules.items()
    }
    assert sum(map(len, arrows.values())) > 1000
    assert circle_in(arrows) == []


def test_a_circle_is_found_out() -> None:
    known = frozenset({"a", "b", "c.d"})
    lazily = imported_modules("def f():\n    from c import d\n    import b, sys\n", known)
    assert lazily == {"b", "c.d"}
    assert imported_modules("if TYPE_CHECKING:\n    import a\nelse:\n    import b\n", known) == {"b"}
    assert circle_in({"a": {"b"}, "b": lazily, "c.d": {"a"}}) == ["a", "b", "c.d"]
    assert circle_in({"a": {"b", "c.d"}, "b": {"c.d"}, "c.d": set()}) == []

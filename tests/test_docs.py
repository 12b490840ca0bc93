"""Pages speak of what exists: names that can be imported, files that are there, rooms of the house."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# releases speak of names that are gone
SPEAKING = [page for page in PAGES if page.name != "CHANGELOG.md"]
TOUR = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
PACKAGES = ("apu_contacts", "apu_losses")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def resolve(dotted: str) -> object:
    """Return the module, or the thing in one, that a dotted name means."""
    found: object = importlib.import_module(dotted.partition(".")[0])
    path = dotted.split(".")
    for number, name in enumerate(path[1:], 2):
        try:
            found = importlib.import_module(".".join(path[:number]))
        except ModuleNotFoundError:
            found = getattr(found, name)
    return found


@pytest.mark.parametrize("page", SPEAKING, ids=name_of)
def test_names_of_modules_and_paths_of_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for dotted in sorted(set(re.findall(r"\bapu_(?:contacts|losses)(?:\.[A-Za-z_]\w*)+", text))):
        try:
            resolve(dotted)
        except AttributeError:
            pytest.fail(f"{name_of(page)} speaks of {dotted}, which does not exist")
    folders = "apu_contacts|apu_losses|benchmarks|examples|tests|tools"
    for path in sorted(set(re.findall(rf"\b(?:{folders})/[\w./*-]*\w", text))):
        assert list(ROOT.glob(path)), f"{name_of(page)} speaks of {path}, which does not exist"


def imports_of(code: str) -> list[ast.stmt]:
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return []  # a piece of a larger expression
    return [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


@pytest.mark.parametrize("page", SPEAKING, ids=name_of)
def test_code_on_a_page_imports_what_exists(page: Path) -> None:
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for node in imports_of(code):
            line = ast.unparse(node)
            if any(package in line for package in PACKAGES):
                exec(compile(ast.Module([node], []), page.name, "exec"), {})


def rooms_of_the_tour(package: str) -> list[str]:
    """The names of a package's rooms in the order of the tree."""
    tree = TOUR.partition(f"\n{package}/\n")[2].partition("```")[0].partition("\n\n")[0]
    return re.findall(r"^    (\w+)(?:\.py|/)? ", tree, re.MULTILINE)


def room_of(path: Path, package: str) -> str:
    return path.relative_to(ROOT / package).parts[0].removesuffix(".py")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tour_shows_every_room(package: str) -> None:
    rooms = {room_of(path, package) for path in (ROOT / package).rglob("*.py")}
    assert set(rooms_of_the_tour(package)) == {room for room in rooms if not room.startswith("_")}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_imports_from_rooms_below_it_in_the_tour(package: str) -> None:
    rooms = rooms_of_the_tour(package)
    for path in sorted((ROOT / package).rglob("*.py")):
        room = room_of(path, package)
        if room not in rooms:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            other = module.removeprefix(f"{package}.").partition(".")[0]
            if module.startswith(f"{package}.") and other in rooms:
                assert rooms.index(other) >= rooms.index(room), f"{name_of(path)} imports {module}"

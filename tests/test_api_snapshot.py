"""The public names and their signatures are those of `public_api.txt`.

A difference is a decision: look at it, say it in the changelog, and write the file anew with

    python tests/test_api_snapshot.py
"""

from __future__ import annotations

import difflib
import enum
import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

SNAPSHOT = Path(__file__).with_name("public_api.txt")
PACKAGES = (
    "apu_contacts",
    "apu_contacts.answers",
    "apu_contacts.asking",
    "apu_contacts.keypoints",
    "apu_contacts.people",
    "apu_contacts.regions",
    "apu_contacts.sides",
    "apu_contacts.sources",
    "apu_losses",
    "apu_losses.bodies",
    "apu_losses.dataset",
    "apu_losses.evaluation",
    "apu_losses.fitting",
    "apu_losses.functional",
    "apu_losses.functional.metrics",
    "apu_losses.geometry",
    "apu_losses.modules",
)


def public_api() -> str:
    """Each package, its names, and of classes the public members that they define themselves."""
    return "\n".join(line for package in PACKAGES for line in [*_package(package), ""])


def _package(package: str) -> Iterator[str]:
    yield f"# {package}"
    loaded = import_module(package)
    for name in sorted(set(loaded.__all__) - {"__version__"}):
        value = getattr(loaded, name)
        home = getattr(value, "__module__", "")
        if inspect.isclass(value) or inspect.isroutine(value):
            elsewhere = next((p for p in PACKAGES if p != package and _shows(p, name, value)), None)
            if elsewhere is not None and len(elsewhere) > len(package) and home.startswith("apu_"):
                yield f"{name} = {elsewhere}.{name}"
                continue
        yield from _described(name, value)


def _shows(package: str, name: str, value: Any) -> bool:
    loaded = import_module(package)
    return name in loaded.__all__ and getattr(loaded, name) is value


def _described(name: str, value: Any) -> Iterator[str]:
    if inspect.ismodule(value):
        yield f"module {name}"
    elif inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}({bases})" if bases else f"class {name}"
        yield from (f"    {line}" for line in _members(value))
    elif inspect.isroutine(value):
        yield f"def {name}{_signature(value)}"
    else:
        yield f"{name}: {type(value).__name__}"


def _members(kind: type) -> Iterator[str]:
    if is_dataclass(kind):
        for field in fields(kind):
            if field.init and not field.name.startswith("_"):
                optional = field.default is not MISSING or field.default_factory is not MISSING
                yield f"{field.name}: {field.type}{' = ...' if optional else ''}"
    elif issubclass(kind, enum.Enum):
        yield from sorted(member.name for member in kind)
    elif "__init__" in vars(kind) and not getattr(kind, "_is_protocol", False):
        yield f"def __init__{_signature(kind.__init__)}"
    elif hasattr(kind, "_fields"):
        yield from (f"{name}: {_written(kind.__annotations__[name])}" for name in kind._fields)
    own = {name for name in vars(kind) if not name.startswith("_")}
    for name in sorted(own - set(getattr(kind, "_fields", ())) - _field_names(kind)):
        value = inspect.getattr_static(kind, name)
        if isinstance(value, (staticmethod, classmethod)):
            yield f"{type(value).__name__} {name}{_signature(value.__func__)}"
        elif inspect.isroutine(value):
            yield f"def {name}{_signature(value)}"
        elif isinstance(value, property) or hasattr(value, "func"):
            yield f"property {name}"


def _field_names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)} if is_dataclass(kind) else set()


def _written(annotation: Any) -> str:
    return str(getattr(annotation, "__forward_arg__", annotation))


def _signature(value: Any) -> str:
    """Annotations as they are written, without the address that some defaults print."""
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return "(...)"
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def test_the_public_api_is_the_one_that_is_written_down():
    expected, found = SNAPSHOT.read_text(encoding="utf-8"), public_api()
    changes = difflib.unified_diff(expected.splitlines(), found.splitlines(), "written down", "now", n=0)
    said = "\n".join(changes)
    if said:
        pytest.fail(f"the public API changed; if it is meant: python tests/{Path(__file__).name}\n{said}")


if __name__ == "__main__":
    SNAPSHOT.write_text(public_api(), encoding="utf-8", newline="\n")

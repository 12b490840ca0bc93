"""The examples in docstrings run as they stand."""

from __future__ import annotations

import doctest
import inspect
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


WITH_EXAMPLES = (
    "apu_contacts",
    "apu_losses",
    "apu_losses.functional",
    "apu_losses.geometry",
    "apu_losses.modules",
)


# What the operators of the geometry answer, field by field: the operators show it.
ANSWERS = {
    *("BackendStatus", "NearestSurface", "NearestVertex", "Penetration"),
    *("RegionMinimum", "RegionNearest", "WindingNumber"),
}


def test_each_public_name_has_an_example_with_what_comes_out():
    parser, without = doctest.DocTestParser(), set()
    for package in WITH_EXAMPLES:
        loaded = import_module(package)
        for name in sorted(set(loaded.__all__) - {"__version__"}):
            value = getattr(loaded, name)
            if package == "apu_losses.geometry" and name in ANSWERS:
                continue
            if inspect.isclass(value) or inspect.isroutine(value):
                examples = parser.get_examples(inspect.getdoc(value) or "")
                if not any(example.want for example in examples):
                    without.add(name)
    assert not without

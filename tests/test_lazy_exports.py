"""Packages whose names load on first use: complete, and not hidden by a submodule."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import apu_losses.functional
from apu_contacts.lazy import attach

LAZY = ["apu_contacts", "apu_contacts.answers", "apu_contacts.asking", "apu_losses", "apu_losses.functional"]

# What only the losses themselves need: checks of arguments, and layout.
HELPERS = {"two_meshes", "options", "outside_graphs", "first_look", "rows"}
PARTS_OF_LOSSES = {
    "ClosedPart",
    "EveryVertex",
    "Surroundings",
    "check_regions",
    "check_soft",
    "contact_of_two",
    "maps_of_pairs",
    "near_origin",
    "one_mesh",
    "values_of_two",
    "weights_in",
}


@pytest.mark.parametrize("package", LAZY)
def test_no_submodule_hides_a_name(package):
    """`import package.name` would put the module where the function was."""
    loaded = import_module(package)
    submodules = {module.name for module in pkgutil.iter_modules(loaded.__path__)}
    assert {name for name in loaded.__all__ if name in submodules} <= {"metrics"}  # a package, on purpose


@pytest.mark.parametrize("package", LAZY)
def test_names_are_sorted_and_stay_what_they_are(package):
    loaded = import_module(package)
    assert loaded.__all__ == sorted(set(loaded.__all__))
    for name in loaded.__all__:
        assert getattr(loaded, name) is getattr(loaded, name)


def test_every_public_loss_is_in_the_flat_namespace():
    functional = apu_losses.functional
    defined = set()
    for found in pkgutil.iter_modules(functional.__path__):
        if found.ispkg or found.name in HELPERS:
            continue
        module = import_module(f"{functional.__name__}.{found.name}")
        for name, value in vars(module).items():
            made_here = getattr(value, "__module__", "") == module.__name__
            if (
                made_here
                and not name.startswith("_")
                and (inspect.isroutine(value) or inspect.isclass(value))
            ):
                defined.add(name)
    assert {"soft_contact", "penetration_loss", "shape_prior"} <= defined
    assert defined - PARTS_OF_LOSSES == set(functional.__all__) - {"metrics"}


def test_the_flat_namespace_loads_what_is_asked_for_only():
    code = "import sys, apu_losses.functional; print('torch' in sys.modules, 'numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_an_old_name_says_the_new_one(tmp_path, monkeypatch):
    package = tmp_path / "moved_names"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__init__.pyi").write_text("from math import tau as tau\n")
    monkeypatch.syspath_prepend(tmp_path)
    import_module("moved_names")
    load, names, exported = attach("moved_names", {"circle": "tau"})
    assert (names(), exported) == (["tau"], ["tau"])
    with pytest.raises(AttributeError, match="no attribute 'circle'; it is called 'tau' now"):
        load("circle")


@pytest.mark.parametrize(
    "stub",
    ["tau = 6.28\n", "import math\n", "from .math import tau as tau\n", "from math import tau as circle\n"],
)
def test_a_list_that_cannot_be_read_is_an_error(tmp_path, monkeypatch, stub):
    package = tmp_path / "bad_list"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__init__.pyi").write_text(stub)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bad_list", raising=False)
    with pytest.raises(ImportError, match="bad_list: expected 'from MODULE import NAME as NAME' in line 1"):
        attach("bad_list")


def test_a_missing_list_is_an_error(tmp_path, monkeypatch):
    package = tmp_path / "no_list"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"no_list: its list of public names, __init__\.pyi, is missing"):
        attach("no_list")


@pytest.mark.parametrize(
    ("old", "new"),
    [("assemble", "assemble_people"), ("convert", "convert_keypoints"), ("explain", "explain_region")],
)
def test_root_names_say_what_they_are_about(old, new):
    root = import_module("apu_contacts")
    assert callable(getattr(root, new))
    with pytest.raises(AttributeError, match=f"no attribute '{old}'; it is called '{new}' now"):
        getattr(root, old)

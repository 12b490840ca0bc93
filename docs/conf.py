"""Sphinx configuration: `sphinx-build -W docs docs/_build`."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from apu_contacts._version import __version__

project = "apu-losses"
author = "the apu-losses authors"
copyright = "the apu-losses authors, Apache-2.0"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
copybutton_prompt_text = ">>> "  # what is typed, not what is printed
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"apu-losses {__version__}"

autodoc_member_order = "bysource"
# what only some machines have; its absence must not keep its users from being described
autodoc_mock_imports = [name for name in ("triton", "openai") if find_spec(name) is None]
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# attributes of the same name in several classes make plain words of docstrings ambiguous
suppress_warnings = ["ref.python"]
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

PACKAGES = ("apu_contacts", "apu_losses")


def _public_modules(package: str) -> dict[str, bool]:
    """Every module of a package but private ones and the command: by name, whether it is a package."""
    root = import_module(package)
    found = {info.name: info.ispkg for info in pkgutil.walk_packages(root.__path__, f"{package}.")}
    hidden = {name for name in found if any(part.startswith("_") for part in name.split("."))}
    command = {name for name in found if name.startswith(("apu_losses.app.cli", "apu_losses.app.commands"))}
    return {name: found[name] for name in sorted(found.keys() - hidden - command)}


def _write_reference() -> None:
    """One page a package and subpackage, so that no module can be forgotten."""
    folder = Path(__file__).parent / "reference"
    folder.mkdir(exist_ok=True)
    pages: dict[str, list[str]] = {}
    packages = set()
    for package in PACKAGES:
        for module, is_package in _public_modules(package).items():
            packages.update([module] if is_package else [])
            pages.setdefault(".".join(module.split(".")[:2]), []).append(module)
    wanted = {}
    for page, modules in pages.items():
        lines = [page, "=" * len(page), ""]
        for module in modules:
            if module != page:
                lines += [module, "-" * len(module), ""]
            lines += [f".. automodule:: {module}"]
            names = getattr(import_module(module), "__all__", ()) if module in packages else ()
            if names:
                # what a package re-exports is described where it is defined
                lines += ["   :no-members:", "", "Names: " + ", ".join(f"`{name}`" for name in names) + "."]
            lines += [""]
        wanted[f"{page}.rst"] = "\n".join(lines)
    entries = "\n".join(f"   {page}" for page in sorted(pages))
    wanted["index.rst"] = f"Reference\n=========\n\n.. toctree::\n   :maxdepth: 1\n\n{entries}\n"
    for old in folder.glob("*.rst"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


_write_reference()

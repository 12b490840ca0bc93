"""Public names of a package that are loaded on first use, so that importing the package stays fast.

The stub beside a package's ``__init__.py`` is the one list of them: type checkers and editors read it, and so
does `attach`, ::

    from apu_contacts.answers import parse_answer as parse_answer    # a line of apu_contacts/__init__.pyi

Kept in place of the package ``lazy_loader``: that refuses stubs with absolute imports, does not say what a
name that was renamed is called now, and is 400 lines and a dependency for these 70.
"""

from __future__ import annotations

import ast
import pkgutil
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any


def attach(
    package: str, renamed: Mapping[str, str] = MappingProxyType({})
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` of a package from its stub.

    A submodule that has the name of an export would hide it as soon as it is imported: there is none.

    Args:
        package: its ``__name__``.
        renamed: names that it once had, and what they are called now; for the error.

    Raises:
        ImportError: the stub is missing, or says something other than imports of single names.
    """
    exports = _exports(package)

    def load(name: str) -> Any:
        if name not in exports:
            hint = f"; it is called {renamed[name]!r} now" if name in renamed else ""
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}")
        source = exports[name]
        if source == package:  # a module or package inside of it
            value = import_module(f"{package}.{name}")
        else:
            value = getattr(import_module(source), name)
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(exports)
    return load, names.copy, names


def _exports(package: str) -> dict[str, str]:
    """Each public name of a stub, and the module that it comes from."""
    try:
        stub = pkgutil.get_data(package, "__init__.pyi")
    except OSError as error:
        raise ImportError(f"{package}: its list of public names, __init__.pyi, is missing: {error}") from None
    exports = {}
    for line in ast.parse(stub or b"").body:
        names = line.names if isinstance(line, ast.ImportFrom) else []
        if isinstance(line, ast.ImportFrom) and line.module and not line.level and all(map(_kept, names)):
            exports.update({name.name: line.module for name in names})
        else:
            raise ImportError(
                f"{package}: expected 'from MODULE import NAME as NAME' in line {line.lineno} of its "
                f"__init__.pyi, got {ast.unparse(line)!r}"
            )
    return exports


def _kept(name: ast.alias) -> bool:
    """Return a name that is exported (which stubs say with ``as``) under no other one."""
    return name.asname == name.name

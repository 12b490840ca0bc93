"""Who touches whom, and where: region maps, model answers, chirality, readers. Never imports torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from apu_contacts._version import __version__

# Public name -> the module that defines it; loaded on first use so that the import stays fast.
_EXPORTS: dict[str, str] = {
    "Keypoints2D": "apu_contacts.keypoints.types",
}

if TYPE_CHECKING:
    from apu_contacts.keypoints.types import Keypoints2D as Keypoints2D

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'apu_contacts' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

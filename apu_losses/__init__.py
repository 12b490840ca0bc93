"""Differentiable contact losses and everything that optimises with them."""

from __future__ import annotations

from apu_contacts._version import __version__

__all__ = ["__version__"]

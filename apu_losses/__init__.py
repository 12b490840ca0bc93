"""Differentiable contact losses and everything that optimises with them."""

from apu_contacts._lazy import attach
from apu_contacts._version import __version__ as __version__

__getattr__, __dir__, __all__ = attach(__name__)

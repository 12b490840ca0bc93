"""Differentiable contact losses and everything that optimises with them."""

from apu_contacts import __version__ as __version__
from apu_contacts.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)

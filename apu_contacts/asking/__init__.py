"""Asking a vision language model which body parts touch: prompt, crop, clients, cache, runs, batch files."""

from apu_contacts.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)

"""What a model's words say: the form of an answer, reading a text, fusing several, explaining one."""

from apu_contacts.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)

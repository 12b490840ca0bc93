"""What can be wrong with another tool's file; every message names the file."""

from __future__ import annotations


class SourceError(ValueError):
    """A file of another tool cannot be used. The classes below say how.

    Example:
        >>> from apu_contacts import SourceError, read_openpose
        >>> try:
        ...     read_openpose("absent.json")
        ... except SourceError as error:
        ...     print(type(error).__name__)
        SourceMissingError
    """


class SourceMissingError(SourceError, FileNotFoundError):
    """The file does not exist or is not a file."""


class SourceFormatError(SourceError):
    """The file is not what its reader expects: not JSON, a key missing, a wrong number of values."""


class NoPeopleError(SourceError):
    """The file is well formed and holds nobody."""


class UnsafePickleError(SourceFormatError):
    """A pickle asks for something other than NumPy arrays; nothing of it was executed."""


class SourceWarning(UserWarning):
    """One person of a file cannot be used; the others can."""

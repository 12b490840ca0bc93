"""Finding a data set's files, with messages that say what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def data_folder(path: str | Path, expected: str) -> Path:
    """Return the folder, if it is one.

    Raises:
        FileNotFoundError: if not; the message says what it should hold.
    """
    folder = Path(path)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise FileNotFoundError(f"{folder}: {what}; expected {expected}")
    return folder


def others(root: Path) -> str:
    """Return the first names in a folder, for a message that says what is there instead."""
    return ", ".join(sorted(item.name for item in root.iterdir())[:6]) or "nothing"


def first_folder(root: Path, names: Sequence[str], expected: str) -> Path:
    """Return the first of these folders that is there; ``"."`` is the root itself.

    Raises:
        FileNotFoundError: none is; the message names them, and what is there instead.
    """
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"{root}: expected {expected} ({' or '.join(names)}), found {others(root)}")


def needed_file(path: Path, what: str) -> Path:
    """Return the file, if it is there.

    Raises:
        FileNotFoundError: if not; the message says what it is.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected {what}")
    return path


def frame_list(path: str | Path) -> list[str]:
    """Names of frames, one a line; blank lines and what follows a ``#`` do not count.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is no text or names nothing.
    """
    from apu_contacts.reading import read_text

    lines = [line.partition("#")[0].strip() for line in read_text(path).splitlines()]
    names = [line for line in lines if line]
    if not names:
        raise ValueError(f"{path}: names no frames; expected one a line")
    return names


def trimmed(name: str) -> str:
    """Return a name without the number at its end: ``"Grab 10"`` and ``"hug12"`` are ``"Grab"`` and
    ``"hug"``.
    """
    return name.rstrip("0123456789").rstrip(" _")

"""Results appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged_folder(target: str | Path) -> Iterator[Path]:
    """Collect files in a temporary folder beside ``target``; they move there if the block ends without error.

    A folder that exists already keeps its other files, and those of the same name are replaced, each at once.
    When the block raises, the target is as it was.

    Yields:
        The temporary folder to write into.

    Raises:
        NotADirectoryError: ``target``, or a folder above it, is a file.
        PermissionError: nothing may be written there.
    """
    target = Path(target)
    for place in (target, *target.parents):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(f"{place} is a file: results need a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    # on the same file system as the target, so that moving is renaming
    stage = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield stage
        target.mkdir(exist_ok=True)
        for item in sorted(stage.iterdir()):
            item.replace(target / item.name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)

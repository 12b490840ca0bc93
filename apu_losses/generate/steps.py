"""Which steps of a run are done, made from what; what a person has mended is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from apu_contacts.digest import file_digest
from apu_contacts.files import OutputError, write_text
from apu_contacts.reading import read_json


class Steps:
    """The record of a run's steps, ``steps.json``: what each file was made from, and what came out.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "steps.json"
        self.mended: list[str] = []
        self._known: dict[str, dict[str, Any]] = {}
        if self.file.is_file():
            try:
                known = read_json(self.file)
                self._known = dict(known["steps"])
            except (ValueError, KeyError, TypeError):
                raise OutputError(
                    f"{self.file} is there already and is not the record of a run: name another folder"
                ) from None

    def make(self, name: str, inputs: str, make: Callable[[Path], list[str]]) -> list[str]:
        """Let a step make its file unless it is there; return what is to be said about it, now as then.

        A file that was made from the same inputs is kept. One that somebody changed since is kept whatever
        the inputs are, and named in ``mended``. A step that was cut off begins anew.

        Args:
            name: of the file in the folder.
            inputs: digest of all that the file is made from.
            make: writes the file, whole or not at all, and returns notes.

        Raises:
            OutputError: a file of this name that no run made.
        """
        path = self.folder / name
        known = self._known.get(name)
        if path.exists():
            if known is None:
                raise OutputError(
                    f"{path} is there already and is of no run: it is left alone; name another folder"
                )
            if known["output"] is not None:
                if file_digest(path) != known["output"]:
                    self.mended.append(name)
                    return list(known["notes"])
                if known["inputs"] == inputs:
                    return list(known["notes"])
        self._write(name, {"inputs": inputs, "output": None, "notes": []})
        notes = make(path)
        self._write(name, {"inputs": inputs, "output": file_digest(path), "notes": notes})
        return notes

    def _write(self, name: str, record: Mapping[str, Any]) -> None:
        self._known[name] = dict(record)
        write_text(self.file, json.dumps({"steps": self._known}, indent=1) + "\n")

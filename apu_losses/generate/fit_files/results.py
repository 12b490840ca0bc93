"""The folder that `apu fit` leaves: which results are there, from what, and how new ones get in.

A scene has the files ``NAME.npz``, ``NAME.glb``, ``NAME.png`` and ``NAME.json``, its record. They are made in
a hidden folder inside, which is renamed when all are there, and then moved up, the record last: where there
is a record, the others are there, too. A run that is killed between the two has the next run finish the move.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apu_contacts.files import (
    OutputError,
    exclusive,
    made_folder,
    move_all,
    real_target,
    sync,
    uninterrupted,
    work_folder,
)
from apu_contacts.reading import read_json

ENDINGS = (".npz", ".glb", ".png", ".json")
MADE_FROM = "made_from"
"""Where a record says what its results were made from: a digest by topic."""
FILES = "files"
"""Where a record lists the files of its scene."""
_READY = "ready"


class ResultFolder:
    """Results in a folder; see `ResultFolder.opened`.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path, stage: Path) -> None:
        self.folder = folder
        self._stage = stage

    @classmethod
    @contextmanager
    def opened(cls, path: str | Path) -> Iterator[ResultFolder]:
        """Make the folder or go on with it; nobody else writes there meanwhile.

        Raises:
            OutputError: a file is in the way, another process writes there, or it cannot be written.
        """
        with made_folder(path) as folder, exclusive(folder), work_folder(folder, _finish) as stage:
            yield cls(folder, stage)

    def done(
        self,
        origins: Mapping[str, Mapping[str, str]],
        endings: tuple[str, ...],
        *,
        overwrite: bool = False,
    ) -> dict[str, dict[str, Any]]:
        """Return the records of the scenes whose results are there already, made from the same.

        Args:
            origins: what the results will be made from, by the name of the scene: a digest by topic.
            endings: of the files that are wanted, those of `ENDINGS`.
            overwrite: whether other results, and other files of their names, may be replaced.

        Raises:
            OutputError: files of these names that may not be replaced; the message names the first.
        """
        records: dict[str, dict[str, Any]] = {}
        problems = []
        for name, origin in origins.items():
            record = self._record(name)
            wanted = [f"{name}{ending}" for ending in endings]
            if record is not None and record.get(MADE_FROM) == dict(origin):
                listed = set(_listed(record, name))
                if listed.issuperset(wanted) and all((self.folder / file).is_file() for file in listed):
                    records[name] = record
                    continue
            problem = self._problem(name, wanted, record, origin, overwrite)
            if problem:
                problems.append(problem)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise OutputError(problems[0] + more)
        return records

    def place(self) -> Path:
        """Return an empty folder for the files of one scene, to be `publish`-ed."""
        place = self._stage / "scene"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return place

    def publish(self, name: str, place: Path) -> None:
        """Let the files of a scene appear in the folder.

        Args:
            name: of the scene.
            place: where they lie, the record ``NAME.json`` among them.

        Raises:
            OSError: they cannot be written; none of them is in the folder then.
        """
        for item in place.iterdir():
            sync(item)
        ready = self._stage / _READY
        with uninterrupted():
            place.rename(ready)
            files = [item.name for item in ready.iterdir()]
            _remove(self.folder, name, self._record(name))
            try:
                _move_up(ready, self.folder)
            except OSError:
                for file in files:
                    (self.folder / file).unlink(missing_ok=True)
                shutil.rmtree(ready, ignore_errors=True)
                raise

    def _record(self, name: str) -> dict[str, Any] | None:
        """Return the record of a scene, if the file of that name is one."""
        try:
            record = read_json(self.folder / f"{name}.json", checked=False)
        except (OSError, ValueError):
            return None
        ours = isinstance(record, dict) and {"apu_losses", "scene", "verdict", "preset"} <= record.keys()
        return record if ours else None

    def _problem(
        self,
        name: str,
        wanted: list[str],
        record: Mapping[str, Any] | None,
        origin: Mapping[str, str],
        overwrite: bool,
    ) -> str | None:
        """Why the files of a scene may not be written."""
        for file in wanted:
            if (self.folder / file).is_dir():
                return f"{self.folder / file} is a folder, and a result has its name: move it away"
        if overwrite:
            return None
        if record is not None and record.get(MADE_FROM) != dict(origin):
            return (
                f"{self.folder} holds results of {name!r} made otherwise ({_difference(record, origin)}): "
                "name another folder, or give --overwrite to replace them"
            )
        ours = set() if record is None else set(_listed(record, name))
        for file in wanted:
            if file not in ours and (self.folder / file).exists():
                return (
                    f"{self.folder / file} is there already and is no result of apu fit: it is left alone; "
                    "name another folder, move it away, or give --overwrite"
                )
        return None


def _difference(record: Mapping[str, Any], origin: Mapping[str, str]) -> str:
    """Return what the results that are there were made from otherwise, in words."""
    before = record.get(MADE_FROM)
    if not isinstance(before, dict):
        return f"by version {record.get('apu_losses')}, which did not say from what"
    return "another " + ", ".join(topic for topic in origin if before.get(topic) != origin[topic])


def _listed(record: Mapping[str, Any], name: str) -> list[str]:
    """Return the files of a scene by its record; of one that lists none, those that earlier versions left."""
    listed = record.get(FILES)
    allowed = [f"{name}{ending}" for ending in ENDINGS]
    return [file for file in allowed if not isinstance(listed, list) or file in listed]


def _remove(folder: Path, name: str, record: Mapping[str, Any] | None) -> None:
    """Take the old results of a scene away, the record first: what stays is never taken for a whole."""
    if record is not None:
        for file in sorted(_listed(record, name), key=lambda file: not file.endswith(".json")):
            (folder / file).unlink(missing_ok=True)
    else:
        (folder / f"{name}.json").unlink(missing_ok=True)


def _move_up(ready: Path, folder: Path) -> None:
    record = next((item.name for item in ready.iterdir() if item.suffix == ".json"), None)
    move_all(ready, folder, last=record)
    ready.rmdir()


def _finish(left: Path) -> None:
    """Return what a killed run had ready in its hidden folder ``left`` goes where it belongs."""
    ready = left / _READY
    if not ready.is_dir():
        return
    # the record goes last: one that is not there has arrived, with all the others
    if any(item.suffix == ".json" for item in ready.iterdir()):
        _move_up(ready, real_target(left).parent)

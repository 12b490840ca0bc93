"""`apu audit`: the rules of a data set, of ours or of others: which pair breaks which, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts.reading import read_arrays
from apu_losses.dataset.folder import shards
from apu_losses.dataset.picture_hash import duplicates
from apu_losses.dataset.record import DatasetError
from apu_losses.dataset.rules import Finding, Rules, body_findings, finding
from apu_losses.dataset.shard import read_records, shard_path

KINDS = ("records", "buddi", "smplx")


@dataclass
class Audit:
    """What an audit found.

    Attributes:
        kind: one of `KINDS`.
        pairs: how many were looked at.
        rules: rule -> threshold, pairs that could be measured, pairs that break it.
        broken: pair -> names of the rules that it breaks.
        problems: files that could not be read, one line each.
    """

    kind: str
    pairs: int = 0
    rules: dict[str, tuple[float, int, int]] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, name: str, found: list[Finding]) -> None:
        """Add a pair."""
        self.pairs += 1
        for one in found:
            _, seen, against = self.rules.get(one["rule"], (one["limit"], 0, 0))
            self.rules[one["rule"]] = one["limit"], seen + 1, against + (not one["right"])
            if not one["right"]:
                self.broken.setdefault(name, []).append(one["rule"])

    def rows(self) -> list[tuple[str, str, int, int, str]]:
        """Return rule, threshold, pairs measured, pairs against it, share."""
        return [
            (rule, f"{limit:g}", seen, against, f"{100 * against / seen:.1f} %" if seen else "-")
            for rule, (limit, seen, against) in sorted(self.rules.items())
        ]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        rules = {
            rule: {"threshold": limit, "measured": seen, "against": against}
            for rule, (limit, seen, against) in sorted(self.rules.items())
        }
        return {
            "kind": self.kind,
            "pairs": self.pairs,
            "rules": rules,
            "broken": self.broken,
            "problems": self.problems,
        }


def audit(folder: str | Path, rules: Rules | None = None) -> Audit:
    """Hold every pair of a data set against named rules.

    ============== ====================================================================================
    ``records``    shards of `apu generate`: the record's own findings, and those of parameters anew
    ``buddi``      ``.npz`` with two rows of each parameter (``global_orient (2, 3)``), or ``a_`` and ``b_``
    ``smplx``      ``NAME_0.npz`` and ``NAME_1.npz``, smplx names, one person a file
    ============== ====================================================================================

    Copies of pictures are looked for by the hashes in records, and copies of bodies (equal poses of both
    people) in every kind.

    Raises:
        DatasetError: a folder with none of them.
    """
    rules = rules or Rules()
    kind = kind_of(folder)
    found = Audit(kind)
    hashes: dict[str, str] = {}
    poses: dict[bytes, str] = {}
    image_of: dict[str, str] = {}
    for name, record in _pairs(folder, kind, found):
        told = [] if kind != "records" else list(record["verdict"]["findings"])
        own = body_findings(record, rules)
        again = {one["rule"] for one in own}
        looked = [one for one in told if one["rule"] not in again] + own
        pose = _pose(record)
        if pose is not None:
            first = poses.setdefault(pose, name)
            looked.append(finding("copied body", float(first != name), 0.5, first == name))
        found.add(name, looked)
        if kind == "records" and record["image"]["phash"] is not None:
            hashes[record["image"]["name"]] = record["image"]["phash"]
            image_of[name] = record["image"]["name"]
    copies = duplicates(hashes)
    for name, image in image_of.items():
        original = copies.get(image)
        if original is not None:
            found.broken.setdefault(name, []).append(f"copied picture of {original}")
    if image_of:
        count = sum(image in copies for image in image_of.values())
        found.rules["copied picture"] = 0.5, len(image_of), count
    return found


def kind_of(folder: str | Path) -> str:
    """Return which of `KINDS` a folder holds.

    Raises:
        DatasetError: none of them.
    """
    place = Path(folder)
    if not place.is_dir():
        raise DatasetError(f"{folder}: no such folder; an audit looks at a folder of results")
    if any(path.stem.isdigit() for path in place.glob("*.parquet")):
        return "records"
    if _people_files(place):
        return "smplx"
    if any(place.rglob("*.npz")):
        return "buddi"
    raise DatasetError(
        f"{folder}: neither shards of records (000000.parquet) nor .npz files of body parameters are in it"
    )


def _pairs(folder: str | Path, kind: str, found: Audit) -> Iterator[tuple[str, Mapping[str, Any]]]:
    place = Path(folder)
    if kind == "records":
        for index in shards(folder):
            try:
                for record in read_records(shard_path(folder, index.number, "parquet"), check=False):
                    yield record["id"], record
            except (DatasetError, FileNotFoundError) as error:
                found.problems.append(str(error))
        return
    if kind == "smplx":
        for name, (first, second) in sorted(_people_files(place).items()):
            try:
                people = [_person(_arrays(path), None) for path in (first, second)]
            except (ValueError, OSError) as error:
                found.problems.append(str(error))
                continue
            yield name, {"person_a": people[0], "person_b": people[1]}
        return
    for path in sorted(place.rglob("*.npz")):
        try:
            arrays = _arrays(path)
            record = {f"person_{x}": _person(arrays, row) for row, x in enumerate("ab")}
        except (ValueError, OSError) as error:
            found.problems.append(str(error))
            continue
        yield str(path.relative_to(place)), record


def _people_files(place: Path) -> dict[str, tuple[Path, Path]]:
    """Return name -> files of its two people, of ``NAME_0.npz`` and ``NAME_1.npz``."""
    found = {}
    for path in place.rglob("*_0.npz"):
        other = path.with_name(f"{path.name[: -len('_0.npz')]}_1.npz")
        if other.is_file():
            found[str(path.relative_to(place))[: -len("_0.npz")]] = path, other
    return found


def _arrays(path: Path) -> dict[str, Any]:
    return dict(read_arrays(path, DatasetError))


def _person(arrays: Mapping[str, Any], row: int | None) -> dict[str, Any]:
    """Return the parameters of one person: of a file of one, or of a row of one of two."""
    names = (
        "global_orient",
        "body_pose",
        "betas",
        "transl",
        "age",
        "scale",
        "left_hand_pose",
        "right_hand_pose",
    )
    parameters = {}
    for name in names:
        prefix = "" if row is None else f"{'ab'[row]}_"
        value = arrays.get(prefix + name, arrays.get(name))
        if value is None or value.dtype.kind not in "fiu":
            continue
        value = np.asarray(value, dtype=np.float64)
        if row is not None and prefix + name not in arrays:
            if len(value) < 2:
                raise DatasetError(f"{name} has {len(value)} rows where a pair has two")
            value = value[row]
        if not np.isfinite(value).all():
            raise DatasetError(f"{name} holds a number that is not finite")
        # BUDDI calls SMPL-XA's age the scale
        parameters["age" if name == "scale" else name] = value.ravel()
    if not {"global_orient", "body_pose"} & parameters.keys():
        raise DatasetError(f"no body parameters by smplx names, got {', '.join(sorted(arrays)[:8])}")
    return {"parameters": parameters, "box": None}


def _pose(record: Mapping[str, Any]) -> bytes | None:
    """Return both people's poses to a thousandth of a radian; None where one is not known."""
    parts = []
    for name in ("person_a", "person_b"):
        values = (record[name].get("parameters") or {}).get("body_pose")
        if values is None:
            return None
        parts.append(np.round(np.asarray(values, dtype=np.float64), 3) + 0.0)
    return b"".join(part.tobytes() for part in parts)

"""What `apu match` and `apu labels` do: per-vertex contacts of two people to a contact map, and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from apu_contacts.contacts import SCHEMA, ContactMap
from apu_contacts.dense_contacts import DenseMatch, match_dense_contacts
from apu_contacts.files import staged_file, write_text
from apu_contacts.reading import read_json
from apu_contacts.regions import RegionMap
from apu_contacts.sources.vertex_contacts import VertexContacts, read_vertex_contacts
from apu_losses.app.touch_files import Side


def labels_of(path: Path, side: Side, key: str | None, row: str | None) -> VertexContacts:
    """Return the contacts of the body that a mesh is of.

    Raises:
        SourceError: whatever `read_vertex_contacts` refuses.
    """
    which = int(row) if row is not None and row.isdigit() else row
    return read_vertex_contacts(path, key=key, vertex_count=len(side.mesh.vertices), row=which)


def find_match(
    a: Side,
    b: Side,
    labels: tuple[VertexContacts, VertexContacts],
    *,
    threshold: float,
    reach: float,
    answers: ContactMap | None,
) -> DenseMatch:
    """Return what of two people's labels belongs together."""
    return match_dense_contacts(
        labels[0].probabilities,
        labels[1].probabilities,
        a.mesh.vertices,
        b.mesh.vertices,
        a.regions,
        b.regions,
        answers=answers,
        threshold=threshold,
        reach=reach,
    )


def read_map(path: Path) -> ContactMap:
    """Read a contact map, or the one in a result of `apu touches`.

    Raises:
        ValueError: another file.
    """
    content = read_json(path)
    if isinstance(content, dict) and "contact_map" in content:
        content = content["contact_map"]
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a contact map, got {type(content).__name__}")
    try:
        return ContactMap.from_json(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def write_map(path: Path, contacts: ContactMap) -> None:
    """Write a contact map as `ContactMap.from_json` reads it."""
    write_text(path, json.dumps(contacts.to_json()) + "\n")


def is_map(path: Path) -> bool:
    """Whether a file is one that `write_map` left."""
    content = read_json(path)
    return isinstance(content, dict) and content.get("schema") == SCHEMA


def write_labels(
    path: Path, contacts: ContactMap, regions: RegionMap, regions_b: RegionMap
) -> tuple[int, int]:
    """Write the weights of either person's vertices, ``contact_a`` and ``contact_b``; return how many are
    above 0.

    Raises:
        ValueError: another ending than ``.npz``.
    """
    if path.suffix != ".npz":
        raise ValueError(f"--out {path}: expected an ending .npz, got {path.suffix or 'none'}")
    weights = contacts.to_vertex_weights(regions, regions_b)
    with staged_file(path) as part:
        np.savez_compressed(
            part, contact_a=weights[0].astype(np.float32), contact_b=weights[1].astype(np.float32)
        )
    return int((weights[0] > 0).sum()), int((weights[1] > 0).sum())

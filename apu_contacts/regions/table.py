"""The 75 surface regions of Fieraru et al. (2020) and the 17 body parts of the paper, as data.

The paper (Ask, Pose, Unite, section 3.1) regroups the 75 regions into 17 parts without printing the table;
the one used here, and the named alternatives to it, are this project's reading (docs/regions.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, get_args

NUM_REGIONS = 75

RegionSide = Literal["left", "right", "center"]
PartSide = Literal["left", "right", "both", "none"]
PART_SIDES: tuple[str, ...] = get_args(PartSide)


@dataclass(frozen=True)
class Region:
    """One of the 75 surface regions.

    Args:
        id: 0 to 74, the numbering of FlickrCI3D, CHI3D and BUDDI.
        name: a unique name in plain English, ``"left upper belly"``.
        side: ``"left"``, ``"right"`` or ``"center"``, as the person's own left and right.
        mirror: id of the region on the other side; region 50 mirrors to itself.
        part: the most specific of the 17 parts that contain the region.
        description: where the region lies and what it borders on.
        centroid: approximate centre in fractions of stature on an adult in T-pose with the palms down (sole
            y = 0, crown y = 1, left = +x, forward = +z).
        normal: approximate mean outward normal in the same frame; not of unit length.

    Example:
        >>> from apu_contacts import REGIONS
        >>> REGIONS[50].part, REGIONS[50].side, REGIONS[50].mirror
        ('waist', 'center', 50)
    """

    id: int
    name: str
    side: RegionSide
    mirror: int
    part: str
    description: str
    centroid: tuple[float, float, float]
    normal: tuple[float, float, float]


def _read_table() -> dict[str, Any]:
    text = resources.files("apu_contacts.regions").joinpath("data/regions.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


_TABLE = _read_table()

REGIONS: tuple[Region, ...] = tuple(
    Region(**{**row, "centroid": tuple(row["centroid"]), "normal": tuple(row["normal"])})
    for row in _TABLE["regions"]
)
PARTS: tuple[str, ...] = tuple(_TABLE["parts"])
PART_ALTERNATIVES: dict[str, str] = {name: row["note"] for name, row in _TABLE["alternatives"].items()}
"""Name of each alternative meaning of a part (``"waist:without_buttocks"``) and what it says."""

_BY_NAME = {region.name: region for region in REGIONS}


def region(key: int | str) -> Region:
    """Return the region with this id (an int, or its digits) or unique name.

    Raises:
        KeyError: if there is no such region.
    """
    text = str(key).strip()
    if text.lstrip("-").isdigit():
        if 0 <= int(text) < NUM_REGIONS:
            return REGIONS[int(text)]
        raise KeyError(f"region id must lie in 0 to {NUM_REGIONS - 1}, got {text}")
    found = _BY_NAME.get(" ".join(text.lower().split()))
    if found is None:
        import difflib

        close = difflib.get_close_matches(text.lower(), _BY_NAME, n=3)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise KeyError(f"no region is named {text!r}{hint}")
    return found


def part_regions(part: str, side: str = "both", alternatives: Iterable[str] = ()) -> tuple[int, ...]:
    """Return the ids of the regions that make up one side of a body part, ascending.

    Args:
        part: one of ``PARTS``.
        side: ``"left"``, ``"right"``, or ``"both"`` or ``"none"`` for the union of the two sides. Region 50,
            which lies on the midline, belongs to both sides.
        alternatives: names out of ``PART_ALTERNATIVES`` that replace the default meaning of their part.

    Raises:
        ValueError: on an unknown part, side or alternative, or two alternatives for one part.

    Example:
        >>> from apu_contacts import part_regions
        >>> len(part_regions("hand", "left")), len(part_regions("hand"))
        (4, 8)
    """
    if part not in _TABLE["parts"]:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    if side not in PART_SIDES:
        raise ValueError(f"side must be one of {', '.join(PART_SIDES)}, got {side!r}")
    row = _chosen_rows(alternatives).get(part, _TABLE["parts"][part])
    wanted = ("left", "right") if side in ("both", "none") else (side,)
    return tuple(sorted({rid for each in wanted for rid in row[each]}))


def _chosen_rows(alternatives: Iterable[str]) -> dict[str, dict[str, list[int]]]:
    rows: dict[str, dict[str, list[int]]] = {}
    if isinstance(alternatives, str):
        raise ValueError(f"alternatives must be a sequence of names, got the string {alternatives!r}")
    for name in alternatives:
        if name not in PART_ALTERNATIVES:
            raise ValueError(f"alternatives must be out of {', '.join(PART_ALTERNATIVES)}, got {name!r}")
        part = name.split(":")[0]
        if part in rows:
            raise ValueError(f"alternatives name the part {part!r} twice")
        rows[part] = _TABLE["alternatives"][name]
    return rows


def parts_of(region_id: int, alternatives: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the parts that contain a region, in the order of ``PARTS``."""
    chosen = tuple(alternatives)
    return tuple(part for part in PARTS if region_id in part_regions(part, "both", chosen))


def explain_region(key: int | str) -> str:
    """Says in words what a region is: where it lies, its mirror image, the parts that reach it.

    Args:
        key: id or unique name.

    Raises:
        KeyError: if there is no such region.

    Example:
        >>> from apu_contacts import explain_region
        >>> print(explain_region(50).splitlines()[0])
        Region 50: front pelvis
    """
    it = region(key)
    mirror = REGIONS[it.mirror]
    mirrored = "itself" if mirror is it else f"region {mirror.id}, {mirror.name}"
    sides = "left, right" if it.side == "center" else it.side
    reached = ", ".join(f"{part} ({sides})" for part in parts_of(it.id)) or "no part"
    return (
        f"Region {it.id}: {it.name}\n"
        f"  Where: {it.description}\n"
        f"  Mirror image: {mirrored}\n"
        f"  Reached by the parts: {reached}"
    )

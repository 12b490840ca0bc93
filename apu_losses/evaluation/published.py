"""What others published, each table with its source and kept apart from every other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from apu_contacts.reading import parse_json
from apu_losses.evaluation.bootstrap import MeanOf


@dataclass(frozen=True)
class Column:
    """One column of a published table, and what it is among our metrics.

    Args:
        name: as printed.
        metric: key of `apu_losses.evaluation.METRICS`.
        group: the class that it is of; None: all classes.
        mean: of frames or of classes, where it is of all.
        better: ``"lower"`` or ``"higher"``.
    """

    name: str
    metric: str
    group: str | None
    mean: MeanOf
    better: str


@dataclass(frozen=True)
class PublishedRow:
    """One method. ``values`` as the columns, None where nothing is printed; ``frames``: how many, if said."""

    method: str
    values: tuple[float | None, ...]
    frames: int | None
    note: str


@dataclass(frozen=True)
class PublishedTable:
    """One table of one source.

    Rows of two tables are never put into one: BEV on Hi4D is 138, 144 and 136 mm in three of them.

    Args:
        identity: short name.
        protocol: which evaluation it belongs to.
        title: what it shows.
        source: where it stands.
        first_hand: read in the source itself; else quoted by others.
        unit: of the values.
        frames: how many, if said for the whole table.
        columns, rows: the table.
        remarks: what its reader must know.
    """

    identity: str
    protocol: str
    title: str
    source: str
    first_hand: bool
    unit: str
    frames: int | None
    columns: tuple[Column, ...]
    rows: tuple[PublishedRow, ...]
    remarks: tuple[str, ...]


@lru_cache(1)
def published_tables() -> tuple[PublishedTable, ...]:
    """All tables that come with the package, those of the paper first.

    Example:
        >>> next(row.values[0] for row in published_tables()[0].rows if row.method == "BUDDI")
        98.7
    """
    file = resources.files("apu_losses.evaluation").joinpath("data", "published.json")
    content = parse_json(file.read_bytes(), "published.json")
    return tuple(_table(table) for table in content["tables"])


def tables_of(protocol: str) -> tuple[PublishedTable, ...]:
    """Those that belong to one protocol."""
    return tuple(table for table in published_tables() if table.protocol == protocol)


def _table(data: dict[str, Any]) -> PublishedTable:
    columns = tuple(
        Column(each["name"], each["metric"], each["class"], each["mean"], each["better"])
        for each in data["columns"]
    )
    rows = tuple(
        PublishedRow(row["method"], tuple(row["values"]), row.get("frames"), row.get("note", ""))
        for row in data["rows"]
    )
    return PublishedTable(
        identity=data["id"],
        protocol=data["protocol"],
        title=data["title"],
        source=data["source"],
        first_hand=data["hand"] == "first",
        unit=data["unit"],
        frames=data["frames"],
        columns=columns,
        rows=rows,
        remarks=tuple(data["remarks"]),
    )

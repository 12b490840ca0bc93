"""What `evaluate` found, beside what others published."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts import __version__
from apu_contacts.reading import read_text
from apu_losses.evaluation.bootstrap import Interval
from apu_losses.evaluation.measures import MethodRecords, record_to_dict
from apu_losses.evaluation.published import Column, PublishedTable, published_tables, tables_of
from apu_losses.evaluation.summary import METRICS, Resampling, chosen, common_keys, compare, mean_of
from apu_losses.evaluation.tables import Table

SCHEMA = "apu-evaluation/1"


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Args:
        protocol: its name.
        dataset: name of the data set.
        groups: number of frames of each class.
        methods: the records, in the order in which the methods were given.
        joints: which joints, and where they are from; ``""``: none.
        region_map: which regions; ``""``: none.
        notes: of the data set and of the fits.
        caveats: why a published figure is not comparable with these, as far as known.
        resampling: how intervals are drawn.
    """

    protocol: str
    dataset: str
    groups: dict[str, int]
    methods: tuple[MethodRecords, ...]
    joints: str = ""
    region_map: str = ""
    notes: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    resampling: Resampling = field(default_factory=Resampling)

    @property
    def frames(self) -> int:
        """Number of frames of the data set."""
        return sum(self.groups.values())

    def tables(self) -> list[Table]:
        """Own results first, then one table for each that was published, with the own rows."""
        found = [own_table(self, method) for method in self.methods]
        if len(self.methods) > 1:
            found.append(comparison_table(self))
        if len(self.groups) > 1:
            found.append(class_table(self))
        return found + [field_table(table, self) for table in tables_of(self.protocol)]

    def write(self, form: str) -> str:
        """Everything in one of the formats ``"text"``, ``"markdown"``, ``"latex"``, ``"json"``.

        Raises:
            ValueError: on another one.
        """
        if form == "json":
            return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"
        return "\n".join(table.write(form) for table in self.tables())

    def to_dict(self) -> dict[str, Any]:
        """Means, intervals and every frame, ready for JSON; what is not finite is None."""
        keys = common_keys(self.methods)
        return {
            "schema": SCHEMA,
            "apu_losses": __version__,
            "protocol": self.protocol,
            "dataset": self.dataset,
            "frames": self.frames,
            "classes": self.groups,
            "joints": self.joints,
            "region_map": self.region_map,
            "notes": list(self.notes),
            "caveats": list(self.caveats),
            "resampling": {"resamples": self.resampling.resamples, "seed": self.resampling.seed},
            "frames_all_solved": len(keys),
            "methods": [
                {
                    "name": method.name,
                    "solved": len(method.records),
                    "missing": list(method.missing),
                    "broken": list(method.broken),
                    "exchanged": sum(record.exchanged for record in method.records),
                    "metrics": {name: self._figures(method, name, keys) for name in self._measured(method)},
                    "records": [record_to_dict(record) for record in method.records],
                }
                for method in self.methods
            ],
            "published": [_published_dict(table) for table in tables_of(self.protocol)],
        }

    def _measured(self, method: MethodRecords) -> list[str]:
        return [name for name in METRICS if chosen(method, name)]

    def _figures(self, method: MethodRecords, name: str, keys: frozenset[str]) -> dict[str, Any]:
        own, count = mean_of(method, name, resampling=self.resampling)
        classes, _ = mean_of(method, name, of="classes", resampling=self.resampling)
        common, shared = mean_of(method, name, keys=keys, resampling=self.resampling)
        return {
            "meaning": METRICS[name],
            "mean": _number(own.mean),
            "interval": [_number(own.low), _number(own.high)],
            "frames": count,
            "mean_of_classes": _number(classes.mean),
            "interval_of_classes": [_number(classes.low), _number(classes.high)],
            "by_class": {
                group: _number(mean_of(method, name, group=group, resampling=Resampling(1))[0].mean)
                for group in self.groups
            },
            "on_frames_all_solved": {
                "mean": _number(common.mean),
                "interval": [_number(common.low), _number(common.high)],
                "frames": shared,
            },
        }


def own_table(evaluation: Evaluation, method: MethodRecords) -> Table:
    """Every metric of one method: mean with interval on its own frames, and on those that all solved."""
    keys = common_keys(evaluation.methods)
    rows = []
    for name, meaning in METRICS.items():
        own, count = mean_of(method, name, resampling=evaluation.resampling)
        if not count:
            continue
        classes, _ = mean_of(method, name, of="classes", resampling=evaluation.resampling)
        common, shared = mean_of(method, name, keys=keys, resampling=evaluation.resampling)
        rows.append((meaning, *_cells(own), _cell(classes.mean), str(count), _cell(common.mean), str(shared)))
    notes = [
        f"{len(method.records)} of {evaluation.frames} frames solved, {len(method.missing)} without a fit, "
        f"{len(method.broken)} with a fit that is not finite; {len(keys)} solved by all methods"
    ]
    exchanged = sum(record.exchanged for record in method.records)
    if exchanged:
        notes.append(f"the two people were taken in the other order in {exchanged} frames")
    notes += [f"joints: {evaluation.joints}"] if evaluation.joints else []
    notes += [f"regions: {evaluation.region_map}"] if evaluation.region_map else []
    notes += [*evaluation.notes, *method.notes]
    header = ("", "mean", "95 %", "mean of classes", "n", "mean, all solved", "n, all solved")
    return Table(f"{evaluation.dataset}: {method.name}", header, tuple(rows), tuple(notes))


def comparison_table(evaluation: Evaluation) -> Table:
    """Every method against the first, on the frames that both solved."""
    first, *others = evaluation.methods
    rows = []
    for other in others:
        for metric in ("joint_pa", "person_pa", "contact_mm", "pcc_10", "depth_mm"):
            found = compare(first, other, metric, evaluation.resampling)
            if found.frames:
                rows.append(
                    (
                        f"{other.name}: {METRICS[metric]}",
                        f"{found.difference.mean:+.1f}",
                        _span(found.difference),
                        f"{100 * found.better:.1f} %",
                        str(found.frames),
                    )
                )
    header = ("", f"difference from {first.name}", "95 %", "frames on which it is better", "n")
    return Table(f"{evaluation.dataset}: against {first.name}", header, tuple(rows))


def class_table(evaluation: Evaluation) -> Table:
    """Return the main metric by class with intervals, one row a method."""
    metric = next((name for name in METRICS if any(chosen(m, name) for m in evaluation.methods)), "joint_pa")
    rows = []
    for method in evaluation.methods:
        whole, _ = mean_of(method, metric, of="classes", resampling=evaluation.resampling)
        cells = [f"{_cell(whole.mean)} {_span(whole)}".strip()]
        for group in evaluation.groups:
            found, count = mean_of(method, metric, group=group, resampling=evaluation.resampling)
            cells.append(f"{_cell(found.mean)} {_span(found)} n={count}".strip() if count else "")
        rows.append((method.name, *cells))
    header = ("", "mean of classes", *evaluation.groups)
    return Table(f"{evaluation.dataset} by class: {METRICS[metric]}", header, tuple(rows))


def field_table(table: PublishedTable, evaluation: Evaluation | None = None) -> Table:
    """One published table with the own methods below it; best values in bold.

    Args:
        table: as published; its rows stay as they are.
        evaluation: own results; None: the published rows alone.
    """
    numbers: list[list[float | None]] = [list(row.values) for row in table.rows]
    names = [row.method + (f" ({row.note})" if row.note else "") for row in table.rows]
    sizes = [row.frames if row.frames is not None else table.frames for row in table.rows]
    for method in evaluation.methods if evaluation is not None else ():
        numbers.append([_own(method, column) for column in table.columns])
        names.append(f"> {method.name}")
        sizes.append(len(method.records))
    rows = [
        (name, *(_cell(value) for value in values), "" if size is None else str(size))
        for name, values, size in zip(names, numbers, sizes, strict=True)
    ]
    notes = [
        f"source: {table.source}" + ("" if table.first_hand else " (second hand)"),
        f"unit: {table.unit}",
    ]
    notes += table.remarks
    if evaluation is not None:
        notes.append("> measured here; the other rows as published")
        notes += [f"not like for like: {caveat}" for caveat in evaluation.caveats]
        if table.frames is not None and any(len(m.records) != table.frames for m in evaluation.methods):
            notes.append(f"not like for like: the published rows are of {table.frames} frames")
    header = ("", *(column.name for column in table.columns), "n")
    return Table(table.title, header, tuple(rows), tuple(notes), _best(numbers, table.columns))


def _own(method: MethodRecords, column: Column) -> float | None:
    found, count = mean_of(
        method, column.metric, group=column.group, of=column.mean, resampling=Resampling(resamples=1)
    )
    return found.mean if count else None


def _best(numbers: Sequence[Sequence[float | None]], columns: Sequence[Column]) -> frozenset[tuple[int, int]]:
    best = set()
    for place, column in enumerate(columns):
        shown = [(row[place], line) for line, row in enumerate(numbers) if row[place] is not None]
        values = [round(value, 1) for value, _ in shown if value is not None and np.isfinite(value)]
        if not values:
            continue
        top = max(values) if column.better == "higher" else min(values)
        best |= {(line, place + 1) for value, line in shown if value is not None and round(value, 1) == top}
    return frozenset(best)


def _published_dict(table: PublishedTable) -> dict[str, Any]:
    return {
        "id": table.identity,
        "title": table.title,
        "source": table.source,
        "first_hand": table.first_hand,
        "unit": table.unit,
        "columns": [column.name for column in table.columns],
        "rows": [
            {
                "method": row.method,
                "note": row.note,
                "frames": row.frames or table.frames,
                "values": list(row.values),
            }
            for row in table.rows
        ],
        "remarks": list(table.remarks),
    }


def _cells(interval: Interval) -> tuple[str, str]:
    return _cell(interval.mean), _span(interval)


def _cell(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return ""
    if isinstance(value, int):
        return str(value)  # published without a decimal
    return f"{value:.1f}" if abs(value) >= 1 or value == 0 else f"{value:.3f}"


def _span(interval: Interval) -> str:
    return f"[{_cell(interval.low)}, {_cell(interval.high)}]" if np.isfinite(interval.low) else ""


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def published_report(protocol: str, form: str) -> str:
    """Return what others published for a protocol, in a format of `Evaluation.write`.

    Raises:
        ValueError: on another format.
    """
    tables = tables_of(protocol)
    if form == "json":
        content = {"schema": SCHEMA, "protocol": protocol, "published": [_published_dict(t) for t in tables]}
        return json.dumps(content, indent=1) + "\n"
    return "\n".join(field_table(table).write(form) for table in tables)


def is_report(path: Path) -> bool:
    """Whether a file is one that `Evaluation.write` made."""
    try:
        text = read_text(path)
    except (OSError, ValueError):
        return False
    return SCHEMA in text[:200] or any(f"source: {table.source[:20]}" in text for table in published_tables())

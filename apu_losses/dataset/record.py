"""One record a pair of people: its schema, its check, and the way from older versions to this one.

A record is plain data, as JSON has it, so that what is written can be read by anything. Numbers of bodies and
keypoints are single precision, in which fits are computed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.answers.attributes import OF_ONE, Judgement, PairAttributes
from apu_contacts.contacts import ContactMap
from apu_contacts.reading import number_validator
from apu_contacts.resolve import ContactEvidence

SCHEMA_VERSION = 2
Record = dict[str, Any]
Migration = Callable[[Record], Record]


def _people_described(record: Record) -> Record:
    """Return a record of version 1 with what version 2 says of the people: nobody said anything."""
    said = {"age_group": "", "stature": None}
    people = {name: {**record[name], **said} for name in ("person_a", "person_b")}
    answers = [
        answer
        if answer["reading"] is None
        else {**answer, "reading": {**answer["reading"], "attributes": None}}
        for answer in record["answers"]
    ]
    return {**record, **people, "answers": answers, "evidence": {**record["evidence"], "attributes": None}}


MIGRATIONS: Mapping[int, Migration] = {1: _people_described}
"""Version -> what makes a record of the next one of it; each version but the last has an entry."""


class DatasetError(ValueError):
    """A data set that cannot be used; the message names the file, the place in it and the likely cause."""


@cache
def record_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a record.

    Beside the words of the standard, ``x-arrow`` names the type of a column where JSON has a wider one, and
    ``x-parameters`` marks the objects whose arrays are body parameters by their smplx names.

    Example:
        >>> from apu_losses.dataset import record_schema
        >>> record_schema()["properties"]["schema_version"]["const"]
        2
    """
    text = files("apu_losses.dataset").joinpath("record_schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def check_record(record: Any, where: str = "record") -> Record:
    """Return a record as it is if it satisfies the schema, and all its numbers are finite.

    Raises:
        DatasetError: naming ``where``, the place in the record and what was expected there.
    """
    error = next(iter(sorted(_validator().iter_errors(record), key=lambda e: list(map(str, e.path)))), None)
    if error is not None:
        place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".")
        said = error.message if len(error.message) < 200 else f"{error.message[:197]}..."
        raise DatasetError(f"{where}: {place or 'top level'}: {said}")
    for name in ("person_a", "person_b"):
        points = record[name]["keypoints"]
        if len(points["xy"]) != len(points["confidence"]):
            raise DatasetError(
                f"{where}: {name}.keypoints: {len(points['xy'])} points with {len(points['confidence'])} "
                "confidences: one a point was expected"
            )
    checked: Record = record
    return checked


@cache
def _validator() -> Any:
    return number_validator(record_schema(), finite=True)


def migrated(
    record: Mapping[str, Any], where: str = "record", migrations: Mapping[int, Migration] = MIGRATIONS
) -> Record:
    """Return a record of any version as one of this version.

    Args:
        record: as it was read.
        where: for messages.
        migrations: version -> what makes the next one of it.

    Raises:
        DatasetError: a version that is unknown or newer than this program.
    """
    found: Record = dict(record)
    while True:
        version = found.get("schema_version")
        if version == SCHEMA_VERSION:
            return found
        if not isinstance(version, int) or version not in migrations:
            newer = isinstance(version, int) and version > SCHEMA_VERSION
            hint = "a newer version of apu-losses wrote it" if newer else "is it a record at all?"
            raise DatasetError(
                f"{where}: schema_version is {version!r}, this version reads up to {SCHEMA_VERSION}: {hint}"
            )
        found = {**migrations[version](found), "schema_version": version + 1}


def single(values: ArrayLike) -> Any:
    """Return numbers in single precision as plain lists: what a record holds of bodies and keypoints."""
    return np.asarray(values, dtype=np.float32).tolist()


def contact_map(record: Mapping[str, Any]) -> ContactMap:
    """Return the region pairs of a record, as they were fitted; the first of each is on person a."""
    entry = record["region_map"]
    return ContactMap(entry["pairs"], entry["weights"], entry["group"], entry["group_names"])


def evidence_of(record: Mapping[str, Any]) -> ContactEvidence:
    """Return what the answers of a record come to, as a scene file keeps it.

    Example:
        How sure the model is that the first person is a child::

            told = evidence_of(record).attributes
            told and told.a.age_group  # Judgement(value='child', confidence=0.9)
    """
    order, told = record["order"], record["evidence"]["attributes"]
    known = {name: value for name, value in record["evidence"].items() if name != "attributes"}
    return ContactEvidence(
        **known,
        order=order["value"],
        exchanged=order["exchanged"],
        order_margin=order["margin"],
        interaction=record["interaction"],
        contacts=tuple(dict(contact) for contact in record["contacts"]),
        attributes=None if told is None else PairAttributes.from_dict(_without_nothing(told)),
    )


def attributes_entry(told: PairAttributes | None) -> dict[str, Any] | None:
    """Return attributes as a record has them: each key is there, null where nobody said anything."""
    if told is None:
        return None
    people = {
        name: {key: _judgement(getattr(person, key)) for key in OF_ONE}
        for name, person in (("a", told.a), ("b", told.b))
    }
    return {**people, "taller": _judgement(told.taller), "in_front": _judgement(told.in_front)}


def stated_attributes_entry(told: PairAttributes | None) -> dict[str, Any] | None:
    """Return those of one answer, whose people are ``person_left`` and ``person_right`` of the picture."""
    entry = attributes_entry(told)
    if entry is None:
        return None
    who = {"a": "person_left", "b": "person_right"}
    for name in ("taller", "in_front"):
        if entry[name] is not None:
            entry[name]["value"] = who.get(entry[name]["value"], entry[name]["value"])
    return {who.get(name, name): value for name, value in entry.items()}


def _judgement(told: Judgement | None) -> dict[str, Any] | None:
    return None if told is None else {"value": told.value, "confidence": float(told.confidence)}


def _without_nothing(told: Mapping[str, Any]) -> dict[str, Any]:
    people = {who: {k: v for k, v in told[who].items() if v is not None} for who in ("a", "b")}
    rest = {k: v for k, v in told.items() if k not in people and v is not None}
    return {**people, **rest}


def parameter_sizes(record: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes of the body parameters of a record by name; empty where nothing was fitted."""
    found = record["person_a"]["parameters"] or {}
    return {name: len(values) for name, values in found.items()}

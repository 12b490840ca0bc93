"""ContactMap: hand-counted expansions, exact round trips, and errors that say what is wrong."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apu_contacts.answers.fusion
import apu_contacts.sides.chirality  # noqa: F401  (both modules have a class of PartContact of their own)
from apu_contacts.contacts import ContactMap, PartContact
from apu_contacts.regions import PART_SIDES, PARTS, part_regions

part_contacts = st.builds(
    PartContact,
    st.sampled_from(PARTS),
    st.sampled_from(PART_SIDES),
    st.sampled_from(PARTS),
    st.sampled_from(PART_SIDES),
    st.floats(0.01, 1.0),
)


def as_set(cmap: ContactMap) -> set[tuple[int, int]]:
    return {(a, b) for a, b in cmap.pairs.tolist()}


def test_one_contact_of_two_sides_is_the_product() -> None:
    cmap = ContactMap.from_parts([PartContact("face", "left", "knee", "right", 0.5)])
    assert as_set(cmap) == {(66, 12), (66, 16)}
    assert cmap.weights.tolist() == [0.5, 0.5]
    assert [group[:3] for group in cmap.groups()] == [((66,), (12, 16), 0.5)]
    assert cmap.groups()[0].name == "left face - right knee"


def test_none_is_one_group_and_both_is_one_per_side() -> None:
    somewhere = ContactMap.from_parts([PartContact("foot", "none", "face", "left")])
    assert [g.regions_a for g in somewhere.groups()] == [(1, 42, 65, 67)]
    each = ContactMap.from_parts([PartContact("foot", "both", "face", "left")])
    assert [g.regions_a for g in each.groups()] == [(1, 67), (42, 65)]
    assert as_set(each) == as_set(somewhere)
    other = ContactMap.from_parts([PartContact("face", "left", "foot", "both")])
    assert [g.regions_b for g in other.groups()] == [(1, 67), (42, 65)]


def test_both_to_both_asks_each_of_four_sides_to_touch() -> None:
    cmap = ContactMap.from_parts([PartContact("face", "both", "face", "both")])
    assert [g[:2] for g in cmap.groups()] == [
        ((66,), (51, 66)),
        ((51,), (51, 66)),
        ((51, 66), (66,)),
        ((51, 66), (51,)),
    ]
    # As region pairs it is the four pairs, each counted once.
    assert as_set(cmap.merged()) == {(66, 66), (66, 51), (51, 66), (51, 51)} and len(cmap.merged()) == 4


def test_same_pair_from_two_contacts_counts_once_with_the_larger_weight() -> None:
    cmap = ContactMap.from_parts(
        [PartContact("arm", "left", "face", "left", 0.3), PartContact("elbow", "left", "face", "left", 0.8)]
    )
    assert len(cmap) == 6 + 2
    dense = cmap.to_dense()
    assert dense[11, 66] == dense[34, 66] == 0.8
    assert dense[49, 66] == 0.3
    assert len(cmap.merged()) == 6 and cmap.merged() == ContactMap.from_dense(dense)


def test_weight_stands_before_confidence() -> None:
    contact = PartContact("face", "left", "face", "left", confidence=0.9, weight=0.2)
    assert ContactMap.from_parts([contact]).weights.tolist() == [0.2]


def test_alternatives_reach_the_expansion() -> None:
    contact = [PartContact("head", "left", "face", "left")]
    assert len(ContactMap.from_parts(contact)) == 2
    assert as_set(ContactMap.from_parts(contact, ["head:back_only"])) == {(39, 66)}


@given(st.lists(part_contacts, max_size=4))
@settings(max_examples=40, deadline=None)
def test_expansion_agrees_with_the_part_tables(contacts: list[PartContact]) -> None:
    expected = np.zeros((75, 75))
    for c in contacts:
        block = np.ix_(part_regions(c.part_a, c.side_a), part_regions(c.part_b, c.side_b))
        expected[block] = np.maximum(expected[block], c.confidence)
    cmap = ContactMap.from_parts(contacts)
    assert np.array_equal(cmap.to_dense(), expected)
    assert np.array_equal(cmap.transposed().to_dense(), expected.T)
    assert cmap.transposed().transposed() == cmap
    assert np.array_equal(ContactMap.from_parts([c.transposed() for c in contacts]).to_dense(), expected.T)
    assert ContactMap.from_json(json.loads(json.dumps(cmap.to_json()))) == cmap
    # Every group is a full product: over="parts" and over="pairs" speak of the same pairs.
    assert {(a, b) for g in cmap.groups() for a in g.regions_a for b in g.regions_b} == as_set(cmap)


@given(st.lists(st.tuples(st.integers(0, 74), st.integers(0, 74), st.floats(0.1, 9)), max_size=30))
@settings(max_examples=40, deadline=None)
def test_merging_keeps_first_order_and_largest_weight(rows: list[tuple[int, int, float]]) -> None:
    expected: dict[tuple[int, int], float] = {}
    for a, b, w in rows:
        expected[a, b] = max(w, expected.get((a, b), 0.0))
    cmap = ContactMap([(a, b) for a, b, _ in rows], [w for *_, w in rows])
    assert [tuple(pair) for pair in cmap.pairs.tolist()] == list(expected)
    assert cmap.weights.tolist() == list(expected.values())
    assert ContactMap.from_dense(cmap.to_dense()) == cmap


def test_empty_map() -> None:
    empty = ContactMap.empty()
    assert len(empty) == 0 and empty.pairs.shape == (0, 2) and empty.groups() == []
    assert empty == ContactMap.from_parts([]) == ContactMap.from_dense(np.zeros((75, 75))) == ContactMap([])
    assert empty == empty.transposed() == empty.merged() == ContactMap.from_json(empty.to_json())
    assert not empty.to_dense().any()


def test_equality_ignores_order_but_not_content() -> None:
    one = ContactMap([[1, 2], [3, 4]], [0.5, 1.0])
    assert one == ContactMap([[3, 4], [1, 2]], [1.0, 0.5])
    assert one != ContactMap([[3, 4], [1, 2]], [0.5, 1.0])
    assert one != ContactMap([[1, 2], [3, 4]], [0.5, 1.0], [0, 1])
    assert one != "contact map"


def test_map_without_groups_has_one_group_per_pair() -> None:
    groups = ContactMap([[17, 66], [8, 50]], [0.5, 2.0]).groups()
    assert [(g.regions_a, g.regions_b, g.weight) for g in groups] == [((17,), (66,), 0.5), ((8,), (50,), 2.0)]
    assert groups[0].name == "left palm - left face"


def test_arrays_may_not_be_changed() -> None:
    pairs = np.array([[1, 2]])
    cmap = ContactMap(pairs)
    pairs[0, 0] = 7
    assert cmap.pairs.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="read-only"):
        cmap.weights[0] = 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 75]],), r"pairs must lie in 0 to 74, got \[75\]"),
        (([[-1, 3]],), r"got \[-1\]"),
        (([[1, 2, 3]],), r"pairs must have shape \(K, 2\), got \(1, 3\)"),
        (([[1.5, 2]],), "whole numbers, got 1.5"),
        (([[True, False]],), "whole numbers, got bool"),
        (([[1, 2]], [float("nan")]), "finite and at least 0, got nan"),
        (([[1, 2]], [-0.5]), "got -0.5"),
        (([[1, 2]], [1.0, 2.0]), r"weights must have shape \(1,\)"),
        (([[1, 2], [3, 4]], None, [0, 2]), r"every number from 0 to its largest, got \[0, 2\]"),
        (([[1, 2]], None, [0, 0]), r"group must have shape \(1,\)"),
        (([[1, 2]], None, [0], ["a", "b"]), "got 2 names for 1 groups"),
        (([[1, 2]], None, None, ["a"]), "no groups"),
    ],
)
def test_bad_maps_are_refused_by_name(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContactMap(*arguments)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"part_a": "hip"}, "part_a must be one of hand"),
        ({"side_b": "center"}, "side_b must be one of left"),
        ({"confidence": 80}, "percentage"),
        ({"confidence": float("nan")}, "confidence"),
        ({"weight": -1.0}, "weight must be finite"),
        ({"weight": float("inf")}, "weight must be finite"),
    ],
)
def test_bad_part_contacts_are_refused_by_name(fields: dict[str, object], message: str) -> None:
    good = {"part_a": "hand", "side_a": "left", "part_b": "back", "side_b": "none"}
    with pytest.raises(ValueError, match=message):
        PartContact(**{**good, **fields})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "other/1"}, "schema must be 'apu-contact-map/1', got 'other/1'"),
        ({"pairs": [[0, 99]]}, r"contact map: pairs must lie in 0 to 74, got \[99\]"),
        ({"extra": 1}, r"unknown keys \['extra'\]"),
        ({"weights": ["x"]}, "contact map: "),
        ({"group": "x"}, "contact map: group"),
    ],
)
def test_bad_json_is_refused_by_name(change: dict[str, object], message: str) -> None:
    data = {**ContactMap([[1, 2]]).to_json(), **change}
    with pytest.raises(ValueError, match=message):
        ContactMap.from_json(data)
    with pytest.raises(ValueError, match=message):
        ContactMap.from_json(json.dumps(data))


def test_json_that_is_none() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        ContactMap.from_json("{")
    with pytest.raises(ValueError, match="must be a JSON object, got list"):
        ContactMap.from_json("[]")
    with pytest.raises(ValueError, match="'pairs' is missing"):
        ContactMap.from_json({"schema": "apu-contact-map/1"})


@pytest.mark.parametrize(
    ("dense", "message"),
    [
        (np.zeros((74, 75)), r"shape \(75, 75\), got \(74, 75\)"),
        (np.full((75, 75), np.nan), "finite"),
        (-np.eye(75), "at least 0"),
    ],
)
def test_bad_dense_is_refused(dense: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContactMap.from_dense(dense)


def every_class_of(cls: type[PartContact]) -> list[type[PartContact]]:
    return [cls, *(one for sub in cls.__subclasses__() for one in every_class_of(sub))]


# The values that have to be seen to change place; a field of any other kind keeps its value.
OF_KIND: dict[str, Any] = {
    "Sides": ("left", "none"),
    "Mapping[Sides, float]": {("left", "right"): 0.75, ("both", "none"): 0.25},
    "int": 3,
    "float": 0.625,
    "float | None": 0.375,
}
TURNED: dict[str, Any] = {
    "Sides": ("none", "left"),
    "Mapping[Sides, float]": {("right", "left"): 0.75, ("none", "both"): 0.25},
}


@pytest.mark.parametrize("cls", every_class_of(PartContact), ids=lambda cls: cls.__name__)
def test_nothing_is_lost_when_the_people_are_exchanged(cls: type[PartContact]) -> None:
    """Of each class of contacts there is; a new field of a kind that is not known here fails."""
    given: dict[str, Any] = {
        "part_a": "hand", "side_a": "left", "part_b": "back", "side_b": "right",
        "alternatives_a": ("forearm",), "alternatives_b": ("waist", "chest"),
    }  # fmt: skip
    more = {f.name: str(f.type) for f in fields(cls) if f.name not in given}
    stated = cls(**given, **{name: OF_KIND[kind] for name, kind in more.items()})
    turned = stated.transposed()
    assert type(turned) is cls
    for name, kind in more.items():
        assert getattr(turned, name) == TURNED.get(kind, OF_KIND[kind]), name
    assert (turned.part_a, turned.side_a, turned.alternatives_a) == ("back", "right", ("waist", "chest"))
    assert (turned.part_b, turned.side_b, turned.alternatives_b) == ("hand", "left", ("forearm",))
    assert turned.transposed() == stated


def test_every_class_of_contacts_is_tried() -> None:
    assert {cls.__name__ for cls in every_class_of(PartContact)} >= {
        "PartContact", "FusedContact", "DenoisedContact"
    }  # fmt: skip

"""Contacts said of vertices as maps of regions, and back."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu_contacts import ContactMap, RegionMap

LABELS = np.repeat(np.arange(75), [2 + r % 3 for r in range(75)])
REGIONS = RegionMap.from_labels(LABELS, topology="toy", provenance="test")
COUNT = len(LABELS)
BORDERS = RegionMap.from_lists(
    [sorted({2 * r, 2 * r + 1, (2 * r + 2) % 150}) for r in range(75)],
    151,
    topology="borders",
    provenance="test",
)
vertices = st.integers(0, COUNT - 1)
some = st.sets(vertices, min_size=1, max_size=12)


def mask(ids, count=COUNT):
    labels = np.zeros(count, dtype=bool)
    labels[sorted(ids)] = True
    return labels


@given(st.lists(st.tuples(vertices, vertices), min_size=1, max_size=20))
def test_vertex_pairs_are_the_pairs_of_their_regions(pairs):
    found = ContactMap.from_vertex_pairs(pairs, REGIONS)
    assert {tuple(p) for p in found.pairs.tolist()} == {(LABELS[a], LABELS[b]) for a, b in pairs}
    assert found.group is None and (found.weights == 1).all()
    labels_a, labels_b = found.to_vertex_labels(REGIONS)
    assert all(labels_a[a] and labels_b[b] for a, b in pairs)


@given(some, some)
@settings(max_examples=50)
def test_labels_say_that_each_region_touches_somewhere(ids_a, ids_b):
    found = ContactMap.from_vertex_labels(mask(ids_a), mask(ids_b), REGIONS)
    regions_a, regions_b = ({int(LABELS[i]) for i in ids} for ids in (ids_a, ids_b))
    groups = [(set(g.regions_a), set(g.regions_b)) for g in found.groups()]
    assert groups == [({r}, regions_b) for r in sorted(regions_a)] + [
        (regions_a, {r}) for r in sorted(regions_b)
    ]


@given(some, some)
@settings(max_examples=50)
def test_round_trips_hold_what_they_state(ids_a, ids_b):
    labels = mask(ids_a), mask(ids_b)
    once = ContactMap.from_vertex_labels(*labels, REGIONS)
    whole = once.to_vertex_labels(REGIONS)
    for given_, got in zip(labels, whole, strict=True):
        assert (got | ~given_).all()  # nothing labelled is lost
        assert set(LABELS[got]) == set(LABELS[given_])  # and no region is added
    twice = ContactMap.from_vertex_labels(*whole, REGIONS)
    assert twice == once
    for got, again in zip(whole, twice.to_vertex_labels(REGIONS), strict=True):
        np.testing.assert_array_equal(got, again)


def test_on_a_border_a_vertex_stands_for_each_of_its_regions():
    assert ContactMap.from_vertex_pairs([(2, 9)], BORDERS).pairs.tolist() == [[0, 4], [1, 4]]
    found = ContactMap.from_vertex_labels(mask([2], 151), mask([9], 151), BORDERS)
    assert {r for group in found.groups() for r in group.regions_a} == {0, 1}
    labels_a, _ = found.to_vertex_labels(BORDERS)
    assert np.flatnonzero(labels_a).tolist() == [0, 1, 2, 3, 4]  # contains the label


def test_integers_are_labels_and_nothing_is_no_contact():
    labels = mask([3]).astype(int)
    assert ContactMap.from_vertex_labels(labels, labels, REGIONS) == ContactMap.from_vertex_labels(
        labels > 0, labels > 0, REGIONS
    )
    nothing = mask([])
    assert len(ContactMap.from_vertex_labels(nothing, nothing, REGIONS)) == 0
    assert len(ContactMap.from_vertex_pairs([], REGIONS)) == 0
    assert not any(each.any() for each in ContactMap.empty().to_vertex_labels(REGIONS))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ContactMap.from_vertex_labels(mask([1]), mask([]), REGIONS), "got none in labels_b"),
        (lambda: ContactMap.from_vertex_labels(mask([1]) * 0.4, mask([2]), REGIONS), "labels > 0.5"),
        (lambda: ContactMap.from_vertex_labels([1, 5], mask([2]), REGIONS), "are these vertex ids"),
        (
            lambda: ContactMap.from_vertex_labels(mask([150], 151), mask([2], 151), BORDERS),
            "lie in no region",
        ),
        (lambda: ContactMap.from_vertex_pairs([(150, 2)], BORDERS), r"pairs\[:, 0\]: 1 of the vertices"),
        (lambda: ContactMap.from_vertex_pairs([(0, COUNT)], REGIONS), "of another topology"),
        (lambda: ContactMap.from_vertex_pairs([0, 1], REGIONS), r"of shape \(K, 2\)"),
    ],
)
def test_mistakes_are_named(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda cmap: pickle.loads(pickle.dumps(cmap))])
def test_a_map_stays_immutable_through_copies_and_workers(again):
    cmap = ContactMap([[3, 4], [3, 5]], [0.5, 1.0], [0, 0], ["hand - arm"])
    copied = again(cmap)
    assert copied == cmap
    for array in (copied.pairs, copied.weights, copied.group):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0

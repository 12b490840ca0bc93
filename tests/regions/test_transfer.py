"""Moving a region map to another mesh."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import trimesh

from apu_contacts.regions import NUM_REGIONS, RegionMap
from apu_contacts.regions.transfer import SurfaceCorrespondence, closest_weights, correspond, move_by_points


@pytest.fixture(scope="module")
def free() -> tuple[Any, Any, RegionMap]:
    with (resources.files("apu_losses.bodies") / "data" / "free_body.npz").open("rb") as file:
        arrays = np.load(file)
        return arrays["v_template"].astype(float), arrays["f"].astype(np.int64), RegionMap.load("free")


def test_nearest_points_are_trimeshs() -> None:
    rng = np.random.default_rng(0)
    triangles, points = rng.normal(size=(2000, 3, 3)), rng.normal(size=(2000, 3)) * 2
    found = (closest_weights(points, triangles)[..., None] * triangles).sum(1)
    np.testing.assert_allclose(found, trimesh.triangles.closest_point(triangles, points), atol=1e-9)


def test_a_renumbered_mesh_gets_the_same_regions(free: Any) -> None:
    vertices, faces, regions = free
    order = np.random.default_rng(0).permutation(len(vertices))
    place = np.argsort(order)  # old id -> new id
    wanted = [np.sort(place[regions.vertices(rid)]) for rid in range(NUM_REGIONS)]
    by_surface = regions.transfer(correspond(vertices[order], place[faces], vertices, faces), topology="new")
    by_ids = regions.transfer(order, topology="new")
    rows = np.arange(len(order))
    matrix = scipy.sparse.coo_matrix((np.ones(len(order)), (rows, order)))
    by_matrix = regions.transfer(matrix, topology="new")
    for moved in (by_surface, by_ids, by_matrix):
        for rid in range(NUM_REGIONS):
            np.testing.assert_array_equal(moved.regions.vertices(rid), wanted[rid])
        assert moved.regions.kind == "transferred" and moved.regions.approximate
        assert not moved.unsure.any() and set(moved.counts.values()) == {0}


def test_another_mesh_of_the_same_body(free: Any, tmp_path: Path) -> None:
    """The body subdivided: the new vertices are halfway along edges, so their regions are known."""
    vertices, faces, regions = free
    edges = np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    finer = trimesh.remesh.subdivide(vertices, faces)
    moved = regions.transfer(correspond(*finer, vertices, faces), topology="fine")
    labels, old = moved.regions.labels(), regions.labels()
    halfway = {
        tuple(np.round(row, 7)): edge for row, edge in zip(vertices[edges].mean(1), edges, strict=True)
    }
    members = [set(regions.vertices(rid).tolist()) for rid in range(NUM_REGIONS)]
    right = total = 0
    for vertex, label in zip(finer[0], labels, strict=True):
        ends = halfway.get(tuple(np.round(vertex, 7)))
        if ends is None:
            continue
        total += 1
        right += any(end in members[label] for end in ends)
    assert total > 30_000 and right / total > 0.999
    # halfway across a border belongs to neither region alone
    across = (old[edges[:, 0]] != old[edges[:, 1]]).sum()
    assert 0.5 * across < moved.counts["border"] < 1.2 * across
    assert moved.counts["far"] == 0 and moved.counts["turned"] < 0.01 * len(labels)
    moved.regions.save(tmp_path / "fine.npz")
    again = RegionMap.load(tmp_path / "fine.npz")
    assert again == moved.regions and again.kind == "transferred" and "unsure" in again.provenance


def test_what_is_far_or_turned_is_said(free: Any) -> None:
    vertices, faces, _ = free
    shifted = vertices + np.array([0.0, 0.0, 0.06])
    found = correspond(shifted, faces, vertices, faces)
    assert found.far.sum() > 1000 and found.sure.sum() > 1000
    inverted = correspond(vertices, faces[:, ::-1], vertices, faces)
    assert inverted.turned.mean() > 0.9


def test_named_points_bend_one_body_onto_another(free: Any) -> None:
    vertices, _, _ = free
    rng = np.random.default_rng(0)
    at = vertices[rng.choice(len(vertices), 40, replace=False)]
    affine = np.diag([1.1, 0.9, 1.2]) + 0.05 * rng.normal(size=(3, 3))
    np.testing.assert_allclose(
        move_by_points(vertices, at, at @ affine + 0.3), vertices @ affine + 0.3, atol=1e-6
    )
    bent = at + 0.03 * rng.normal(size=at.shape)
    np.testing.assert_allclose(move_by_points(at, at, bent), bent, atol=1e-4)
    with pytest.raises(ValueError, match="must not lie in one plane"):
        move_by_points(vertices, at * [1, 1, 0], at)


def test_mistakes_are_named(free: Any) -> None:
    vertices, faces, regions = free
    count = len(vertices)
    with pytest.raises(ValueError, match="other units, or another origin"):
        correspond(vertices * 100, faces, vertices, faces)
    with pytest.raises(ValueError, match="other units, or another origin"):
        correspond(vertices + 2, faces, vertices, faces)
    with pytest.raises(ValueError, match="the other way round"):
        regions.transfer(np.array([0, count]), topology="x")
    with pytest.raises(ValueError, match="the other way round"):
        regions.transfer(SurfaceCorrespondence.from_ids(np.arange(5), 5), topology="x")
    with pytest.raises(ValueError, match="falls into 7"):
        regions.transfer(np.full(count, int(regions.vertices(0)[0])), topology="x")
    with pytest.raises(ValueError, match="at most three weights"):
        regions.transfer(np.full((4, count), 1 / count), topology="x")
    with pytest.raises(ValueError, match="must sum to 1"):
        regions.transfer(scipy.sparse.csr_matrix(([2.0], ([0], [0])), shape=(4, count)), topology="x")
    assert regions.kind == "derived"
    with pytest.raises(ValueError, match="official only if not approximate"):
        RegionMap.from_labels(np.arange(75), topology="x", provenance="x").__class__(
            "x", 75, np.arange(76), np.arange(75), "x", True, "official"
        )

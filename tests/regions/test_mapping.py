"""Mappings between meshes in the layout of Meta's MHR repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apu_contacts.regions import NUM_REGIONS, RegionMap, read_surface_mapping
from apu_contacts.regions.mapping import write_surface_mapping

REAL = Path(__file__).parents[2].parent / "shared" / "real" / "mhr"


def grid(side: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return vertices and triangles of a square of the unit plane."""
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side), indexing="ij")
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)
    at = np.arange(side * side).reshape(side, side)
    a, b, c, d = at[:-1, :-1].ravel(), at[1:, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, 1:].ravel()
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])


def place(points: np.ndarray[Any, Any], side: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return triangles and weights of points of the square, in closed form."""
    step = 1 / (side - 1)
    cell = np.minimum((points[:, :2] / step).astype(int), side - 2)
    u, v = (points[:, :2] / step - cell).T
    lower = u + v <= 1
    number = cell[:, 0] * (side - 1) + cell[:, 1]
    ids = np.where(lower, number, number + (side - 1) ** 2)
    inner = np.stack([1 - u - v, u, v], 1)
    outer = np.stack([1 - v, u + v - 1, 1 - u], 1)
    return ids, np.where(lower[:, None], inner, outer)


def strips(vertices: np.ndarray[Any, Any]) -> RegionMap:
    """Return a map whose regions are 75 strips across the square."""
    labels = np.minimum((vertices[:, 0] * NUM_REGIONS).astype(int), NUM_REGIONS - 1)
    return RegionMap.from_labels(labels, topology="square", provenance="strips")


def test_a_mapping_places_vertices_and_carries_regions(tmp_path: Path) -> None:
    vertices, faces = grid(151)
    fine = np.random.default_rng(0).uniform(0, 1, (3000, 3)) * [1, 1, 0]
    ids, weights = place(fine, 151)
    np.savez(tmp_path / "a2b_mapping.npz", triangle_ids=ids, baryc_coords=weights)
    found = read_surface_mapping(tmp_path / "a2b_mapping.npz", faces)
    np.testing.assert_allclose(found.apply(vertices), fine, atol=1e-9)
    moved = strips(vertices).transfer(found, topology="b").regions
    wanted = np.minimum(fine[:, 0] * NUM_REGIONS, NUM_REGIONS - 1).astype(int)
    near = np.abs(fine[:, 0] * NUM_REGIONS - np.round(fine[:, 0] * NUM_REGIONS)) < 0.51
    off = np.abs(moved.labels() - wanted)
    assert off.max() <= 1 and (off[~near] == 0).all() and (off == 0).mean() > 0.6
    write_surface_mapping(tmp_path / "back.npz", found, faces)
    again = read_surface_mapping(tmp_path / "back.npz", faces)
    np.testing.assert_array_equal(again.corners, found.corners)
    np.testing.assert_allclose(again.weights, found.weights)


def test_a_coarse_mesh_is_lent_vertices() -> None:
    vertices, _ = grid(151)
    coarse = np.random.default_rng(1).uniform(0, 1, (30, 3)) * [1, 1, 0]
    ids = np.linalg.norm(vertices[:, None] - coarse, axis=2).argmin(0)
    with pytest.raises(ValueError, match="no vertex of 'c' falls into"):
        strips(vertices).transfer(ids, topology="c")
    moved = strips(vertices).transfer(ids, topology="c", lend=vertices)
    assert moved.regions.sizes.min() >= 1 and moved.counts["lent"] > 5
    own = strips(vertices).labels()[ids]
    for rid in range(NUM_REGIONS):
        if rid in own:
            np.testing.assert_array_equal(moved.regions.vertices(rid), np.flatnonzero(own == rid))
        else:
            middle = vertices[strips(vertices).vertices(rid)].mean(0)
            nearest = int(np.linalg.norm(vertices[ids] - middle, axis=1).argmin())
            assert moved.regions.vertices(rid).tolist() == [nearest] and moved.unsure[nearest]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.zeros(1)}, "expected triangle_ids and baryc_coords"),
        (
            {"triangle_ids": np.array([9]), "baryc_coords": np.ones((1, 3)) / 3},
            "names triangles 9 to 9, faces has 2",
        ),
        ({"triangle_ids": np.array([0]), "baryc_coords": np.array([[2.0, -1, 0]])}, "lie in their triangles"),
        ({"triangle_ids": np.array([0, 1]), "baryc_coords": np.ones((1, 3)) / 3}, "must have shape"),
    ],
)
def test_what_is_no_mapping(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=words):
        read_surface_mapping(tmp_path / "a.npz", grid(2)[1])


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
def test_mhrs_own_mappings_lie_on_its_surface() -> None:
    from scipy.spatial import cKDTree

    from apu_losses.interop.mesh_files import read_meshes

    mesh = read_meshes(REAL / "mhr_face_mask.ply")[0]
    assert mesh.faces is not None
    there = read_surface_mapping(REAL / "mhr2smplx_mapping.npz", mesh.faces, len(mesh.vertices))
    smplx = there.apply(mesh.vertices)
    assert smplx.shape == (10475, 3)
    coarse = read_surface_mapping(REAL / "lod1_to_lod6_mapping.npz", mesh.faces).apply(mesh.vertices)
    assert coarse.shape == (595, 3)
    # centimetres: every vertex of the coarse mesh lies near one of SMPL-X's, and the other way round
    assert cKDTree(smplx).query(coarse)[0].mean() < 1.0
    labels = np.load(REAL.parents[1] / "regions" / "smplx_vertex_regions_approx.npy")
    known = RegionMap.from_labels(labels, topology="smplx", provenance="approximate", approximate=True)
    mhr = known.transfer(cKDTree(smplx).query(mesh.vertices)[1], topology="mhr").regions
    lod6 = read_surface_mapping(REAL / "lod1_to_lod6_mapping.npz", mesh.faces)
    moved = mhr.transfer(lod6, topology="lod6", lend=mesh.vertices)
    assert mhr.sizes.min() > 20 and moved.regions.sizes.min() == 1 and moved.counts["lent"] == 6

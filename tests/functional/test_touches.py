"""What touches between two meshes, against brute force on solids whose inside is known in closed form."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.distance import cdist

from apu_contacts.contacts import ContactMap
from apu_contacts.regions import REGIONS, RegionMap
from apu_losses import SoftContactLoss, load_body, what_touches
from apu_losses.viz import touches_picture

BALL = trimesh.creation.icosphere(subdivisions=3)
FACES = np.array(BALL.faces)


def ball(center=(0.0, 0.0, 0.0), radius=0.3):
    return np.array(BALL.vertices) * radius + np.asarray(center)


def patches(seed=0):
    """75 regions of a ball: each vertex belongs to the nearest of 75 places on it; some to none."""
    places = np.random.default_rng(seed).normal(size=(75, 3))
    labels = cdist(BALL.vertices, places / np.linalg.norm(places, axis=1, keepdims=True)).argmin(1)
    labels[BALL.vertices[:, 1] > 0.93] = -1
    return RegionMap.from_labels(labels, topology="ball", provenance="test")


REGION_MAP = patches()


def brute_force(a, b, regions, threshold):
    """Region pairs that touch, their distances, and which vertices lie in the other ball.

    A faceted ball is convex: inside is behind every face. The exit is the nearest point of a face; of points
    well inside it lies on the plane of the nearest face.
    """
    apart = cdist(a, b)
    distance = np.full((75, 75), np.inf)
    for i in range(75):
        for j in range(75):
            rows, columns = regions.vertices(i), regions.vertices(j)
            if len(rows) and len(columns):
                distance[i, j] = apart[np.ix_(rows, columns)].min()

    def inside(points, mesh):
        normals = trimesh.Trimesh(mesh, FACES, process=False).face_normals
        heights = ((points[:, None] - mesh[FACES[:, 0]][None]) * normals[None]).sum(2)
        deep, face = -heights.max(1), heights.argmax(1)
        within = deep > 1e-7
        exits = np.full(len(points), -1)
        for k in np.flatnonzero(within):
            foot = points[k] + normals[face[k]] * deep[k]
            corners = FACES[face[k]]
            weights = trimesh.triangles.points_to_barycentric(mesh[corners][None], foot[None])[0]
            assert weights.min() > -1e-6
            exits[k] = corners[weights.argmax()]
        return within, np.where(within, deep, 0), exits

    labels = regions.labels()
    touch = distance < threshold
    depth = np.zeros((75, 75))
    counts = np.zeros((2, 75, 75), dtype=int)
    found = []
    for side, (points, mesh) in enumerate(((a, b), (b, a))):
        within, deep, exits = inside(points, mesh)
        found.append(within)
        for k in np.flatnonzero(within):
            start, end = labels[k], labels[exits[k]]
            if start >= 0 and end >= 0:
                i, j = (start, end) if side == 0 else (end, start)
                touch[i, j] = True
                counts[side, i, j] += 1
                depth[i, j] = max(depth[i, j], deep[k])
    return touch, distance, counts, depth, found


@pytest.mark.parametrize("offset", [(0.61, 0.02, 0.01), (0.43, 0.1, -0.2), (0.31, 0.02, 0.03)])
def test_it_is_what_brute_force_finds(offset):
    a, b = ball(), ball(offset)
    found = what_touches(a, b, REGION_MAP, faces=FACES, threshold=0.025)
    touch, distance, counts, depth, inside = brute_force(a, b, REGION_MAP, 0.025)
    pairs = found.contacts.pairs
    assert {tuple(p) for p in pairs.tolist()} == {tuple(p) for p in np.argwhere(touch).tolist()}
    i, j = pairs.T
    np.testing.assert_allclose(found.distances, distance[i, j], atol=1e-6)
    apart = np.linalg.norm(a[found.vertices[:, 0]] - b[found.vertices[:, 1]], axis=1)
    np.testing.assert_allclose(apart, found.distances, atol=1e-6)
    np.testing.assert_array_equal(found.inside.T, counts[:, i, j])
    np.testing.assert_allclose(found.depths, depth[i, j], atol=1e-6)
    near = cdist(a, b)
    for side, (mask, within) in enumerate(zip((found.touching_a, found.touching_b), inside, strict=True)):
        np.testing.assert_array_equal((found.inside_a, found.inside_b)[side], within)
        np.testing.assert_array_equal(mask, within | (near.min(1 - side) < 0.025))
    assert found.gap == pytest.approx(near.min(), abs=1e-6)


def test_parts_sum_up_the_regions_and_a_loss_takes_the_map():
    a, b = ball(), ball((0.45, 0.1, -0.2))
    found = what_touches(a, b, REGION_MAP, faces=FACES)
    groups = found.contacts.groups()
    assert len(groups) == len(found.parts) > 3
    for part, group in zip(found.parts, groups, strict=True):
        rows = [k for k, p in enumerate(found.contacts.pairs.tolist()) if _part_names(p) == part[:4]]
        assert part.pairs == len(rows) and part.distance == found.distances[rows].min()
        assert part.depth == found.depths[rows].max()
        assert (part.inside_a, part.inside_b) == tuple(found.inside[rows].sum(0))  # no region shares a vertex
        assert set(group.regions_a) == {found.contacts.pairs[k][0] for k in rows}
    assert [p.depth for p in found.parts] == sorted((p.depth for p in found.parts), reverse=True)
    loss = SoftContactLoss(REGION_MAP)(torch.tensor(a)[None], torch.tensor(b)[None], found.contacts)
    assert loss.item() == pytest.approx(sum(part.distance**2 for part in found.parts), rel=1e-4)


def _part_names(pair):
    names = []
    for region in (REGIONS[r] for r in pair):
        names += [region.part, "none" if region.side == "center" else region.side]
    return tuple(names)


def test_a_palm_deep_in_a_belly_touches_it():
    """Deeper than the threshold: distances alone find nothing."""
    a, b = ball(radius=0.05), ball(radius=0.3)
    assert len(what_touches(a, b, REGION_MAP)) == 0
    found = what_touches(a, b, REGION_MAP, faces=FACES)
    assert found.inside_a.all() and not found.inside_b.any() and found.touching_a.all()
    assert found.depth == pytest.approx(0.25, abs=0.01) and not found.touching_b.any()
    assert "vertices inside, up to" in str(found)
    assert "inside not looked at" in str(what_touches(a, b, REGION_MAP))


def test_two_topologies_dtypes_and_places_give_the_same():
    body = load_body()
    regions = RegionMap.load("free")
    one = body(transl=torch.zeros(1, 3)).vertices()[0]
    other = one + torch.tensor([1.3, 0.1, 0.02])
    found = what_touches(one, other, regions, faces=body.faces)
    far = torch.tensor([3.0, -1.0, 40.0], dtype=torch.float64)
    again = what_touches(one.double() + far, other.double() + far, regions, faces=body.faces)
    assert found.contacts == again.contacts and str(found) == str(again)
    order = torch.randperm(len(other), generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    lists = [place.numpy()[regions.vertices(r)] for r in range(75)]
    moved = RegionMap.from_lists(lists, len(other), topology="shuffled", provenance="test")
    mixed = what_touches(
        one, other[order], regions, moved, faces=body.faces, faces_b=place[body.faces.long()]
    )
    assert mixed.contacts == found.contacts and str(mixed) == str(found)
    turned = what_touches(other, one, regions, faces=body.faces)
    assert {tuple(p) for p in turned.contacts.transposed().pairs} == {tuple(p) for p in found.contacts.pairs}


def test_json_says_it_all_and_the_map_comes_back():
    a, b = ball(), ball((0.5, 0.1, -0.2))
    found = what_touches(a, b, REGION_MAP, faces=FACES)
    said = json.loads(json.dumps(found.to_json()))
    assert ContactMap.from_json(said["contact_map"]) == found.contacts
    assert [part["words"] for part in said["parts"]] == [str(part) for part in found.parts]
    assert said["inside_a"] == np.flatnonzero(found.inside_a).tolist()
    assert len(said["regions"]) == len(found) and said["depth"] == found.depth
    nothing = what_touches(a, ball((2.0, 0, 0)), REGION_MAP)
    assert nothing.to_json()["inside_a"] is None and len(nothing) == 0
    assert str(nothing).startswith("nothing touches: the bodies are 140.0 cm apart")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verts_a": np.full((len(BALL.vertices), 3), np.nan)}, "verts_a must have finite coordinates"),
        ({"verts_a": ball()[None].repeat(2, 0)}, "verts_a must be one mesh of shape"),
        ({"verts_a": ball()[:-1]}, "must have 642 vertices, got 641"),
        ({"threshold": 0.0}, "threshold must be a positive number"),
        ({"faces": FACES[:, ::-1].copy()}, "inside out"),
        ({"faces": FACES, "regions_b": REGION_MAP}, "must both be given or neither"),
    ],
)
def test_mistakes_are_named(change, said):
    arguments = {"verts_a": ball(), "verts_b": ball((0.4, 0, 0)), "regions": REGION_MAP, **change}
    with pytest.raises(ValueError, match=said):
        what_touches(**arguments)


def test_the_picture_is_warm_where_they_touch_and_purple_inside():
    a, b = ball(), ball((0.5, 0.0, 0.0))
    found = what_touches(a, b, REGION_MAP, faces=FACES)
    picture = touches_picture(found, a, b, FACES, height=160).astype(int)
    purple = (picture[..., 2] > picture[..., 1] + 30) & (picture[..., 0] > picture[..., 1] + 30)
    apart = what_touches(a, ball((2.0, 0, 0)), REGION_MAP, faces=FACES)
    cold = touches_picture(apart, a, ball((2.0, 0, 0)), FACES, height=160).astype(int)
    assert purple.sum() > 300
    assert not ((cold[..., 2] > cold[..., 1] + 30) & (cold[..., 0] > cold[..., 1] + 30)).any()
    with pytest.raises(ValueError, match="verts_b must be the mesh that was looked at"):
        touches_picture(found, a, b[:-1], FACES)

"""The derived map of the free body: whole, connected, mirrored, where the table says, and reproducible."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

import apu_losses
from apu_contacts.regions import PARTS, REGIONS, RegionMap, part_regions
from apu_contacts.regions.segment import SMPLX_JOINT_NAMES, segment_template
from apu_contacts.regions.segment.mesh import mirror_table, vertex_normals

ROOT = Path(__file__).resolve().parents[2]
ASSET = Path(apu_losses.__file__).parent / "bodies" / "data" / "free_body.npz"
FINGERS = {3, 33, 26, 40}


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_region_map", ROOT / "tools" / "build_region_map.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def asset() -> dict[str, Any]:
    data: dict[str, Any] = load_tool().read_asset(ASSET)
    return data


@pytest.fixture(scope="module")
def shipped() -> RegionMap:
    return RegionMap.load("free")


@pytest.fixture(scope="module")
def stature_fractions(asset: dict[str, Any]) -> np.ndarray:
    vertices = asset["vertices"]
    low = vertices[:, 1].min()
    return (vertices - [0, low, 0]) / (vertices[:, 1].max() - low)


def quiet(asset: dict[str, Any], **changes: Any) -> RegionMap:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return RegionMap.from_template(**{**asset, **changes}, topology="free")


def test_rebuilding_from_the_asset_gives_the_shipped_map(asset: dict[str, Any], shipped: RegionMap) -> None:
    assert shipped.vertex_count == len(asset["vertices"])
    rebuilt = load_tool().build(asset)
    assert rebuilt == shipped, "the asset has changed: run tools/build_region_map.py --pictures"


def test_it_says_that_it_is_approximate(asset: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="'mine' is approximate") as caught:
        regions = RegionMap.from_template(**asset, topology="mine")
    assert caught[0].filename == __file__
    assert regions.approximate and "approximate" in regions.provenance and regions.topology == "mine"


def test_every_vertex_has_one_region_or_two_mirrored_ones(asset: dict[str, Any], shipped: RegionMap) -> None:
    assert shipped.sizes.min() >= 15
    assert len(shipped.union(range(75))) == shipped.vertex_count
    twice = np.flatnonzero(np.bincount(shipped.vertex_ids, minlength=shipped.vertex_count) > 1)
    assert len(twice) < 0.02 * shipped.vertex_count
    assert np.abs(asset["vertices"][twice, 0]).max() < 0.002
    for vertex in twice:
        one, other = (each.id for each in REGIONS if vertex in shipped.vertices(each.id))
        assert REGIONS[one].mirror == other


def test_mirror_image_of_a_region_is_its_mirror_region(asset: dict[str, Any], shipped: RegionMap) -> None:
    mirror = mirror_table(asset["vertices"], 0.002)
    for each in REGIONS:
        assert set(mirror[shipped.vertices(each.id)]) == set(shipped.vertices(each.mirror).tolist())
    with np.load(ASSET, allow_pickle=False) as archive:
        assert np.array_equal(mirror, archive["mirror_vertex"])
    # The same by distance alone, without the table that the segmentation itself uses.
    vertices = asset["vertices"]
    for each in REGIONS:
        images = vertices[shipped.vertices(each.id)] * [-1, 1, 1]
        assert cKDTree(vertices[shipped.vertices(each.mirror)]).query(images)[0].max() < 0.002


def test_regions_hang_together(asset: dict[str, Any], shipped: RegionMap) -> None:
    faces, count = asset["faces"], shipped.vertex_count
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count)).tocsr()
    for each in REGIONS:
        members = shipped.vertices(each.id)
        pieces, _ = connected_components(graph[members][:, members], directed=False)
        assert pieces == 1 or (each.id in FINGERS and pieces <= 5), (each.name, pieces)


def test_left_is_left(asset: dict[str, Any], shipped: RegionMap) -> None:
    for each in REGIONS:
        x = asset["vertices"][shipped.vertices(each.id), 0]
        assert {"left": x.min() > -0.002, "right": x.max() < 0.002, "center": abs(x.mean()) < 0.005}[
            each.side
        ]


# The parts of each limb, and by how much of the stature a centre may be off.
LIMBS: dict[str, tuple[tuple[str, ...], float]] = {
    "head": (("head", "face", "neck"), 0.03),
    "trunk": (("chest", "stomach", "back", "waist", "shoulder"), 0.035),
    "arm": (("arm",), 0.025),
    "hand": (("hand",), 0.02),
    "leg": (("leg",), 0.045),
    "foot": (("foot",), 0.01),
}


@pytest.mark.parametrize("limb", LIMBS)
def test_centres_lie_where_the_table_says(
    limb: str, asset: dict[str, Any], shipped: RegionMap, stature_fractions: np.ndarray
) -> None:
    """Centres after moving each limb as a whole, as bodies differ in stance.

    The table's centres were taken on another body (SMPL-X's mean), from images and annotated vertices.
    """
    parts, tolerance = LIMBS[limb]
    ids = sorted({rid for part in parts for rid in part_regions(part, "left")})
    found = np.array([stature_fractions[shipped.vertices(rid)].mean(0) for rid in ids])
    expected = np.array([REGIONS[rid].centroid for rid in ids])
    stance = np.median(found - expected, axis=0)
    assert np.abs(stance).max() < 0.07
    deviation = np.linalg.norm(found - expected - stance, axis=1)
    assert deviation.max() < tolerance, {
        REGIONS[i].name: round(float(d), 3) for i, d in zip(ids, deviation, strict=True)
    }


# Upper or inner region, lower or outer region, where they part: fractions of stature as measured on SMPL-X.
HEIGHTS = [
    (59, 61, 0.782), (61, 0, 0.70), (0, 74, 0.618), (74, 50, 0.555), (45, 20, 0.356), (20, 64, 0.298),
    (64, 60, 0.229), (60, 25, 0.130), (25, 67, 0.059), (70, 35, 0.72), (35, 41, 0.68), (41, 48, 0.618),
    (48, 71, 0.556), (71, 15, 0.470), (15, 53, 0.376), (53, 30, 0.298), (30, 21, 0.229), (21, 56, 0.130),
    (56, 67, 0.059),
]  # fmt: skip
DISTANCES = [
    (73, 49, 0.118), (2, 57, 0.118), (49, 11, 0.212), (57, 34, 0.212), (11, 69, 0.291), (34, 5, 0.291),
    (69, 17, 0.389), (5, 72, 0.389), (17, 33, 0.447), (72, 3, 0.447),
]  # fmt: skip


@pytest.mark.parametrize("axis", [0, 1])
def test_borders_lie_where_they_were_measured(
    axis: int, asset: dict[str, Any], shipped: RegionMap, stature_fractions: np.ndarray
) -> None:
    faces, labels = asset["faces"], shipped.labels()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    for one, other, expected in HEIGHTS if axis == 1 else DISTANCES:
        across = (labels[edges] == [one, other]).all(1) | (labels[edges] == [other, one]).all(1)
        assert across.any(), (one, other)
        found = stature_fractions[edges[across], axis].mean()
        assert abs(found - expected) < 0.03, (REGIONS[one].name, REGIONS[other].name, found, expected)


def test_regions_face_where_the_table_says(asset: dict[str, Any], shipped: RegionMap) -> None:
    normals = vertex_normals(asset["vertices"], asset["faces"])
    for each in REGIONS:
        mean = normals[shipped.vertices(each.id)].mean(0)
        cosine = mean @ np.array(each.normal) / np.linalg.norm(mean) / np.linalg.norm(each.normal)
        assert cosine > np.cos(np.radians(40)), each.name


def test_joints_lie_inside_their_parts(asset: dict[str, Any], shipped: RegionMap) -> None:
    vertices, joints = asset["vertices"], dict(zip(SMPLX_JOINT_NAMES, asset["joints"], strict=True))
    for joint, part in (("elbow", "elbow"), ("knee", "knee"), ("ankle", "foot"), ("middle1", "hand")):
        ids = part_regions(part, "left")
        nearest = vertices[np.argsort(np.linalg.norm(vertices - joints[f"left_{joint}"], axis=1))[:10]]
        own = cKDTree(vertices[shipped.union(ids)]).query(nearest)[0] < 1e-9
        assert own.all(), joint


def test_parts_do_not_reach_across_the_body(shipped: RegionMap, stature_fractions: np.ndarray) -> None:
    for part in PARTS:
        x = stature_fractions[shipped.union(part_regions(part, "left")), 0]
        assert np.mean(x > -0.002) > (0.99 if part != "waist" else 0.75)


@pytest.mark.parametrize(
    "move",
    [
        lambda points: 100.0 * points,
        lambda points: points + np.array([0.4, -2.0, 3.0]),
        lambda points: points * [1.0, 1.15, 1.0],
    ],
    ids=["centimetres", "moved", "stretched"],
)
def test_unit_and_place_do_not_matter(
    asset: dict[str, Any], shipped: RegionMap, move: Callable[[np.ndarray], np.ndarray]
) -> None:
    moved = quiet(asset, vertices=move(asset["vertices"]), joints=move(asset["joints"]))
    assert np.mean(moved.labels() == shipped.labels()) > 0.98


def test_order_of_joints_does_not_matter(asset: dict[str, Any], shipped: RegionMap) -> None:
    order = np.random.default_rng(0).permutation(55)
    names = [SMPLX_JOINT_NAMES[i] for i in order]
    other = quiet(asset, weights=asset["weights"][:, order], joints=asset["joints"][order], joint_names=names)
    assert other == shipped


def test_asymmetric_mesh_is_nearly_mirrored(asset: dict[str, Any], shipped: RegionMap) -> None:
    """Without mirror images of the vertices the rules alone keep left and right alike."""
    noise = np.random.default_rng(0).normal(0, 0.002, asset["vertices"].shape)
    rough = quiet(asset, vertices=asset["vertices"] + noise)
    mirror = mirror_table(asset["vertices"], 0.002)
    labels = rough.labels()
    opposite = np.array([each.mirror for each in REGIONS])
    assert np.mean(opposite[labels][mirror] == labels) > 0.93
    assert np.mean(labels == shipped.labels()) > 0.93


def test_eyeballs_of_their_own_are_face(asset: dict[str, Any], shipped: RegionMap) -> None:
    """SMPL-X's eyes are separate pieces of the mesh, which no border reaches."""
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=float)
    sides = [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
    changed = dict(asset)
    for joint in ("left_eye_smplhf", "right_eye_smplhf"):
        index, count = SMPLX_JOINT_NAMES.index(joint), len(changed["vertices"])
        ball = asset["joints"][index] + 0.012 * corners
        changed["vertices"] = np.concatenate([changed["vertices"], ball])
        changed["faces"] = np.concatenate([changed["faces"], np.array(sides) + count])
        changed["weights"] = np.concatenate([changed["weights"], np.eye(55)[[index] * 6]])
    regions = quiet(changed)
    assert regions.labels()[-12:].tolist() == [66] * 6 + [51] * 6
    assert np.array_equal(regions.labels()[:-12], shipped.labels())


def test_infant(asset: dict[str, Any], shipped: RegionMap) -> None:
    with np.load(ASSET, allow_pickle=False) as archive:
        infant = archive["kid_template"].astype(np.float64)
        joints = archive["J_regressor"].astype(np.float64) @ infant
    regions = quiet(asset, vertices=infant, joints=joints)
    assert regions.sizes.min() >= 10
    assert np.mean(regions.labels() == shipped.labels()) > 0.88


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(vertices=a["vertices"][:, :2]), r"vertices must have shape \(V, 3\)"),
        (lambda a: a.update(faces=a["faces"][:, :2]), r"faces must have shape \(F, 3\)"),
        (lambda a: a.update(faces=a["faces"] + 5), "faces must hold ids 0 to"),
        (lambda a: a.update(weights=a["weights"][:, :24]), r"weights must have shape \(V, J\)"),
        (lambda a: a.update(joints=a["joints"] * np.nan), "joints must be finite"),
        (lambda a: a.update(joint_names=SMPLX_JOINT_NAMES[:50]), "55 names"),
        (lambda a: a.update(joint_names=["a", *SMPLX_JOINT_NAMES[1:]]), r"missing \['pelvis'\]"),
        (lambda a: turn(a, [[-1, 0, 0], [0, 1, 0], [0, 0, -1]]), "left side at"),
        (lambda a: turn(a, [[1, 0, 0], [0, 0, 1], [0, -1, 0]]), "legs do not point down"),
        (lambda a: turn(a, [[1, 0, 0], [0, -1, 0], [0, 0, 1]]), "legs do not point down"),
        (lambda a: turn(a, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]), "arms do not point sideways"),
        (lambda a: turn(a, [[1, 0, 0], [0, 1, 0], [0, 0, -1]]), "must face"),
    ],
)
def test_other_frames_and_shapes_are_refused(
    asset: dict[str, Any], change: Callable[[dict[str, Any]], object], message: str
) -> None:
    changed = dict(asset)
    change(changed)
    with pytest.raises(ValueError, match=message):
        segment_template(**changed)


def test_body_without_hands_is_refused_by_region_name(asset: dict[str, Any]) -> None:
    weights = asset["weights"].copy()
    hand = [
        i for i, name in enumerate(SMPLX_JOINT_NAMES) if name[-1].isdigit() and not name.startswith("spine")
    ]
    for i in hand:
        weights[:, SMPLX_JOINT_NAMES.index(SMPLX_JOINT_NAMES[i].split("_")[0] + "_wrist")] += weights[:, i]
        weights[:, i] = 0
    with pytest.raises(ValueError, match=r"no vertex of the template falls into .*left fingers"):
        segment_template(**{**asset, "weights": weights})


def turn(asset: dict[str, Any], rotation: list[list[int]]) -> None:
    for name in ("vertices", "joints"):
        asset[name] = asset[name] @ np.array(rotation).T

"""The free body asset: a closed symmetric mesh, joints and landmarks where anatomy puts them, honest shape
units.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

Asset = dict[str, np.ndarray]
JOINTS = [
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "jaw",
    "left_eye",
    "right_eye",
]
FINGERS = ("index", "middle", "pinky", "ring", "thumb")
TIP = {"thumb": 4, "index": 8, "middle": 12, "ring": 16, "pinky": 20}
FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def path() -> Path:
    return Path(str(resources.files("apu_losses.bodies") / "data" / "free_body.npz"))


@pytest.fixture(scope="module")
def asset(path: Path) -> Asset:
    with np.load(path) as archive:  # no pickled objects: allow_pickle stays off
        return {k: archive[k] for k in archive.files}


@pytest.fixture(scope="module")
def joints(asset: Asset) -> dict[str, np.ndarray]:
    """Joints of the T-posed template by name."""
    at = asset["J_regressor"].astype(float) @ asset["v_template"]
    names = JOINTS + [f"{s}_{f}{i}" for s in ("left", "right") for f in FINGERS for i in (1, 2, 3)]
    return dict(zip(names, at, strict=True))


def landmarks(asset: Asset, vertices: np.ndarray) -> dict[str, np.ndarray]:
    corners = vertices[asset["f"].astype(int)[asset["landmark_faces"]]]
    points = np.einsum("lk,lkd->ld", asset["landmark_bary"], corners)
    return dict(zip(asset["landmark_names"].tolist(), points, strict=True))


def stature(vertices: np.ndarray) -> float:
    return float(np.ptp(vertices[:, 1]))


def test_the_file_is_small_and_every_number_finite(path: Path, asset: Asset) -> None:
    assert path.stat().st_size <= 3_000_000
    for name, values in asset.items():
        assert values.dtype != object, name
        if values.dtype.kind == "f":
            assert np.isfinite(values).all(), name


def test_the_bytes_carry_no_time(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_it_has_the_keys_and_shapes_of_smplx(asset: Asset) -> None:
    v = len(asset["v_template"])
    assert asset["v_template"].shape == (v, 3) and asset["kid_template"].shape == (v, 3)
    assert asset["shapedirs"].shape == (v, 3, 20)
    assert asset["posedirs"].shape == (v, 3, 486)
    assert asset["weights"].shape == (v, 55) and asset["J_regressor"].shape == (55, v)
    assert asset["kintree_table"].shape == (2, 55)
    assert asset["lmk_faces_idx"].shape == (51,) and asset["lmk_bary_coords"].shape == (51, 3)
    assert asset["dynamic_lmk_faces_idx"].shape == (79, 17)
    assert asset["dynamic_lmk_bary_coords"].shape == (79, 17, 3)
    for side in "lr":
        assert asset[f"hands_mean{side}"].shape == (45,)
        basis = asset[f"hands_components{side}"].astype(float)
        np.testing.assert_allclose(basis @ basis.T, np.eye(45), atol=1e-5)
    assert v > 9929  # the highest vertex that the smplx package asks for by number


@pytest.mark.parametrize("age", [0.0, 0.5, 1.0])
def test_the_mesh_is_closed_of_genus_zero_and_faces_out(asset: Asset, age: float) -> None:
    trimesh = pytest.importorskip("trimesh")
    vertices = asset["v_template"] * (1 - age) + asset["kid_template"] * age
    mesh = trimesh.Trimesh(vertices, asset["f"].astype(int), process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.euler_number == 2
    assert mesh.body_count == 1
    assert mesh.volume > 0.003 * mesh.extents[1] ** 3
    assert np.unique(asset["f"]).size == len(vertices)


def test_left_and_right_are_mirror_images(asset: Asset) -> None:
    mirror, joint = asset["mirror_vertex"], asset["mirror_joint"]
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    for name in ("v_template", "kid_template"):
        assert np.abs(asset[name] - asset[name][mirror] * FLIP).max() < 1e-4, name
    directions = asset["shapedirs"][:, :, :10]
    assert np.abs(directions - directions[mirror] * FLIP[:, None]).max() < 1e-4
    assert np.abs(asset["weights"] - asset["weights"][mirror][:, joint]).max() < 2e-3
    assert np.abs(asset["J_regressor"] - asset["J_regressor"][joint][:, mirror]).max() < 1e-4
    corners = {frozenset(f) for f in asset["f"].tolist()}
    assert corners == {frozenset(f) for f in mirror[asset["f"].astype(int)].tolist()}


def test_pose_correctives_mirror(asset: Asset) -> None:
    mirror, joint = asset["mirror_vertex"], asset["mirror_joint"][1:] - 1
    directions = asset["posedirs"].reshape(-1, 3, 54, 3, 3)
    used = np.flatnonzero(np.abs(directions).max((0, 1, 3, 4)))
    assert len(used) >= 10  # both hips, knees, shoulders, elbows, and more
    for j in used:
        image = directions[mirror][:, :, joint[j]] * np.einsum("d,a,b->dab", FLIP, FLIP, FLIP)
        assert np.abs(directions[:, :, j] - image).max() < 1e-4


def test_rows_sum_to_one(asset: Asset) -> None:
    assert (asset["weights"] >= 0).all()
    np.testing.assert_allclose(asset["weights"].sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(asset["J_regressor"].sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(asset["landmark_bary"].sum(1), 1, atol=1e-6)
    assert (asset["landmark_bary"] >= 0).all()
    np.testing.assert_allclose(asset["dynamic_lmk_bary_coords"].sum(2), 1, atol=1e-6)


@pytest.mark.parametrize("age", [0.0, 0.5, 1.0])
def test_joints_lie_inside_the_body(asset: Asset, age: float) -> None:
    igl = pytest.importorskip("igl")
    vertices = asset["v_template"].astype(float) * (1 - age) + asset["kid_template"] * age
    at = asset["J_regressor"].astype(float) @ vertices
    winding = igl.winding_number(vertices, asset["f"].astype(np.int64), at)
    # MakeHuman puts the eye joints at the centre of the ball, behind the closed lids: inside as well.
    assert (np.asarray(winding).ravel() > 0.5).all()


def test_the_t_pose(asset: Asset, joints: dict[str, np.ndarray]) -> None:
    """y up, facing +z, left is +x, arms level and straight, palms down with the thumb in front."""
    for side, sign in (("left", 1), ("right", -1)):
        shoulder, elbow, wrist = (joints[f"{side}_{n}"] for n in ("shoulder", "elbow", "wrist"))
        assert sign * shoulder[0] > 0.1
        for a, b in ((shoulder, elbow), (elbow, wrist)):
            along = (b - a) / np.linalg.norm(b - a)
            assert sign * along[0] > 0.9995
        thumb, pinky = joints[f"{side}_thumb2"], joints[f"{side}_pinky2"]
        assert thumb[2] > pinky[2] + 0.04
        assert joints[f"{side}_knee"][1] < joints[f"{side}_hip"][1] - 0.3
        assert joints[f"{side}_foot"][2] > joints[f"{side}_ankle"][2] + 0.08
    assert joints["head"][1] > joints["neck"][1] > joints["spine3"][1] > joints["pelvis"][1]


def test_the_template_is_as_tall_as_documented(asset: Asset) -> None:
    assert stature(asset["v_template"]) == pytest.approx(1.70, abs=0.002)
    assert stature(asset["kid_template"]) == pytest.approx(0.65, abs=0.01)
    assert np.abs(asset["kid_template"].mean(0)).max() < 1e-5  # smplx takes the mean off


def test_the_first_direction_is_ten_centimetres_of_the_same_person(asset: Asset) -> None:
    template, grow = asset["v_template"].astype(float), asset["shapedirs"][:, :, 0].astype(float)
    assert stature(template + grow) - stature(template) == pytest.approx(0.10, abs=0.001)
    pelvis = asset["J_regressor"][0].astype(float) @ template
    scaled = (template - pelvis) * (0.10 / 1.70)
    assert np.abs(grow - scaled).max() < 1e-3


def test_the_other_directions_leave_stature_alone(asset: Asset) -> None:
    template = asset["v_template"].astype(float)
    for k in range(1, 10):
        for sign in (-1.0, 1.0):
            changed = template + sign * asset["shapedirs"][:, :, k]
            assert abs(stature(changed) - stature(template)) < 0.002, k
            assert np.linalg.norm(asset["shapedirs"][:, :, k], axis=1).mean() > 5e-4, k


def test_age_shrinks_steadily_and_makes_the_head_larger(asset: Asset) -> None:
    template, child = asset["v_template"].astype(float), asset["kid_template"].astype(float)
    heights, heads = [], []
    for age in np.linspace(0, 1, 11):
        vertices = template + age * (child - template)
        at = asset["J_regressor"].astype(float) @ vertices
        heights.append(stature(vertices))
        heads.append((vertices[:, 1].max() - at[JOINTS.index("neck"), 1]) / heights[-1])
    assert (np.diff(heights) < -0.05).all()
    assert (np.diff(heads) > 0).all()
    assert heights[4] == pytest.approx(1.28, abs=0.02)  # about eight years
    assert heads[-1] > 1.4 * heads[0]


def test_the_pelvis_stays_for_every_shape_and_age(asset: Asset) -> None:
    row = asset["J_regressor"][0].astype(float)
    start = row @ asset["v_template"]
    assert np.linalg.norm(row @ asset["kid_template"] - start) < 0.003
    moves = np.einsum("v,vdk->kd", row, asset["shapedirs"][:, :, :10])
    assert np.linalg.norm(moves, axis=1).max() < 0.003


@pytest.mark.parametrize("age", [0.0, 1.0])
def test_landmarks_of_the_head(asset: Asset, age: float) -> None:
    p = landmarks(asset, asset["v_template"] * (1 - age) + asset["kid_template"] * age)
    assert p["nose"][2] > p["left_eye"][2] > p["left_ear"][2]
    for side, sign in (("left", 1), ("right", -1)):
        assert sign * p[f"{side}_ear"][0] > sign * p[f"{side}_eye"][0] > 0.01
        assert p[f"{side}_eye"][1] > p["nose"][1]
    face = np.array([p[f"face_{i}"] for i in range(68)])
    assert (np.diff(face[:9, 1]) < 0).all() and (
        np.diff(face[8:17, 1]) > 0
    ).all()  # the jaw, down and up again
    assert (np.diff(face[:17, 0]) > -1e-4).sum() >= 12 and face[0, 0] < -0.03 < 0.03 < face[16, 0]
    assert (np.diff(face[17:27, 0]) > 0).all()  # brows from the right side to the left
    assert (np.diff(face[27:31, 1]) < 0).all()  # down the bridge
    assert face[30, 2] == face[:, 2].max()  # the tip of the nose
    assert (np.diff(face[31:36, 0]) > 0).all()
    for corner, other, upper, lower in ((36, 39, (37, 38), (40, 41)), (42, 45, (43, 44), (46, 47))):
        assert face[corner, 0] < face[other, 0]
        assert face[list(upper), 1].min() > face[list(lower), 1].max()
    assert face[48, 0] < face[60, 0] < face[62, 0] < face[64, 0] < face[54, 0]
    column = face[[33, 51, 62, 66, 57, 8], 1]  # nose, upper lip, opening, lower lip, chin
    assert (np.diff(column) < 1e-6).all()
    assert face[17:27, 1].min() > face[36:48, 1].max() - 0.002  # brows above eyes


def test_face_points_mirror(asset: Asset) -> None:
    p = landmarks(asset, asset["v_template"])
    pairs = [
        (0, 16),
        (4, 12),
        (17, 26),
        (21, 22),
        (31, 35),
        (36, 45),
        (39, 42),
        (41, 46),
        (48, 54),
        (50, 52),
        (60, 64),
    ]
    for a, b in pairs:
        np.testing.assert_allclose(p[f"face_{a}"], p[f"face_{b}"] * FLIP, atol=3e-4)


def test_landmarks_of_hands_and_feet(asset: Asset, joints: dict[str, np.ndarray]) -> None:
    p = landmarks(asset, asset["v_template"])
    sole = asset["v_template"][:, 1].min()
    for side, sign in (("left", 1), ("right", -1)):
        wrist = joints[f"{side}_wrist"]
        for finger, number in TIP.items():
            tip, end, knuckle = (
                p[f"{side}_hand_{number}"],
                joints[f"{side}_{finger}3"],
                joints[f"{side}_{finger}1"],
            )
            assert (
                np.linalg.norm(tip - wrist)
                > np.linalg.norm(end - wrist) + 0.01
                > np.linalg.norm(knuckle - wrist)
            )
            assert 0.01 < np.linalg.norm(tip - end) < 0.05
        big, small, heel = (p[f"{side}_{n}"] for n in ("big_toe", "small_toe", "heel"))
        assert big[2] > joints[f"{side}_foot"][2] > joints[f"{side}_ankle"][2] > heel[2]
        assert sign * small[0] > sign * big[0]
        assert max(big[1], small[1], heel[1]) < sole + 0.06


def test_smplx_face_points_are_the_landmarks(asset: Asset) -> None:
    """The 51 static points are iBUG 17..67; the contour at rest is the jaw line."""
    rows = {n: i for i, n in enumerate(asset["landmark_names"].tolist())}
    inner = [rows[f"face_{i}"] for i in range(17, 68)]
    np.testing.assert_array_equal(asset["lmk_faces_idx"], asset["landmark_faces"][inner])
    corners = asset["v_template"][asset["f"].astype(int)[asset["dynamic_lmk_faces_idx"]]]
    contour = np.einsum("rck,rckd->rcd", asset["dynamic_lmk_bary_coords"], corners)
    p = landmarks(asset, asset["v_template"])
    jaw = np.array([p[f"face_{i}"] for i in range(17)])
    assert np.abs(contour[0, 5:12] - jaw[5:12]).max() < 2e-3
    for row, yaw in ((39, -39.0), (78, 39.0)):
        angle = np.radians(yaw)
        across = np.array([np.cos(angle), 0, np.sin(angle)])
        far = slice(11, 17) if yaw > 0 else slice(0, 6)
        # The far side of a turned head bulges past the jaw line.
        gain = (contour[row, far] - jaw[far]) @ across * (1 if yaw > 0 else -1)
        assert (gain > -2e-3).all() and gain.max() > 0.01


def test_smplx_reads_it(path: Path, asset: Asset, tmp_path: Path) -> None:
    smplx = pytest.importorskip("smplx")
    torch = pytest.importorskip("torch")
    folder = tmp_path / "smplx"
    folder.mkdir()
    shutil.copy(path, folder / "SMPLX_NEUTRAL.npz")
    np.save(tmp_path / "kid.npy", asset["kid_template"])
    with contextlib.redirect_stdout(io.StringIO()):
        body = smplx.create(str(tmp_path), "smplx", use_face_contour=True, flat_hand_mean=True)
        kid = smplx.create(
            str(tmp_path),
            "smplx",
            age="kid",
            kid_template_path=str(tmp_path / "kid.npy"),
            flat_hand_mean=True,
        )
    out = body()
    vertices = out.vertices[0].detach().numpy()
    np.testing.assert_allclose(vertices, asset["v_template"], atol=1e-5)
    extra = out.joints[0, 55:76].detach().numpy()  # smplx's own landmark vertices, nose first
    p = landmarks(asset, vertices)
    for i, name in enumerate(("nose", "right_eye", "left_eye", "right_ear", "left_ear")):
        assert np.linalg.norm(extra[i] - p[name]) < 0.008, name
    face = out.joints[0, 76:127].detach().numpy()
    np.testing.assert_allclose(face[30 - 17], p["face_30"], atol=1e-4)
    child = kid(betas=torch.eye(11)[10:])
    np.testing.assert_allclose(child.vertices[0].detach().numpy(), asset["kid_template"], atol=1e-5)


def test_a_bent_joint_keeps_its_volume(asset: Asset) -> None:
    """Knees at 120 degrees: the correctives bring back a third of what plain blend skinning loses, and
    more.
    """
    torch = pytest.importorskip("torch")
    smplx_lbs = pytest.importorskip("smplx.lbs").lbs
    pose = torch.zeros(1, 55, 3)
    pose[0, [4, 5], 0] = np.radians(120)
    pose[0, [1, 2], 0] = -np.radians(60)

    def volume(directions: np.ndarray, turned: torch.Tensor) -> float:
        tensors = {
            k: torch.as_tensor(asset[k].astype(np.float32)) for k in ("v_template", "J_regressor", "weights")
        }
        posed, _ = smplx_lbs(
            torch.zeros(1, 10),
            turned.reshape(1, -1),
            tensors["v_template"][None],
            torch.as_tensor(asset["shapedirs"][:, :, :10]),
            torch.as_tensor(directions.reshape(-1, 486).T.copy()),  # (486, 3 V), as smplx keeps them
            tensors["J_regressor"],
            torch.as_tensor(np.concatenate([[-1], asset["kintree_table"][0, 1:]])).long(),
            tensors["weights"],
        )
        p = posed[0].double().numpy()[asset["f"].astype(int)]
        return float(np.einsum("fi,fi->f", p[:, 0], np.cross(p[:, 1], p[:, 2])).sum() / 6)

    whole = volume(asset["posedirs"] * 0, torch.zeros(1, 55, 3))
    plain = volume(asset["posedirs"] * 0, pose)
    kept = volume(asset["posedirs"], pose)
    assert plain < 0.965 * whole
    assert kept > plain + 0.35 * (whole - plain)


def test_annotated_limb_keypoints_lie_beside_their_joints(
    asset: Asset, joints: dict[str, np.ndarray]
) -> None:
    names, rows = asset["keypoint_names"].tolist(), asset["keypoint_joint_weights"].astype(float)
    assert len(names) == 12
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
    at = rows @ np.array(list(joints.values()))
    for i, name in enumerate(names):
        assert 0.002 < np.linalg.norm(at[i] - joints[name]) < 0.04, name
    for i, name in enumerate(names[:6]):
        twin = rows[names.index(name.replace("left", "right"))]
        np.testing.assert_allclose(twin[asset["mirror_joint"]], rows[i], atol=1e-6)
    assert at[names.index("left_shoulder"), 1] > joints["left_shoulder"][1] + 0.01

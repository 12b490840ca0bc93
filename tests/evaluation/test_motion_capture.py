"""Every protocol on two people whose motion was captured, where the captured file is there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import dataset_layouts as layouts
import numpy as np
import plain_metrics as plain
import pytest
import torch

from apu_contacts import RegionMap
from apu_losses.evaluation import (
    LIMBS,
    LSP14,
    Choice,
    ContactRule,
    Resampling,
    evaluate_fits,
    handedness,
    ntu_frames,
)

FILE = Path(__file__).resolve().parents[3] / "shared" / "mocap" / "two_person_mocap.npz"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="shared/mocap beside the checkout is absent")

# the Acclaim bone that ends at the joint
ENDS = {"shoulder": "clavicle", "elbow": "humerus", "wrist": "radius", "hip": "hipjoint", "knee": "femur"}
ENDS |= {"ankle": "tibia", "foot": "foot"}


@pytest.fixture(scope="module")
def captured():
    """``(N, 2, 3)`` by our names, metres, y up; moments without a missing joint."""
    with np.load(FILE) as file:
        joints, names = file["joints"].astype(float), [str(name) for name in file["joint_names"]]
    points = {
        f"{side}_{name}": joints[:, :, names.index(side[0] + bone)]
        for name, bone in ENDS.items()
        for side in ("left", "right")
    }
    points["head"] = joints[:, :, names.index("head")]
    points["neck"] = joints[:, :, names.index("thorax")]
    points["pelvis"] = (points["left_hip"] + points["right_hip"]) / 2
    good = np.all([np.isfinite(value).all((1, 2)) for value in points.values()], axis=0)
    return {name: value[good] for name, value in points.items()}


def test_real_people_are_no_mirror_images(captured):
    count = len(captured["head"])
    votes = [handedness({name: value[i] for name, value in captured.items()}) for i in range(count)]
    assert count > 500
    assert np.mean(np.array(votes) > 0) > 0.97  # some stand on tiptoe, or bend double


def recording(captured, moment: int) -> np.ndarray:
    """``(2, 25, 3)`` in a camera's axes; Kinect's other joints lie at the nearest that was captured."""
    stand_in = {"spine2": "pelvis", "left_middle1": "left_wrist", "right_middle1": "right_wrist"}
    stand_in |= {f"{s}_{f}": f"{s}_wrist" for s in ("left", "right") for f in ("middle3", "thumb3")}
    names = [stand_in.get(name, name) for name in layouts.KINECT]
    return layouts.upright_camera(np.stack([captured[name][moment] for name in names], 1), 0.2 * moment)


def near_moments(captured, count: int) -> list[int]:
    """The first moments, five apart, in which some joint is within 15 cm of the other person's."""
    points = np.stack(list(captured.values()), 2)
    gaps = np.linalg.norm(points[:, 0, :, None] - points[:, 1, None], axis=-1).min((1, 2))
    return np.flatnonzero(gaps < 0.15)[::5][:count].tolist()


@pytest.mark.parametrize("mirror", [False, True])
def test_estimates_of_known_error_come_out_with_that_error(tmp_path, captured, mirror):
    folder = tmp_path / "data" / "nturgb+d_skeletons"
    folder.mkdir(parents=True)
    for moment in near_moments(captured, 12):
        text = layouts.skeleton_text([recording(captured, moment)], mirror=mirror)
        (folder / f"S001C001P003R{moment + 1:03d}A112.skeleton").write_text(text)
    truth = ntu_frames(tmp_path / "data")
    assert len(truth.frames) == 12
    rng = np.random.default_rng(0)
    expected = {}
    for frame in truth.frames:
        points = recording(captured, int(frame.cluster[13:16]) - 1)
        true = np.stack([points[:, layouts.KINECT.index(name)] for name in LIMBS], 1)
        names = list(LIMBS)
        if mirror:
            true = true * [-1, 1, 1]
            names = [n.replace("left", "?").replace("right", "left").replace("?", "right") for n in names]
        found = true + rng.normal(0, 0.06, true.shape)
        layouts.write_fit(tmp_path / "fits", frame.key, joints=found, joint_names=np.array(names))
        orders = [plain.joint_error(each, true, "pa") for each in (found, found[::-1])]
        expected[frame.key] = min(orders)
    done = evaluate_fits("ntu", tmp_path / "data", {"ours": tmp_path / "fits"}, resampling=Resampling(20))
    found = {record.key: record.metrics["joint_pa"] for record in done.methods[0].records}
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.fixture(scope="module")
def dancers():
    """Three moments of people who touch, as bodies: what `dataset_layouts` writes data sets of."""
    body = layouts.load_body()
    with np.load(FILE) as file:
        chosen = np.flatnonzero(file["passed"])[[3, 200, 480]]
        betas, columns, offsets = (
            file["betas"][chosen],
            file["cleaned"][chosen],
            file["contact_region_offsets"],
        )
        pairs = [file["contact_region_pairs"][offsets[i] : offsets[i + 1]] for i in chosen]
    found = []
    for shape, values, touching in zip(betas, columns, pairs, strict=True):
        params = {"betas": shape, "global_orient": values[:, :3], "body_pose": values[:, 3:66]}
        params["transl"] = values[:, 66:]
        with torch.no_grad():
            posed = body.pose({name: torch.as_tensor(v, dtype=body.dtype) for name, v in params.items()})
        found.append(
            SimpleNamespace(
                interaction="dance",
                vertices=posed.vertices().numpy(),
                joints=posed.joints.numpy(),
                contact_regions=tuple((int(a), int(b)) for a, b in touching),
            )
        )
    return found


def test_the_rule_keeps_captured_contact_and_leaves_people_who_are_apart():
    """20 cm, where the answer is known: the gap between the bodies that were laid on the capture."""
    with np.load(FILE) as file:
        joints, gap = file["joints"].astype(float), file["raw_gap"]
    nearest = np.nanmin(np.linalg.norm(joints[:, 0, :, None] - joints[:, 1, None], axis=-1), (1, 2))
    near = nearest <= ContactRule().max_distance
    assert (gap < 0.01).sum() > 400
    assert near[gap < 0.01].mean() > 0.99
    assert (nearest[gap < 0.01] <= 0.1).mean() < 0.8  # a smaller one would lose contacts
    assert (gap > 0.1).sum() > 10
    assert not near[gap > 0.1].any()


def seen_by_hi4d(root: Path, number: int, points: np.ndarray) -> np.ndarray:
    pose = layouts.hi4d_camera(root, number)
    return points @ pose[:, :3].T + pose[:, 3]


def test_hi4d_contacts_of_true_meshes(tmp_path, dancers, files):
    """A perfect fit has every contact; the second person moved 30 cm costs 150 mm and some contacts."""
    keys = layouts.write_hi4d(tmp_path / "data", dancers[:2], frames_each=1)
    matrix, regions = layouts.transfer_matrix(), RegionMap.load("free")
    lists = [np.asarray(regions.vertices(i)) for i in range(75)]
    expected = {}
    for number, (key, scene) in enumerate(zip(keys, dancers, strict=False)):
        seen = seen_by_hi4d(tmp_path / "data", number, scene.vertices[:, layouts.smpl_subset()].astype(float))
        true = np.stack([matrix @ person for person in seen])
        moved = true + np.array([[[0, 0, 0]], [[0.3, 0, 0]]])
        layouts.write_fit(tmp_path / "perfect", key, vertices=true)
        layouts.write_fit(tmp_path / "moved", key, vertices=moved)
        touching = plain.touching(true, lists, 0.013)
        distances = plain.contact_distances(moved, touching, lists)
        expected[key] = (
            1000 * np.mean(distances),
            plain.share_within(distances, 0.1),
            plain.scores(moved, touching, lists, 0.013, none=(np.nan, 0.0, 0.0)),
        )
    done = evaluate_fits(
        "hi4d",
        tmp_path / "data",
        {"perfect": tmp_path / "perfect", "moved": tmp_path / "moved"},
        choice=Choice(layouts.load_body(), transfer=files / "transfer.npz"),
        regions=regions,
        regressor=files / "J14.npy",
        order="given",
        penetration=False,
        resampling=Resampling(20),
    )
    perfect, moved = done.methods
    for record in perfect.records:
        assert record.metrics["joint_none"] == pytest.approx(0, abs=1e-3)
        assert (record.metrics["precision"], record.metrics["recall"], record.metrics["f1"]) == (1, 1, 1)
        assert record.metrics["contact_mm"] < 13
        assert record.metrics["pcc_5"] == 100
    for record in moved.records:
        contact, within, scores = expected[record.key]
        assert record.metrics["joint_none"] == pytest.approx(150, abs=1e-3)
        assert record.metrics["joint_translation"] == pytest.approx(150, abs=1e-3)
        assert record.metrics["person_pa"] == pytest.approx(0, abs=1e-3)
        assert record.metrics["contact_mm"] == pytest.approx(contact, abs=0.01)
        assert record.metrics["pcc_10"] == pytest.approx(within, abs=1e-6)
        assert record.metrics["recall"] == pytest.approx(scores[1])
        assert record.metrics["f1"] == pytest.approx(scores[2])
    assert any("region pairs of the true meshes within 13 mm" in note for note in done.notes)


def test_chi3d_of_people_half_as_large_again(tmp_path, dancers):
    """Scale: what no similarity sees, and every contact distance does."""
    keys = layouts.write_chi3d(tmp_path / "data", dancers)
    regions = RegionMap.load("free")
    lists = [np.asarray(regions.vertices(i)) for i in range(75)]
    expected = {}
    for number, key in enumerate(keys):
        scene = dancers[number // 2]
        camera = layouts.chi3d_camera(key.rpartition("_")[2])
        seen = lambda points, camera=camera: 1.5 * (points - camera["T"][0]) @ np.array(camera["R"]).T  # noqa: E731
        named = layouts.joints_by_name(scene)
        joints = np.stack([named[name.replace("_top", "")] for name in LSP14], 1)
        vertices = seen(scene.vertices.astype(float))
        layouts.write_fit(tmp_path / "fits", key, vertices=vertices, joints=seen(joints))
        distances = plain.contact_distances(scene.vertices, scene.contact_regions, lists)
        expected[key] = 1500 * np.mean(distances)
        assert max(distances) < 0.0101  # nearer than 1 cm, as the captured file says
    done = evaluate_fits(
        "chi3d",
        tmp_path / "data",
        {"ours": tmp_path / "fits"},
        choice=Choice(layouts.load_body()),
        regions=regions,
        penetration=False,
        resampling=Resampling(20),
    )
    assert len(done.methods[0].records) == len(keys)
    for record in done.methods[0].records:
        assert record.metrics["joint_pa"] == pytest.approx(0, abs=1e-3)
        assert record.metrics["joint_scale"] == pytest.approx(0, abs=1e-3)
        assert record.metrics["joint_translation"] > 100
        assert record.metrics["size"] == pytest.approx(2 / 3)
        assert record.metrics["contact_mm"] == pytest.approx(expected[record.key], abs=0.01)
        assert record.metrics["pcc_5"] == 100


def test_flickr_of_people_who_touch_and_of_the_same_apart(tmp_path, dancers):
    keys = layouts.write_flickr(tmp_path / "data", dancers)
    for key, scene in zip(keys, dancers, strict=True):
        layouts.write_fit(tmp_path / "touching", key, vertices=scene.vertices)
        apart = scene.vertices + np.array([[[0, 0, 0]], [[0, 5.0, 0]]], dtype=np.float32)
        layouts.write_fit(tmp_path / "apart", key, vertices=apart)
    done = evaluate_fits(
        "flickrci3d",
        tmp_path / "data",
        {"touching": tmp_path / "touching", "apart": tmp_path / "apart"},
        choice=Choice(layouts.load_body()),
        regions=RegionMap.load("free"),
        penetration=False,
        resampling=Resampling(20),
    )
    touching, apart = done.methods
    assert {record.metrics["pcc_5"] for record in touching.records} == {100}
    assert max(record.metrics["contact_mm"] for record in touching.records) < 10.1
    assert {record.metrics["pcc_20"] for record in apart.records} == {0}
    assert min(record.metrics["contact_mm"] for record in apart.records) > 3000

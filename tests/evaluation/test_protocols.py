"""Each protocol on files of the documented layout, made of scenes in which the answer is known."""

from __future__ import annotations

import dataset_layouts as layouts
import numpy as np
import plain_metrics as plain
import pytest
from dataset_layouts import load_body

from apu_contacts import RegionMap
from apu_losses.bodies.identity import body_identity
from apu_losses.evaluation import (
    LIMBS,
    LSP14,
    Choice,
    Resampling,
    chi3d_frames,
    evaluate_fits,
    flickr_frames,
    hi4d_frames,
    ntu_frames,
)
from apu_losses.fitting.result.record import save_parameters

FEW = Resampling(50)
ACTIONS = {"handshake": 58, "hug": 55, "pat": 53, "kick": 51}
TEST_PERFORMER = 3


def write_ntu(root, scenes, *, mirror=False, action=58):
    """Ten frames a recording: the people walk up to each other, and touch in the sixth."""
    folder = root / "nturgb+d_skeletons"
    folder.mkdir(parents=True)
    keys = []
    for number, scene in enumerate(scenes):
        touching = layouts.kinect_points(scene, turn=0.3 * number)
        frames = []
        apart = touching[1].mean(0) - touching[0].mean(0)
        for step in range(10):
            away = 0.4 * abs(step - 5) * apart / np.linalg.norm(apart)
            frames.append(touching + np.stack([0 * away, away])[:, None])
        name = f"S001C001P{TEST_PERFORMER:03d}R{number + 1:03d}A{action:03d}"
        (folder / f"{name}.skeleton").write_text(layouts.skeleton_text(frames, mirror=mirror))
        keys.append(f"{name}_0005")
    return keys


def write_ntu_fits(folder, keys, scenes, *, mirror=False):
    """What a perfect estimator would say of the pictures: people as they are seen, in any size."""
    for number, (key, scene) in enumerate(zip(keys, scenes, strict=True)):
        named = layouts.joints_by_name(scene)
        joints = layouts.upright_camera(np.stack([named[name] for name in LIMBS], 1), 0.3 * number)
        names = list(LIMBS)
        if mirror:  # whoever looks at a mirrored picture sees the left arm where the right one was
            joints = joints * [-1, 1, 1]
            names = [n.replace("left", "?").replace("right", "left").replace("?", "right") for n in names]
        layouts.write_fit(folder, key, joints=0.8 * joints, joint_names=np.array(names))


@pytest.mark.parametrize("mirror", [False, True])
def test_ntu_chooses_the_moment_of_contact_and_a_perfect_fit_has_no_error(tmp_path, scenes, mirror):
    keys = write_ntu(tmp_path / "data", scenes, mirror=mirror)
    write_ntu_fits(tmp_path / "fits", keys, scenes, mirror=mirror)
    found = evaluate_fits("ntu", tmp_path / "data", {"ours": tmp_path / "fits"}, resampling=FEW)
    method = found.methods[0]
    assert [record.key for record in method.records] == keys
    assert found.groups == {"handshake": 4}
    for record in method.records:
        assert record.metrics["joint_pa"] < 0.01
        assert record.metrics["joint_none"] > 100
    assert ("exchanged" in found.notes[-2]) == mirror


def test_ntu_error_is_that_of_a_second_implementation(tmp_path, scenes):
    keys = write_ntu(tmp_path / "data", scenes)
    truth = ntu_frames(tmp_path / "data")
    rng = np.random.default_rng(0)
    expected = {}
    for frame in truth.frames:
        true = np.stack([frame.points[name] for name in LIMBS], 1)
        found = true + rng.normal(0, 0.05, true.shape)
        expected[frame.key] = found, true
        layouts.write_fit(tmp_path / "fits", frame.key, joints=found, joint_names=np.array(LIMBS))
    done = evaluate_fits("ntu", tmp_path / "data", {"ours": tmp_path / "fits"}, resampling=FEW)
    assert {record.key for record in done.methods[0].records} == set(keys)
    for record in done.methods[0].records:
        found, true = expected[record.key]
        for align in ("none", "translation", "scale", "pa"):
            assert record.metrics[f"joint_{align}"] == pytest.approx(plain.joint_error(found, true, align))
    mean = np.mean([plain.joint_error(*expected[key], "pa") for key in keys])
    table = next(t for t in done.tables() if "close interactions" in t.title)
    row = next(row for row in table.rows if row[0] == "> ours")
    assert row[1] == f"{mean:.1f}"
    assert row[table.header.index("Handshake")] == f"{mean:.1f}"
    assert row[table.header.index("Support")] == ""
    assert row[-1] == "4"


def test_ntu_takes_the_test_performers_and_classes_and_a_list_of_frames(tmp_path, scenes):
    write_ntu(tmp_path, scenes[:1])
    folder = tmp_path / "nturgb+d_skeletons"
    text = next(folder.iterdir()).read_text()
    for name in (
        "S001C001P001R001A058",
        "S002C001P003R001A058",
        "S001C001P003R002A055",
        "S001C001P003R002A001",
    ):
        (folder / f"{name}.skeleton").write_text(text)
    names = lambda frames: sorted(frame.cluster for frame in frames.frames)  # noqa: E731
    assert names(ntu_frames(tmp_path)) == ["S001C001P003R001A058", "S002C001P003R001A058"]
    assert names(ntu_frames(tmp_path, split="setup")) == ["S001C001P001R001A058", "S001C001P003R001A058"]
    assert len(ntu_frames(tmp_path, split="all", classes=["hugging"]).frames) == 1
    (tmp_path / "frames.txt").write_text("# ours\nS001C001P003R002A055_0004\nS001C001P003R001A058 5\n")
    listed = ntu_frames(tmp_path, frames=tmp_path / "frames.txt")
    assert [frame.key for frame in listed.frames] == [
        "S001C001P003R002A055_0004",
        "S001C001P003R001A058_0005",
    ]
    (tmp_path / "NTU_RGBD120_samples_with_missing_skeletons.txt").write_text("S002C001P003R001A058\n")
    assert names(ntu_frames(tmp_path)) == ["S001C001P003R001A058"]


def test_hi4d_takes_every_fifth_contact_frame_of_camera_4(tmp_path, scenes):
    keys = layouts.write_hi4d(tmp_path, scenes[:2])
    truth = hi4d_frames(tmp_path)
    assert [frame.key for frame in truth.frames] == keys
    assert truth.groups == {scene.interaction: 2 for scene in scenes[:2]}
    assert [f.key.split("_")[2] for f in hi4d_frames(tmp_path, camera=None).frames] == ["16"] * 4
    assert len(hi4d_frames(tmp_path, every=1, pairs=["01"]).frames) == 6


def test_hi4d_by_the_regressor_equals_a_second_implementation(tmp_path, scenes, files):
    keys = layouts.write_hi4d(tmp_path / "data", scenes[:2])
    matrix, ids = layouts.lsp_regressor(), layouts.smpl_subset()
    rng = np.random.default_rng(1)
    expected = {}
    for number, scene in enumerate(scenes[:2]):
        data = tmp_path / "data" / f"pair{number:02d}"
        pose = np.load(next(data.rglob("rgb_cameras.npz")))["extrinsics"][0]
        for key in keys[2 * number : 2 * number + 2]:
            verts = np.load(next(data.rglob(f"{key[-6:]}.npz")))["verts"]
            seen = verts @ pose[:, :3].T + pose[:, 3]
            true = np.stack([matrix[:, ids] @ person for person in seen])
            fit = scene.vertices + rng.normal(0, 0.1, (2, 1, 3))  # world axes, each person somewhere else
            found = np.stack([matrix @ person for person in fit])
            expected[key] = min(plain.joint_error(found[o], true, "pa") for o in ([0, 1], [1, 0]))
            layouts.write_fit(tmp_path / "fits", key, vertices=fit)
    done = evaluate_fits(
        "hi4d",
        tmp_path / "data",
        {"ours": tmp_path / "fits"},
        choice=Choice(load_body(), transfer=files / "transfer.npz"),
        regressor=files / "J14.npy",
        penetration=False,
        resampling=FEW,
    )
    assert "J14.npy (digest" in done.joints
    assert not done.caveats
    found = {record.key: record.metrics["joint_pa"] for record in done.methods[0].records}
    assert found == pytest.approx(expected, abs=1e-3)


def test_hi4d_without_files_compares_joints_by_name_and_says_so(tmp_path, scenes):
    keys = layouts.write_hi4d(tmp_path / "data", scenes[:1])
    body = load_body()
    (tmp_path / "fits").mkdir()
    path = tmp_path / "fits" / f"{keys[0]}.npz"
    save_parameters(path, dict(scenes[0].parameters), body.name, body_identity(body))  # as apu fit does
    done = evaluate_fits(
        "hi4d", tmp_path / "data", {"ours": tmp_path / "fits"}, choice=Choice(body), resampling=FEW
    )
    method = done.methods[0]
    assert (len(method.records), list(method.missing)) == (1, keys[1:])
    # the truth has a shape that the free body's ten coefficients lack: 3 to 15 mm
    assert method.records[0].metrics["joint_pa"] < 20
    assert method.records[0].metrics["joint_none"] > 1000
    assert "not regressed" in done.joints
    assert any("14 joints regressed by SMPLX_to_J14.pkl" in caveat for caveat in done.caveats)


def test_chi3d_from_the_joints_of_the_mocap(tmp_path, scenes):
    keys = layouts.write_chi3d(tmp_path / "data", scenes)
    truth = chi3d_frames(tmp_path / "data")
    assert sorted(frame.key for frame in truth.frames) == sorted(keys)
    by_key = {frame.key: frame for frame in truth.frames}
    for scene, pair in zip(scenes, zip(keys[::2], keys[1::2], strict=True), strict=True):
        named = layouts.joints_by_name(scene)
        for key in pair:
            camera = layouts.chi3d_camera(key.rpartition("_")[2])
            rotation, place = np.array(camera["R"]), np.array(camera["T"][0])
            frame = by_key[key]
            seen = np.stack([rotation @ (person - place) for person in named["left_wrist"]])
            np.testing.assert_allclose(frame.points["left_wrist"], seen, atol=1e-9)
            assert frame.contacts is not None
            assert {tuple(p) for p in frame.contacts.pairs.tolist()} == set(scene.contact_regions)
            joints = np.stack([frame.points[name] for name in LSP14], 1)
            layouts.write_fit(tmp_path / "fits", key.removeprefix("s03_"), joints=joints[::-1])
    done = evaluate_fits("chi3d", tmp_path / "data", {"ours": tmp_path / "fits"}, resampling=FEW)
    for record in done.methods[0].records:
        assert record.exchanged
        assert record.metrics["joint_none"] == pytest.approx(0, abs=1e-6)
    given = evaluate_fits(
        "chi3d", tmp_path / "data", {"ours": tmp_path / "fits"}, order="given", resampling=FEW
    )
    assert min(record.metrics["joint_pa"] for record in given.methods[0].records) > 30
    assert "in the other order in 8 frames" in done.write("text")


def test_chi3d_contacts_of_meshes(tmp_path, scenes):
    keys = layouts.write_chi3d(tmp_path / "data", scenes[:2])
    regions = RegionMap.load("free")
    lists = [np.asarray(regions.vertices(i)) for i in range(75)]
    expected = {}
    for number, key in enumerate(keys):
        scene = scenes[number // 2]
        vertices = scene.vertices + np.array([[[0, 0, 0]], [[0.05 * number, 0, 0]]])
        distances = plain.contact_distances(vertices, scene.contact_regions, lists)
        expected[key] = 1000 * np.mean(distances), plain.share_within(distances, 0.1)
        named = layouts.joints_by_name(scene)
        joints = np.stack([named[name.replace("head_top", "head")] for name in LSP14], 1)
        layouts.write_fit(tmp_path / "fits", key, vertices=vertices, joints=joints)
    done = evaluate_fits(
        "chi3d",
        tmp_path / "data",
        {"ours": tmp_path / "fits"},
        choice=Choice(load_body()),
        regions=regions,
        penetration=False,
        resampling=FEW,
    )
    found = {r.key: (r.metrics["contact_mm"], r.metrics["pcc_10"]) for r in done.methods[0].records}
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, abs=1e-2)
    assert any("region map is derived" in caveat for caveat in done.caveats)


def test_flickr_needs_signatures_and_meshes_only(tmp_path, scenes):
    keys = layouts.write_flickr(tmp_path / "data", scenes)
    assert [frame.key for frame in flickr_frames(tmp_path / "data").frames] == keys
    for key, scene in zip(keys, scenes, strict=True):
        layouts.write_fit(tmp_path / "good" / "results", key, vertices=scene.vertices)
        apart = scene.vertices + np.array([[[0, 0, 0]], [[0, 0, 2.0]]])
        layouts.write_fit(tmp_path / "far", key.removesuffix("_0"), vertices=apart)
    (tmp_path / "far" / f"{keys[0].removesuffix('_0')}.npz").unlink()
    layouts.write_fit(tmp_path / "far", keys[1], vertices=np.full_like(scenes[1].vertices, np.nan))
    done = evaluate_fits(
        "flickrci3d",
        tmp_path / "data",
        {"good": tmp_path / "good", "far": tmp_path / "far"},
        choice=Choice(load_body()),
        regions=RegionMap.load("free"),
        penetration=False,
        resampling=FEW,
    )
    good, far = done.methods
    assert {record.metrics["pcc_5"] for record in good.records} == {100.0}
    assert max(record.metrics["contact_mm"] for record in good.records) < 10
    assert {record.metrics["pcc_20"] for record in far.records} == {0.0}
    assert (len(good.records), len(far.records), far.missing, far.broken) == (4, 2, (keys[0],), (keys[1],))
    data = done.to_dict()
    assert data["frames_all_solved"] == 2
    assert data["methods"][0]["metrics"]["contact_mm"]["frames"] == 4
    assert data["methods"][0]["metrics"]["contact_mm"]["on_frames_all_solved"]["frames"] == 2
    assert "joint_pa" not in data["methods"][0]["metrics"]


def test_flickr_joints_against_pseudo_truth(tmp_path, scenes):
    keys = layouts.write_flickr(tmp_path / "data", scenes[:2])
    for key, scene in zip(keys, scenes, strict=False):
        layouts.write_fit(tmp_path / "pseudo", key, vertices=scene.vertices)
        layouts.write_fit(tmp_path / "fits", key, vertices=2 * scene.vertices + 1)
    done = evaluate_fits(
        "flickrci3d",
        tmp_path / "data",
        {"ours": tmp_path / "fits"},
        choice=Choice(load_body()),
        pseudo_truth=tmp_path / "pseudo",
        penetration=False,
        resampling=FEW,
    )
    for record in done.methods[0].records:
        assert record.metrics["joint_pa"] == pytest.approx(0, abs=1e-2)
        assert record.metrics["joint_scale"] == pytest.approx(0, abs=1e-2)
        assert record.metrics["joint_translation"] > 100

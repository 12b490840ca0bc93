"""BEV's own files as fits: everybody in the picture, on SMPL's mesh."""

from __future__ import annotations

import dataset_layouts as layouts
import numpy as np
import plain_metrics as plain
import pytest

from apu_contacts import RegionMap
from apu_contacts.sources import SourceFormatError, read_bev
from apu_losses.evaluation import Choice, FitFolder, Resampling, TruthFrame, evaluate_fits, flickr_frames
from apu_losses.evaluation.bev_fits import bev_pair
from apu_losses.evaluation.joint_sets import LSP14, misplaced

FEW = Resampling(20)
FOCAL = 1200.0
"""Of the cameras that `write_hi4d` writes."""


def people(root, number, scene):
    """The two of a scene as BEV would see them with camera 4, and somebody two metres to the side."""
    pose = layouts.hi4d_camera(root, number)
    seen = lambda points: points @ pose[:, :3].T + pose[:, 3]  # noqa: E731
    named = {name: seen(points) for name, points in layouts.joints_by_name(scene).items()}
    vertices = seen(scene.vertices.astype(float))
    pair = [(vertices[k], {name: points[k] for name, points in named.items()}) for k in (0, 1)]
    aside = np.array([2.0, 0, 0.5])
    pair.append((vertices[0] + aside, {name: points[0] + aside for name, points in named.items()}))
    return pair


def test_the_two_people_of_the_frame_on_the_mesh_of_the_others(tmp_path, scenes, files):
    keys = layouts.write_hi4d(tmp_path / "data", scenes[:1], frames_each=6)[:1]
    a, b, other = people(tmp_path / "data", 0, scenes[0])
    wrong = np.array([[0.0, 0.03, 0]] * 14)  # LSP's joints of b, 3 cm too low
    found = [layouts.bev_person(*each, FOCAL) for each in (other, b, a)]
    found[1]["joints"][54:68] += wrong
    layouts.write_bev(tmp_path / "bev" / f"{keys[0]}_0.08.npz", found)
    layouts.write_fit(tmp_path / "other", keys[0], vertices=scenes[0].vertices)
    done = evaluate_fits(
        "hi4d",
        tmp_path / "data",
        {"BEV": tmp_path / "bev", "other": tmp_path / "other"},
        choice=Choice(layouts.load_body(), transfer=files / "transfer.npz"),
        regions=RegionMap.load("free"),
        regressor=files / "J14.npy",
        resampling=FEW,
    )
    method = done.methods[0]
    metrics = method.records[0].metrics
    true = np.stack([layouts.lsp_regressor() @ each[0] for each in (a, b)])
    estimate = true + np.stack([0 * wrong, wrong])
    assert metrics["joint_none"] == pytest.approx(15, abs=0.01)  # one of two people, 30 mm
    assert metrics["joint_pa"] == pytest.approx(plain.joint_error(estimate, true, "pa"), abs=0.01)
    assert metrics["f1"] == 1.0  # BEV's mesh is the true one, carried by the same matrix
    assert metrics["recall"] == 1.0
    assert "depth_mm" in metrics
    notes = " ".join(method.notes)
    assert "LSP's 14 of its own file, regressed from SMPL's mesh by Human3.6M's regressor" in notes
    assert "carried to the body's by the transfer file" in notes
    assert not any("Human3.6M" in note for note in done.methods[1].notes)


def test_a_picture_with_one_of_them_is_not_solved(tmp_path, scenes):
    keys = layouts.write_hi4d(tmp_path / "data", scenes[:2])
    for number, key in enumerate((keys[0], keys[2])):
        a, b, other = people(tmp_path / "data", number, scenes[number])
        both = [a, other] if number else [a, b]
        layouts.write_bev(tmp_path / "bev" / f"{key}.npz", [layouts.bev_person(*p, FOCAL) for p in both])
    done = evaluate_fits("hi4d", tmp_path / "data", {"BEV": tmp_path / "bev"}, resampling=FEW)
    method = done.methods[0]
    assert [record.key for record in method.records] == [keys[0]]
    assert method.records[0].metrics["joint_none"] == pytest.approx(0, abs=0.01)
    assert set(method.missing) == set(keys[1:])
    assert any(
        f"in 1 frames BEV's file does not hold both people, such as {keys[2]}" in n for n in method.notes
    )


def test_who_is_meant_must_be_known_and_joints_where_their_names_are(tmp_path, scenes):
    keys = layouts.write_hi4d(tmp_path / "data", scenes[:1])
    found = [layouts.bev_person(*each, FOCAL) for each in people(tmp_path / "data", 0, scenes[0])]
    path = tmp_path / "bev" / f"{keys[0]}.npz"
    layouts.write_bev(path, found)
    with pytest.raises(SourceFormatError, match="BEV found 3 people, and where the two of the frame stand"):
        bev_pair(path)
    found[0]["joints"][54:60] = found[0]["joints"][54:60][::-1].copy()  # left legs for right ones
    layouts.write_bev(path, found[:2])
    with pytest.raises(SourceFormatError, match="BEV's joint 54 should be LSP's right_ankle, but lies"):
        bev_pair(path)
    assert FitFolder(tmp_path / "bev").find(TruthFrame("elsewhere", "all", "x")) is None


def test_hips_of_lsp_lie_far_from_a_bodys_own_and_folded_hands_are_no_fault():
    known = {
        "left_hip": np.array([0.06, 0.9, 0]),
        "right_hip": np.array([-0.06, 0.9, 0]),
        "left_knee": np.array([0.1, 0.5, 0]),
        "left_wrist": np.array([0.01, 1.1, 0.3]),
        "right_wrist": np.array([-0.01, 1.1, 0.3]),
    }
    lsp = {"left_hip": [0.14, 1.0, 0], "right_hip": [-0.14, 1.0, 0], "left_wrist": [-0.02, 1.12, 0.3]}
    assert misplaced(np.array(list(lsp.values())), list(lsp), known) is None
    fault = misplaced(np.array([lsp["left_hip"]]), ["right_hip"], known)
    assert fault is not None
    assert fault.nearest == "left_hip"
    assert misplaced(np.array([[0.1, 0.68, 0]]), ["left_hip"], known) is not None  # a knee, or nearly


@pytest.mark.real
def test_real_files_of_bev(real_dir):
    for name, pairs in (("girls_250416", 3), ("college_232334", 1)):
        frames = flickr_frames(real_dir / name).frames
        path = real_dir / name / "bev.npz"
        found = [bev_pair(path, frame) for frame in frames]
        assert len(found) == pairs
        for frame, pair in zip(frames, found, strict=True):
            assert pair is not None
            assert pair.vertices.shape == (2, 6890, 3)
            pixels = read_bev(path)
            width = frame.boxes[:, 2] - frame.boxes[:, 0]
            middles = frame.boxes[:, [0, 2]].mean(1)
            hips = pair.lsp_joints[:, 2:4].mean(1)
            who = [
                min(pixels, key=lambda p, at=at: np.abs(p.joints_camera[[56, 57]].mean(0) - at).max())
                for at in hips
            ]
            assert (np.abs([p.pj2d[:24, 0].mean() for p in who] - middles) < 0.5 * width).all()
        for person in read_bev(path, vertices=True):
            own = {joint: person.named_joints([joint])[0] for joint in LSP14[:13]}
            own["head_top"] = person.vertices[411] + person.cam_trans
            assert misplaced(person.lsp_joints, LSP14, own) is None

"""Fits of two people as methods leave them."""

from __future__ import annotations

import json
import pickle

import dataset_layouts as layouts
import numpy as np
import plain_metrics as plain
import pytest
import torch
from dataset_layouts import load_body
from other_body import full_smplx_file
from scipy.spatial.transform import Rotation

from apu_losses.bodies import load_body as read_body
from apu_losses.evaluation import LSP14, Choice, FitFolder, Resampling, TruthFrame, evaluate_fits, read_fit
from apu_losses.fitting.result.record import save_parameters


@pytest.fixture(scope="module")
def smplx_body(tmp_path_factory):
    """A body with the layout, joints and number of vertices of SMPL-X, and a mesh of its own."""
    path = tmp_path_factory.mktemp("body") / "SMPLX_NEUTRAL.npz"
    full_smplx_file(path)
    return read_body(path)


def some_parameters(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "global_orient": rng.normal(0, 0.3, (2, 3)),
        "body_pose": rng.normal(0, 0.2, (2, 63)),
        "betas": rng.normal(0, 0.5, (2, 10)),
        "transl": np.array([[0.0, 0, 3], [0.6, 0, 3.2]]),
    }


def posed(body, params):
    return body.pose({name: torch.as_tensor(value, dtype=body.dtype) for name, value in params.items()})


def test_results_of_buddi(tmp_path, smplx_body):
    params = some_parameters()
    humans = {**params, "scale": np.zeros((2, 1)), "left_hand_pose": np.zeros((2, 6))}
    humans = {name: value.astype(np.float32) for name, value in humans.items()}
    (tmp_path / "results").mkdir()
    path = tmp_path / "results" / "girls_1_0.pkl"
    path.write_bytes(pickle.dumps({"humans": humans, "cam": {"fl": np.float32(500)}}))
    folder = FitFolder(tmp_path, smplx_body)
    found = folder.find(TruthFrame("girls_1_0", "all", "girls_1"))
    assert found is not None
    expected = posed(smplx_body, params)
    np.testing.assert_allclose(found.vertices, expected.vertices().numpy(), atol=1e-5)
    np.testing.assert_allclose(found.points["left_wrist"], expected.joints[:, 20].numpy(), atol=1e-5)
    humans["scale"] = np.full((2, 1), 0.4, dtype=np.float32)
    path.write_bytes(pickle.dumps({"humans": humans, "cam": {}}))
    with pytest.raises(ValueError, match="the people have an age, for which the body needs its kid template"):
        folder.find(TruthFrame("girls_1_0", "all", "girls_1"))


def test_parameters_of_another_body_are_refused(tmp_path, smplx_body):
    save_parameters(tmp_path / "x.npz", some_parameters(), "free", "0123456789abcdef")
    with pytest.raises(ValueError, match="the parameters are of the body 'free', not of 'SMPLX_NEUTRAL'"):
        read_fit(tmp_path / "x.npz", smplx_body)
    with pytest.raises(ValueError, match="holds parameters; name the body"):
        read_fit(tmp_path / "x.npz")
    one = {name: value[:1] for name, value in some_parameters().items()}
    save_parameters(tmp_path / "y.npz", one, "free", "")
    with pytest.raises(ValueError, match=r"must have shape \(2, 3\), got \(1, 3\)"):
        read_fit(tmp_path / "y.npz", smplx_body)


def test_chi3d_truth_of_meshes_and_its_regressor(tmp_path, scenes, smplx_body):
    """The truth as SMPL-X parameters in the world; fits in the camera, one person moved by 10 cm."""
    layouts.write_chi3d(tmp_path / "data", scenes[:1])
    folder = tmp_path / "data" / "train" / "s03"
    params = some_parameters(3)
    content = {
        name: Rotation.from_rotvec(params[name].reshape(-1, 3)).as_matrix().reshape(2, 1, -1, 3, 3)
        for name in ("global_orient", "body_pose")
    } | {name: params[name][:, None] for name in ("betas", "transl")}
    (folder / "smplx").mkdir()
    action = next(iter(json.loads((folder / "interaction_contact_signature.json").read_text())))
    repeated = {name: np.repeat(value, 6, axis=1).tolist() for name, value in content.items()}
    (folder / "smplx" / f"{action}.json").write_text(json.dumps(repeated))
    regressor = np.zeros((14, 10475))
    for row, name in enumerate(LSP14[:13]):
        regressor[row] = np.asarray(smplx_body.data.joint_regressor)[smplx_body.joint_names.index(name)]
    regressor[13, int(np.asarray(smplx_body.data.v_template)[:, 1].argmax())] = 1
    np.save(tmp_path / "J14.npy", regressor)
    vertices = posed(smplx_body, params).vertices().double().numpy()
    expected = {}
    for camera in ("50591643", "58860488"):
        pose = layouts.chi3d_camera(camera)
        seen = (vertices - np.array(pose["T"][0])) @ np.array(pose["R"]).T
        fit = seen + np.array([[[0, 0, 0]], [[0.1, 0, 0]]])
        key = f"s03_{action}_000003_{camera}"
        layouts.write_fit(tmp_path / "fits", key, vertices=fit)
        joints = [np.stack([regressor @ person for person in each]) for each in (fit, seen)]
        expected[key] = plain.joint_error(*joints, "pa")
        assert plain.joint_error(*joints, "none") == pytest.approx(50)
    done = evaluate_fits(
        "chi3d",
        tmp_path / "data",
        {"ours": tmp_path / "fits"},
        choice=Choice(smplx_body),
        regressor=tmp_path / "J14.npy",
        penetration=False,
        resampling=Resampling(20),
    )
    for record in done.methods[0].records:
        assert record.metrics["joint_none"] == pytest.approx(50, abs=1e-2)
        assert record.metrics["joint_pa"] == pytest.approx(expected[record.key], abs=1e-2)
        assert record.metrics["person_pa"] == pytest.approx(0, abs=1e-2)
    assert not done.caveats


def test_a_regressor_needs_true_meshes(tmp_path, scenes):
    layouts.write_chi3d(tmp_path / "data", scenes[:1])
    np.savez(tmp_path / "x.npz", joints=np.zeros((2, 14, 3)))
    keys = layouts.write_hi4d(tmp_path / "hi4d", scenes[:1])
    layouts.write_fit(tmp_path / "fits", keys[0], vertices=scenes[0].vertices)
    body = load_body()
    regressor = np.asarray(body.data.joint_regressor)[[body.joint_names.index(n) for n in LSP14[:13]]]
    top = np.eye(1, body.num_vertices, int(np.asarray(body.data.v_template)[:, 1].argmax()))
    np.save(tmp_path / "J14.npy", np.concatenate([regressor, top]))
    with pytest.raises(ValueError, match=r"the truth of Hi4D has joints only here.*--transfer file"):
        evaluate_fits(
            "hi4d",
            tmp_path / "hi4d",
            {"ours": tmp_path / "fits"},
            choice=Choice(body),
            regressor=tmp_path / "J14.npy",
        )


def test_files_that_no_frame_asks_for_are_counted(tmp_path, scenes):
    keys = layouts.write_flickr(tmp_path / "data", scenes[:1])
    layouts.write_fit(tmp_path / "fits", keys[0], vertices=scenes[0].vertices)
    layouts.write_fit(tmp_path / "fits", "boys_3_0", vertices=scenes[0].vertices)
    from apu_contacts import RegionMap

    done = evaluate_fits(
        "flickrci3d",
        tmp_path / "data",
        {"ours": tmp_path / "fits"},
        choice=Choice(load_body()),
        regions=RegionMap.load("free"),
        resampling=Resampling(20),
    )
    assert done.methods[0].notes == ("1 files of fits belong to no frame, such as boys_3_0.npz",)
    assert {"depth_mm", "inside"} <= done.methods[0].records[0].metrics.keys()


@pytest.mark.real
def test_real_signatures_of_flickr(real_dir):
    from apu_losses.evaluation import flickr_frames

    found = flickr_frames(real_dir / "girls_250416")
    assert len(found.frames) == 3
    assert sorted(len(frame.contacts) for frame in found.frames) == [3, 4, 6]
    assert len(flickr_frames(real_dir / "girls_250416", one_pair=True).frames) == 0
    assert len(flickr_frames(real_dir / "college_232334", one_pair=True).frames) == 1

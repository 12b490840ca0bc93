"""The NTU protocol on two people whose joints were captured, where the captured file is there."""

from __future__ import annotations

from pathlib import Path

import dataset_layouts as layouts
import numpy as np
import plain_metrics as plain
import pytest

from apu_losses.evaluation import LIMBS, Resampling, evaluate_fits, handedness, ntu_frames

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

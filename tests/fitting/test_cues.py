"""Depth maps and masks beside photographs go into scenes, and a fit looks at them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fitting_scenes import make_preset, pair
from PIL import Image

from apu_losses import SceneFitter, load_body
from apu_losses.fitting import load_scene, save_scene
from apu_losses.fitting.propose.scenes import ProposalReport, propose_scenes
from apu_losses.generate import find_inputs
from apu_losses.synthetic import load_truth_scenes, observe
from apu_losses.viz.raster import rasterize


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A back hug as detectors see it, its true depth in millimetres, and the mask of each person."""
    place = tmp_path_factory.mktemp("photos")
    (truth,) = load_truth_scenes("held_out", interactions=["back hug"], per_type=1)
    seen = observe(truth, seed=0)
    view, faces = seen.view, load_body().faces.numpy()
    Image.new("RGB", (view.width, view.height)).save(place / "hug.png")
    people = seen.detections
    np.savez(
        place / "hug.keypoints.npz",
        keypoints=np.stack([p.keypoints.xy for p in people]),
        scores=np.stack([p.keypoints.confidence for p in people]),
    )
    found = rasterize(
        np.concatenate(seen.vertices).astype(np.float64),
        np.concatenate([faces, faces + len(seen.vertices[0])]),
        np.full(2, view.camera.focal),
        np.array(view.camera.center),
        view.width,
        view.height,
    )
    depth = np.zeros((view.height, view.width), np.uint16)
    depth[found.row, found.column] = np.round(1000 * found.depth)
    Image.fromarray(depth).save(place / "hug.depth.png")
    masks = np.zeros((2, view.height, view.width), bool)
    masks[(found.face >= len(faces)).astype(int), found.row, found.column] = True
    np.savez_compressed(place / "hug.masks.npz", masks=masks[::-1])  # in another order than the people
    np.savez(place / "truth.npz", joints=seen.joints)
    return place


def test_cues_beside_a_photograph_go_into_the_scene(folder: Path, tmp_path: Path) -> None:
    found = find_inputs([folder])
    assert [f.name for f in found.ready] == ["hug"] and not found.to_detect
    assert set(found.ready[0].files) == {"keypoints", "depth", "masks"}
    report = ProposalReport()
    scenes = list(propose_scenes(found.ready, body=load_body, report=report))
    assert not report.failed
    (scene,) = scenes
    pelvis = np.load(folder / "truth.npz")["joints"][:, 0, 2]
    nearer = int(np.argmin(pelvis))
    depths = [person.depths for person in scene.people]
    middles = [np.nanmedian(d) for d in depths]
    assert int(np.argmin(middles)) == nearer and list(scene.depth_order) == [(nearer, 1 - nearer)]
    for middle, true in zip(middles, pelvis, strict=True):
        assert abs(middle - true) < 0.3
    save_scene(scene, tmp_path / "scene.json")
    for again, person in zip(load_scene(tmp_path / "scene.json").people, scene.people, strict=True):
        np.testing.assert_allclose(again.depths, person.depths, atol=1e-6)


def test_a_broken_depth_map_leaves_the_scene_and_is_said(folder: Path, tmp_path: Path) -> None:
    for item in ("hug.png", "hug.keypoints.npz"):
        (tmp_path / item).write_bytes((folder / item).read_bytes())
    (tmp_path / "hug.depth.npy").write_bytes(b"cut off")
    report = ProposalReport()
    scenes = list(propose_scenes(find_inputs([tmp_path]).ready, body=load_body, report=report))
    assert len(scenes) == 1 and scenes[0].people[0].depths is None
    assert any("hug.depth.npy" in said for said in report.failed["hug"])


def test_a_fit_follows_relative_depth_whatever_the_unit() -> None:
    """Two people start side by side; the map says that one is a tenth farther, in metres that are off."""
    body = load_body()
    scene = pair(body)
    start = 4.0
    for factor in (1.0, 1.7):
        depths = [np.full(25, factor * start), np.full(25, factor * 1.1 * start)]
        seen = replace(
            scene,
            people=[replace(p, depths=d) for p, d in zip(scene.people, depths, strict=True)],
            contacts=(),
        )
        preset = make_preset(
            {"keypoint_depth": 1000.0, "keypoints": 1e-3},
            free=("transl",),
            iterations=15,
            options={"keypoint_depth": {"robust": None}},
            optimizer="levenberg_marquardt",
        )
        (result,) = SceneFitter(body, preset=preset).fit([seen])
        places = result.parameters["transl"][:, 2]
        assert places[1] / places[0] == pytest.approx(1.1, abs=0.01)


def test_depths_are_checked() -> None:
    person = pair(load_body()).people[0]
    for wrong in (np.ones(3), np.full(25, -1.0), np.full(25, np.inf)):
        with pytest.raises(ValueError, match="depths must be 25 metres above 0"):
            replace(person, depths=wrong)

"""What a report says of fits that are not what they should be, and what stops it."""

from __future__ import annotations

import dataset_layouts as layouts
import numpy as np
import pytest

from apu_contacts import RegionMap
from apu_losses.evaluation import LSP14, Choice, Resampling, SmplToBody, evaluate_fits

FEW = Resampling(5)


def run(protocol, data, fits, **options):
    choice = Choice(layouts.load_body())
    given = {"regions": RegionMap.load("free"), "choice": choice, "penetration": False, **options}
    return evaluate_fits(protocol, data, {"ours": fits}, resampling=FEW, **given).methods[0]


def lsp_joints(scene) -> np.ndarray:
    named = layouts.joints_by_name(scene)
    return np.stack([named[name.replace("_top", "")] for name in LSP14], 1)


def test_axes_and_units_are_said(tmp_path, scenes):
    keys = layouts.write_chi3d(tmp_path / "data", scenes[:1])
    upright = lsp_joints(scenes[0])
    for key in keys:
        camera = layouts.chi3d_camera(key.rpartition("_")[2])
        seen = (upright - camera["T"][0]) @ np.array(camera["R"]).T
        layouts.write_fit(tmp_path / "world", key, joints=upright)
        layouts.write_fit(tmp_path / "camera", key, joints=seen)
        layouts.write_fit(tmp_path / "millimetres", key, joints=1000 * seen)
    world, camera, millimetres = (
        " ".join(run("chi3d", tmp_path / "data", tmp_path / name).notes)
        for name in ("world", "camera", "millimetres")
    )
    assert "not in the camera's axes (x right, y down, z forward)" in world
    assert "are the fits in metres?" not in world
    assert "axes" not in camera + millimetres
    assert "are the fits in metres?" in millimetres
    assert "are the fits in metres?" not in camera


def test_what_is_missing_or_not_finite_is_counted_and_named(tmp_path, scenes):
    keys = layouts.write_flickr(tmp_path / "data", scenes)
    layouts.write_fit(tmp_path / "fits", keys[0], vertices=scenes[0].vertices)
    layouts.write_fit(tmp_path / "fits", keys[1], vertices=scenes[1].vertices * np.nan)
    found = run("flickrci3d", tmp_path / "data", tmp_path / "fits")
    assert [record.key for record in found.records] == [keys[0]]
    assert f"without a fit: {keys[2]}, {keys[3]}" in found.notes
    assert f"with a fit that is not finite: {keys[1]}" in found.notes


def test_another_mesh_says_what_would_carry_it(tmp_path, scenes):
    keys = layouts.write_flickr(tmp_path / "flickr", scenes[:1])
    layouts.write_fit(tmp_path / "smpl", keys[0], vertices=np.zeros((2, 6890, 3)))
    layouts.write_fit(tmp_path / "joints", keys[0], joints=np.zeros((2, 14, 3)))
    with pytest.raises(ValueError, match=r"and the fit has 6890 vertices; name the .*--transfer"):
        run("flickrci3d", tmp_path / "flickr", tmp_path / "smpl")
    with pytest.raises(ValueError, match="the fit has joints only; give meshes of --body"):
        run("flickrci3d", tmp_path / "flickr", tmp_path / "joints")
    (key, *_) = layouts.write_hi4d(tmp_path / "hi4d", scenes[:1])
    for name, count, message in (
        (
            "a",
            6890,
            r"meshes of 6890 vertices, .*; this is SMPL's mesh: .*--transfer",
        ),
        ("b", 777, r"meshes of 777 vertices, .*; name the body of this mesh as --body, or put joints"),
    ):
        layouts.write_fit(tmp_path / name, key, vertices=np.zeros((2, count, 3)))
        with pytest.raises(ValueError, match=message):
            run("hi4d", tmp_path / "hi4d", tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"expected pair00/, found .*; --data names"):
        run("hi4d", tmp_path / "hi4d" / "pair00", tmp_path / "a")


def test_a_matrix_for_another_mesh_is_found_out(tmp_path, scenes, files):
    to_body, body = SmplToBody(files / "transfer.npz"), layouts.load_body()
    vertices = np.stack([to_body.matrix @ person[layouts.smpl_subset()] for person in scenes[0].vertices])
    points = layouts.joints_by_name(scenes[0])
    to_body.check(body, vertices, points, "the truth")
    shuffled = vertices[:, np.random.default_rng(0).permutation(vertices.shape[1])]
    with pytest.raises(ValueError, match=r"limb joints lie .* cm from SMPL's own, .* another"):
        to_body.check(body, shuffled, points, "the truth")
    with pytest.raises(ValueError, match="leads to 100 vertices, but the body 'free' has 12242"):
        to_body.check(body, vertices[:, :100], points, "the truth")

"""A look at a fit: what is measured of built-in wrongs, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from apu_losses.app.demo import demo_scene
from apu_losses.fitting import SceneFitter, look_at
from apu_losses.fitting.result.findings import Finding, Limits
from apu_losses.functional.reprojection import keypoint_error


@pytest.fixture(scope="module")
def fitter():
    return SceneFitter()


@pytest.fixture(scope="module")
def start(fitter):
    return {name: value.numpy() for name, value in fitter.start([demo_scene()]).items()}


def found(fitter, start, scene=None, **changed):
    scene = scene or demo_scene()
    metrics = fitter.measure(scene, {**start, **changed}, start)
    return {finding.name: finding for finding in look_at(scene, metrics)}, metrics


def test_the_start_has_changed_nothing(fitter, start):
    looks, metrics = found(fitter, start)
    for name in ("volume", "thickness", "stature", "pose", "spine"):
        assert looks[name].right and looks[name].value == pytest.approx(0, abs=1e-5)
    assert "depth_order" not in looks and metrics.depth_order_wrong == 0


def test_a_body_that_got_thin_is_found_by_its_litres_and_its_thickness(fitter, start):
    betas = start["betas"].copy()
    betas[1, 1] += 3.0
    looks, metrics = found(fitter, start, betas=betas)
    with torch.no_grad():  # the volume again, by the divergence theorem along one axis
        sizes = []
        for own in (start["betas"], betas):
            body = fitter.body.pose(
                {"betas": torch.tensor(own), "age": torch.tensor(start["age"]), "transl": torch.zeros(2, 3)}
            ).vertices()
            corners = body[:, fitter.body.faces].double()
            one, two = corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
            sizes.append((torch.linalg.cross(one, two)[..., 1] * corners[..., 1].mean(2)).sum(1) / 2)
    expected = (sizes[1] / sizes[0] - 1).numpy()
    np.testing.assert_allclose(metrics.volume_change, expected, atol=1e-4)
    assert abs(expected[1]) > 0.05 and metrics.volume_change[0] == pytest.approx(0, abs=1e-6)
    assert abs(metrics.thickness_change[1]) > 0.03
    assert looks["volume"].right == (abs(expected[1]) < Limits().volume)


def test_who_is_in_front_is_held_against_the_scene(fitter, start):
    transl = start["transl"].copy()
    transl[:, 2] = [4.0, 3.5]
    scene = replace(demo_scene(), depth_order=[(0, 1)])
    looks, metrics = found(fitter, start, scene, transl=transl)
    assert metrics.depth_order_wrong == pytest.approx(0.5, abs=0.2) and not looks["depth_order"].right
    right, _ = found(fitter, start, replace(scene, depth_order=[(1, 0)]), transl=transl)
    assert right["depth_order"].right and right["depth_order"].value == 0


def test_who_starts_far_behind_whom_they_touch_may_be_a_child(fitter, start):
    _, near = found(fitter, start)
    transl = start["transl"].copy()
    transl[1] += 1.2 * fitter.body.pose(fitter.tensors(start)).joints[1, 0].numpy()
    _, far = found(fitter, start, transl=transl)
    ratio = np.sort(near.depth)[1] / np.sort(near.depth)[0] - 1
    looks = {f.name: f for f in look_at(demo_scene(), near, before=near)}
    assert looks["size"].right and looks["size"].value == pytest.approx(ratio)
    looks = {f.name: f for f in look_at(demo_scene(), near, before=far)}
    assert not looks["size"].right and looks["size"].value > 0.6
    assert "size" not in {f.name for f in look_at(demo_scene(), near)}


def test_hands_a_metre_apart_are_no_contact(fitter, start):
    transl = start["transl"].copy()
    transl[1, 2] += 1.5
    looks, _ = found(fitter, start, transl=transl)
    assert not looks["contacts"].right and looks["contacts"].value == 0
    assert looks["contacts"].said == "contacts 0, less than 0.5"


def test_one_bad_ankle_does_not_speak_for_a_body():
    xy = torch.zeros(2, 12, 2)
    seen = torch.ones(2, 12)
    projected = torch.full((2, 12, 2), 3.0)
    projected[0, 5] = 400.0
    projected[1, :2] = 400.0
    error = keypoint_error(projected, xy, seen, torch.ones(2), trim=0.05)
    near, far = 3 * 2**0.5, 400 * 2**0.5
    np.testing.assert_allclose(error, [near, (10 * near + far) / 11], rtol=1e-6)
    few = torch.zeros(2, 12)
    few[:, 4:6] = 1  # of two joints none is left out
    np.testing.assert_allclose(
        keypoint_error(projected, xy, few, torch.ones(2), trim=0.1), [(near + far) / 2, near], rtol=1e-6
    )
    projected[0, 0] = torch.nan
    assert keypoint_error(projected, xy, seen, torch.ones(2), trim=0.1)[0].isnan()


def test_what_cannot_be_measured_is_not_right(fitter, start):
    _, metrics = found(fitter, start)
    broken = {f.name: f for f in look_at(demo_scene(), replace(metrics, volume_change=(float("nan"), 0.0)))}
    assert not broken["volume"].right
    again = Finding.from_dict({**broken["volume"].to_dict(), "value": None})
    assert np.isnan(again.value) and not again.right


def test_a_result_says_what_it_looks_like(fitter, tmp_path):
    short = replace(fitter.preset, stages=[replace(s, max_iterations=2) for s in fitter.preset.stages[:1]])
    result = SceneFitter(fitter.body, preset=short).fit([demo_scene()])[0]
    assert result.findings == look_at(demo_scene(), result.after, before=result.before)
    assert result.looks_right == all(f.right for f in result.findings)
    result.save(tmp_path / "hug")
    assert type(result).load(tmp_path / "hug").findings == result.findings

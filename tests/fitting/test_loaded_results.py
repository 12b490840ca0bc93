"""What a result saves it also loads, whole."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from fitting_scenes import make_preset, pair

from apu_losses.bodies import load_body
from apu_losses.fitting import FitResult, SceneFitter

PRESET = make_preset({"keypoints": 0.02, "contact": 1e4}, iterations=2)


@pytest.fixture(scope="module")
def result(body):
    return SceneFitter(body, preset=PRESET).fit([pair(body)])[0]


def without_arrays(value):
    """A result as JSON would show it, so that NaN is equal to NaN."""
    rest = [field.name for field in fields(value) if field.name not in ("parameters", "start", "preset")]
    return json.dumps({name: getattr(value, name) for name in rest}, default=vars)


@pytest.mark.parametrize("ending", ["", ".npz", ".json"])
@pytest.mark.parametrize("stem", ["hug", "hug.v2"])
def test_a_result_is_loaded_as_it_was(result, tmp_path, stem, ending):
    result.save(tmp_path / stem)
    again = FitResult.load(tmp_path / (stem + ending))
    assert without_arrays(replace(again, seconds=0)) == without_arrays(replace(result, seconds=0))
    assert again.seconds == pytest.approx(result.seconds, abs=5e-4)
    assert (again.preset, again.verdict, again.notes) == (result.preset, result.verdict, result.notes)
    for ours, theirs in ((result.parameters, again.parameters), (result.start, again.start)):
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert again.to_dict() == {**result.to_dict(), "seconds": again.to_dict()["seconds"]}


def test_what_is_not_finite_comes_back_as_nan(result, tmp_path):
    failed = replace(
        result,
        preset=replace(result.preset, filter_pixels=float("inf")),
        after=replace(result.after, depth_max=float("nan"), keypoint_error=(1.0, float("inf"))),
        stages=(replace(result.stages[0], loss=float("nan"), reason="failed: lost"),),
    )
    failed.save(tmp_path / "bad")
    again = FitResult.load(tmp_path / "bad")
    assert np.isnan(again.after.depth_max) and np.isnan(again.stages[0].loss) and again.failed
    assert again.after.keypoint_error[0] == 1.0 and np.isnan(again.after.keypoint_error[1])
    assert again.preset.filter_pixels == float("inf")


def test_files_that_are_no_result_are_named(result, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.(npz|json): no such file"):
        FitResult.load(tmp_path / "absent")
    arrays, record = result.save(tmp_path / "hug")
    whole = json.loads(record.read_text())
    for change, said in (
        ({"schema_version": 99}, "schema_version is 99, expected 1"),
        ({"before": {"deepness": 1}}, "unexpected keyword argument 'deepness'"),
        ({"stages": 3}, "not iterable"),
    ):
        record.write_text(json.dumps({**whole, **change}))
        with pytest.raises(ValueError, match=f"hug.json: not the record of a result: .*{said}"):
            FitResult.load(tmp_path / "hug")
    record.write_text(json.dumps({k: v for k, v in whole.items() if k != "verdict"}))
    with pytest.raises(ValueError, match="the key 'verdict' is missing"):
        FitResult.load(tmp_path / "hug")
    record.write_text(json.dumps(whole))
    arrays.unlink()
    with pytest.raises(FileNotFoundError, match=r"hug\.npz"):
        FitResult.load(tmp_path / "hug")


def test_a_fitter_computes_where_and_how_its_body_does():
    wide = load_body("free", dtype=torch.float64)
    fitter = SceneFitter(wide, preset=PRESET)
    assert (fitter.device, fitter.dtype) == (wide.faces.device, torch.float64)
    assert fitter.tensors({"transl": [[0.0, 0.0, 3.0]]})["transl"].dtype == torch.float64
    (found,) = fitter.fit([pair(load_body("free"))])
    assert not found.failed
    # digits that float32 does not have
    assert (found.parameters["transl"] != found.parameters["transl"].astype(np.float32)).any()
    assert SceneFitter(preset=PRESET).dtype == torch.float32

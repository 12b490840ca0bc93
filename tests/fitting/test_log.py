"""The log of a fit holds what the callback saw, line by line."""

import json

import pytest
import torch
from fitting_scenes import make_preset, pair, parameters, person, scene, some_pose

from apu_losses.fitting import FitLog

WEIGHTS = {"keypoints": 0.02, "initial_pose": 5.0}


def scenes_of(body):
    return [
        pair(body, name="a"),
        scene([person(body, parameters(), parameters(body_pose=some_pose(1)))], (), "b"),
    ]


def test_a_line_for_each_scene_and_iteration(fitter_of, body, tmp_path):
    seen = []
    path = tmp_path / "fit.jsonl"
    with FitLog(path) as log:

        def both(event):
            seen.append((event.iteration, event.loss.clone(), {k: v.clone() for k, v in event.terms.items()}))
            log(event)
            assert len(path.read_text().splitlines()) == 2 * len(seen)  # while the fit runs

        results = fitter_of(make_preset(WEIGHTS, iterations=4)).fit(scenes_of(body), callback=both)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(x["number"], x["scene"], x["iteration"]) for x in lines] == [
        (n, name, i) for i in range(4) for n, name in ((0, "a"), (1, "b"))
    ]
    for line in lines:
        _, loss, terms = seen[line["iteration"]]
        assert line["stage"] == "only" and line["loss"] == loss[line["number"]].item()
        assert line["terms"] == {name: value[line["number"]].item() for name, value in terms.items()}
    assert all(x["attempt"] == 1 and x["taken"] is True for x in lines)
    assert [x["loss"] for x in lines[-2:]] == [r.stages[-1].loss for r in results]


def test_steps_that_were_not_taken_and_attempts_that_no_longer_count(fitter_of, body, tmp_path):
    """A fence that nobody may pass: steps over it are logged as not taken, and the loss stays."""

    def fence(state):
        moved = (state.params["transl"] - state.start["transl"]).norm(dim=1)
        alone = state.batch.keypoints.new_tensor([s.name == "b" for s in state.batch.scenes])
        passed = torch.where(moved > 0.05, torch.nan, 0 * moved)
        return torch.where(alone > 0, torch.nan, 0.0) + state.per_scene(passed)

    steps = {"optimizer": "levenberg_marquardt", "learning_rate": 0.0}
    preset = make_preset({"keypoints": 0.02}, free=("transl",), iterations=8, **steps).weighted(fence=1.0)
    far = parameters(transl=[0.2, 0.3, 4.0])
    scenes = [scene([person(body, parameters(), far)], (), name) for name in "ab"]
    with FitLog(tmp_path / "fit.jsonl") as log:
        first, second = fitter_of(preset, terms={"fence": fence}).fit(scenes, callback=log)
    assert second.failed and not first.failed
    lines = [json.loads(line) for line in (tmp_path / "fit.jsonl").read_text().splitlines()]
    assert {(x["attempt"], x["number"]) for x in lines} == {(1, 0), (1, 1), (2, 0)}
    (broke,) = [x for x in lines if x["number"] == 1]
    assert broke["taken"] is False and broke["loss"] is None
    last = [x for x in lines if x["attempt"] == 2]
    assert [x["taken"] for x in last].count(False) > 0
    losses = [x["loss"] for x in last]
    for before, line in zip(losses, last[1:], strict=False):
        assert line["taken"] == (line["loss"] < before) and line["loss"] <= before
    assert losses[-1] == first.stages[-1].loss


def test_every_few_iterations_and_what_is_not_finite(fitter_of, body, tmp_path):
    bad = {"bad": lambda state: state.per_scene(0 * state.joints.sum((1, 2))) + torch.inf}
    fitter = fitter_of(make_preset({**WEIGHTS, "bad": 1.0}, iterations=7), terms=bad)
    with FitLog(tmp_path / "bad.jsonl") as log:
        fitter.fit(scenes_of(body)[:1], callback=log)
    (line,) = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert json.loads(line)["loss"] is None and json.loads(line)["terms"]["bad"] is None
    with FitLog(tmp_path / "few.jsonl", every=3) as log:
        fitter_of(make_preset(WEIGHTS, iterations=7)).fit(scenes_of(body)[:1], callback=log)
    few = [json.loads(line)["iteration"] for line in (tmp_path / "few.jsonl").read_text().splitlines()]
    assert few == [0, 3, 6]
    with pytest.raises(ValueError, match="every must be at least 1"):
        FitLog(tmp_path / "x", every=0)

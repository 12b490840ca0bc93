"""Fits on a device that is not the host. Run by `test_fit_elsewhere` in a process of its own."""

from __future__ import annotations

from dataclasses import replace

import fake_device
import numpy as np
import pytest
import torch
import trimesh
from fitting_scenes import BUILT_IN_NAMES, make_preset, pair, parameters, person, scene, some_pose
from PIL import Image

from apu_contacts import ContactMap, PartContact
from apu_losses import geometry as g
from apu_losses.bodies import load_body
from apu_losses.fitting import Preset, SceneContact, SceneFitter, load_preset
from apu_losses.generate.fit_files import fit_scenes
from apu_losses.viz import FitFilm

HUG = ContactMap.from_parts(
    [PartContact("hand", "left", "back", "none"), PartContact("arm", "right", "chest", "none")]
)


@pytest.fixture(scope="module", autouse=True)
def _device():
    fake_device.install()


@pytest.fixture(scope="module")
def scenes():
    """Two people whose arms are in each other, and three of whom it is open who touches whom."""
    body = load_body("free")
    starts = [
        parameters(transl=[x, 0.3, 4.0], body_pose=some_pose(i, 0.1)) for i, x in enumerate((-0.5, 0.2, 0.9))
    ]
    contacts = [SceneContact(0, 1, HUG, "either"), SceneContact(2, 1, HUG)]
    return [pair(body, -0.15), scene([person(body, s) for s in starts], contacts, "three")]


def shortened(preset: Preset) -> Preset:
    return replace(preset, stages=tuple(replace(s, max_iterations=2) for s in preset.stages))


def fit(preset, scenes, device=fake_device.NAME, **options):
    fitter = SceneFitter("free", preset=preset, device=device, **options)
    assert fitter.start(scenes)["transl"].device.type == device
    results = fitter.fit(scenes)
    assert not any(r.failed for r in results), [r.stages for r in results]
    return results


@pytest.mark.parametrize("name", ["paper", "flickr_fits", "best"])
def test_presets(name, scenes):
    """Each stage of a preset from the same start: what it measures and its first step are the host's."""
    preset = shortened(load_preset(name))
    assert "penetration" in preset.stages[-1].weights
    for stage in preset.stages:
        alone = replace(preset, stages=(stage,))
        for there, here in zip(fit(alone, scenes), fit(alone, scenes, "cpu"), strict=True):
            assert there.before.inside_vertices > 0 and there.stages[0].terms.get("penetration", 1.0) > 0
            np.testing.assert_allclose(there.before.part_distance, here.before.part_distance, atol=1e-5)
            np.testing.assert_allclose(there.before.depth_max, here.before.depth_max, atol=1e-5)
            for name, start in here.start.items():
                np.testing.assert_allclose(there.start[name], start, atol=1e-5)
                moved = np.abs(here.parameters[name] - start).max()
                # Adam's first step has one length, and where a gradient is rounding its sign is
                allowed = 2 * stage.learning_rate + 1e-3 * moved + 1e-5
                assert np.abs(there.parameters[name] - here.parameters[name]).max() < allowed, (stage, name)


def test_every_term(scenes):
    weights = dict.fromkeys(BUILT_IN_NAMES, 1.0)
    fit(make_preset(weights, ("body_pose", "betas", "transl", "global_orient", "age"), iterations=1), scenes)


def test_operators():
    """What runs inside the geometry operators on a device without kernels of its own, gradients included."""
    ball = trimesh.creation.icosphere(2, 0.5)
    rest = torch.tensor(ball.vertices, dtype=torch.float32)
    mesh = g.MeshTopology.build(ball.faces, len(rest), rest)
    regions = g.RegionIndex.from_lists(torch.arange(len(rest)).split(16), len(rest), rest)
    edges = g.RegionPairs.from_unions([0, 1], [1, 0], [[0, 1], [3]], [[5], [2, 7]])

    def answers(device, backend):
        m, r, e = mesh.to(device), regions.to(device), edges.to(device)
        bodies = torch.stack([rest, rest + torch.tensor([0.3, 0.1, 0.2])]).to(device).requires_grad_()
        rows = torch.tensor([0, 1], device=device), torch.tensor([1, 0], device=device)
        options = {"rows": rows, "points_topology": m, "backend": backend}
        deep = g.penetration(bodies, bodies, m, target="surface", **options)
        values = (
            g.region_min_distance(bodies, None, e, r, backend=backend).distance2,
            g.region_nearest_vertex(bodies, None, e, r, backend=backend).distance2,
            g.region_distance_matrix(bodies, bodies.flip(0), r, backend=backend).distance2,
            g.region_soft_minimum(bodies, None, e, r, temperature=1e-2, backend=backend),
            g.nearest_vertex(bodies, bodies, **options).distance2,
            deep.distance2,
        )
        grad = torch.autograd.grad(sum(v.sum() for v in values), bodies)[0]
        winding = (g.winding_number(bodies, bodies, m, method=k, **options) for k in ("tree", "exact"))
        return *values, grad, deep.inside, *winding

    with fake_device.opened_operators():
        there = answers(fake_device.NAME, "auto")
    for x, y in zip(there, answers("cpu", "torch"), strict=True):
        assert x.device.type == fake_device.NAME
        torch.testing.assert_close(x.cpu(), y)


def test_it_would_be_seen(scenes):
    """A term that forgets where the bodies are."""

    def forgetful(state):
        chosen = state.joints[state.batch.pair_a] * torch.ones(55, 1)
        return state.batch.per_scene(chosen.sum((1, 2)), state.batch.pair_scene)

    preset = make_preset({"keypoints": 1.0}, iterations=1)
    preset = replace(
        preset, stages=(replace(preset.stages[0], weights={"keypoints": 1.0, "forgetful": 1.0}),)
    )
    with pytest.raises(fake_device.MixedDevices, match=r"aten\.mul.*elsewhere:0 and cpu of shape \(55, 1\)"):
        fit(preset, scenes, terms={"forgetful": forgetful})
    fit(preset, scenes, "cpu", terms={"forgetful": forgetful})


def test_the_device():
    """What it lets pass, and what it does not."""
    x, host = torch.arange(12.0, device=fake_device.NAME).view(3, 4), torch.ones(4)
    assert (x * torch.tensor(2.0) + 1)[torch.tensor([1]), 0].tolist() == [9.0]
    y = x.clone().requires_grad_()
    (y[0] ** 2).sum().backward()
    assert y.grad.device == x.device and y.grad.cpu()[0].tolist() == [0, 2, 4, 6]
    for wrong in (
        lambda: x + host,
        lambda: host[x[0] > 1],
        lambda: torch.cat([x, host[None]]),
        lambda: torch.stack([x[0, 0], torch.tensor(1.0)]),
        lambda: x.index_add(0, torch.tensor([0]), x[:1]),
    ):
        with pytest.raises(fake_device.MixedDevices):
            wrong()
    with pytest.raises(TypeError, match="numpy"):
        np.asarray(x)


def test_film(scenes, tmp_path):
    """A film keeps what the device holds and draws on the host."""
    preset = shortened(load_preset("best"))
    fitter = SceneFitter("free", preset=preset, device=fake_device.NAME)
    with FitFilm(tmp_path / "fit.webp", number=1, frames=2, height=40) as film:
        fitter.fit(scenes, callback=film)
        assert film._latest.params["transl"].device.type == fake_device.NAME
    with Image.open(tmp_path / "fit.webp") as file:
        assert file.n_frames == 2


def test_files(scenes, tmp_path):
    """What `apu fit` leaves of a fit there: meshes and pictures are drawn here."""
    preset = shortened(load_preset("no_contact"))
    fitter = SceneFitter("free", preset=preset, device=fake_device.NAME)
    fit_scenes({"pair": scenes[0]}, fitter, tmp_path / "out")
    left = trimesh.load(tmp_path / "out" / "pair.glb").geometry
    assert len(left) == 2 and (tmp_path / "out" / "pair.png").stat().st_size > 10_000

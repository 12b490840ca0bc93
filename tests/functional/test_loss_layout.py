"""Losses lay their mesh out by the bodies that they see, compile and export without it, copy and pickle."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from loss_toys import icosphere, toy_bodies, toy_map, toy_regions

from apu_contacts import ContactMap
from apu_losses import MinimumDistanceLoss, PenetrationLoss, SelfPenetrationLoss, SoftContactLoss
from apu_losses.functional import penetration as module_under_test
from apu_losses.geometry.topology import MeshTopology, as_topology

NOWHERE = torch.tensor(torch.nan)


def shuffled_spheres(batch: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Overlapping spheres whose vertices are numbered at random, so that the numbering says nothing."""
    vertices, faces = icosphere(0.3, (0.0, 0.0, 0.0), 3)
    place = torch.randperm(len(vertices), generator=torch.Generator().manual_seed(0))
    mixed = torch.empty_like(vertices)
    mixed[place] = vertices
    shift = 0.4 + 0.001 * torch.arange(batch)[:, None, None] * torch.tensor([1.0, 0.0, 0.0])
    a = mixed.float().expand(batch, -1, -1).contiguous()
    return a, a + shift * torch.tensor([1.0, 0.0, 0.0]), place[faces]


@pytest.mark.parametrize("kind", [PenetrationLoss, MinimumDistanceLoss])
def test_the_first_sound_body_lays_out_the_search(kind):
    a, b, faces = shuffled_spheres()
    given, found = kind(faces, template=a[0]), kind(faces)
    found(a * NOWHERE, b)  # a body that is not finite shows nothing
    torch.testing.assert_close(found(a, b), given(a, b), rtol=0, atol=0)
    assert torch.equal(found._mesh.topology.slots, given._mesh.topology.slots)
    assert torch.equal(found._mesh.topology.face_order, given._mesh.topology.face_order)
    laid_out = found._mesh.topology
    found(b, a)
    assert found._mesh.topology is laid_out


def test_faces_in_a_function_are_laid_out_by_a_sound_body():
    a, _, faces = shuffled_spheres()
    by_number = as_topology(faces, a * NOWHERE)
    assert torch.equal(as_topology(faces, a).slots, MeshTopology.build(faces, a.shape[1], a[0]).slots)
    assert not torch.equal(as_topology(faces, a).slots, by_number.slots)
    assert as_topology(faces, a * NOWHERE) is as_topology(faces, a)


def test_inference_mode_first_and_training_later():
    a, b, faces = shuffled_spheres()
    loss = PenetrationLoss(faces)
    with torch.inference_mode():
        value = loss(a, b)
    leaf = a.clone().requires_grad_()
    later = loss(leaf, b)
    later.sum().backward()
    assert torch.equal(later, value) and leaf.grad.abs().sum() > 0


@pytest.mark.parametrize("seen", [False, True])
def test_copies_pickles_exports_and_compiles_whether_or_not_it_has_seen_a_body(seen):
    a, b, faces = shuffled_spheres()
    loss = PenetrationLoss(faces)
    value = PenetrationLoss(faces, template=a[0])(a, b)
    if seen:
        loss(a, b)
    state = dict(vars(loss))
    others = {
        "deepcopy": copy.deepcopy(loss),
        "pickle": pickle.loads(pickle.dumps(loss)),
        "export": torch.export.export(loss, (a, b)).module(),
        "compile": torch.compile(loss, fullgraph=True, backend="aot_eager"),
    }
    for name, other in others.items():
        torch.testing.assert_close(other(a, b), value, msg=name)
    loss(a, b)
    assert all(vars(loss)[name] is was for name, was in state.items())


def test_a_new_contact_map_breaks_the_graph_and_nothing_else():
    torch._dynamo.reset()
    regions, (a, b) = toy_regions(), (toy_bodies(2), toy_bodies(2, seed=1))
    loss = SoftContactLoss(regions)
    compiled = torch.compile(loss, backend="aot_eager")
    for cmap in (ContactMap([[17, 71]]), toy_map(), [toy_map(), ContactMap([[3, 4]])], toy_map()):
        torch.testing.assert_close(compiled(a, b, cmap), SoftContactLoss(regions)(a, b, cmap))


def test_self_penetration_leaves_scipy_out_of_the_graph():
    torch._dynamo.reset()
    vertices, faces = icosphere(0.3, (0.0, 0.0, 0.0))
    body = vertices.float()[None]
    loss = SelfPenetrationLoss(faces, template=body[0])
    compiled = torch.compile(loss, backend="aot_eager")
    torch.testing.assert_close(compiled(body), loss(body))


def test_each_search_lays_out_only_the_bodies_that_it_asks_about(monkeypatch):
    """The work of a batch grows with its pairs: no call of the search is given all bodies of the batch."""
    a, b, faces = shuffled_spheres(100)
    given = []
    search = module_under_test.unchecked_penetration

    def counted(points, vertices, *arguments, **options):
        given.append(len(vertices))
        return search(points, vertices, *arguments, **options)

    monkeypatch.setattr(module_under_test, "unchecked_penetration", counted)
    together = PenetrationLoss(faces, template=a[0])(a, b)
    assert sum(given) <= 2 * 200 and len(given) > 1
    monkeypatch.undo()
    one_by_one = [
        PenetrationLoss(faces, template=a[0])(a[i : i + 1], b[i : i + 1]) for i in range(0, 100, 33)
    ]
    torch.testing.assert_close(together[::33], torch.cat(one_by_one), rtol=0, atol=0)


@pytest.mark.parametrize(
    "given",
    [
        lambda f: f.numpy()[:, ::-1][:, ::-1],
        lambda f: f.numpy()[::-1],
        lambda f: f.numpy().astype(np.uint16),
        lambda f: f.tolist(),
        lambda f: f.numpy().astype(np.float32),
        lambda f: torch.from_numpy(f.numpy().astype(np.int32)),
    ],
    ids=["two negative strides", "negative stride", "uint16", "list", "float32", "int32"],
)
def test_faces_come_as_they_come(given):
    a, b, faces = shuffled_spheres()
    torch.testing.assert_close(PenetrationLoss(given(faces))(a, b), PenetrationLoss(faces)(a, b))

"""The losses in other people's machinery: torch.compile without a graph break, torch.func, and both agree."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from loss_toys import icosphere, toy_bodies, toy_map, toy_regions
from torch.func import grad, jvp, vmap

from apu_losses.functional.contact import ContactForm, pair_contact
from apu_losses.functional.contact_edges import ContactEdges
from apu_losses.functional.nearest import minimum_distance
from apu_losses.functional.penetration import penetration_loss
from apu_losses.geometry.topology import MeshTopology
from apu_losses.modules import SoftContactLoss

REGIONS = toy_regions()
SPHERE, FACES = icosphere(0.2, (0, 0, 0), subdivisions=2)
TOPOLOGY = MeshTopology.build(FACES, len(SPHERE), SPHERE)


def contact(over, count, **form):
    edges = ContactEdges.from_maps([toy_map()] * count, range(count), range(count, 2 * count), over=over)
    if "mode" in form:
        edges.every_vertex(REGIONS)  # compiled code cannot: the number of vertices depends on the regions
    return lambda a, b: pair_contact(a, b, edges, REGIONS, ContactForm(**form))


def spheres(count):
    """Pairs of spheres that cross, each pair differently."""
    steps = torch.linspace(0.2, 0.35, count, dtype=torch.float64)
    shift = torch.stack([steps, 0.02 * steps, -0.1 * steps], 1)[:, None]
    return SPHERE.repeat(count, 1, 1), SPHERE + shift


CASES = {
    "contact over pairs": (lambda n: contact("pairs", n, robust=0.2), "clouds"),
    "contact, chamfer": (lambda n: contact("pairs", n, mode="chamfer_quartic"), "clouds"),
    "contact over parts": (lambda n: contact("parts", n), "clouds"),
    "penetration": (lambda n: lambda a, b: penetration_loss(a, b, TOPOLOGY), "spheres"),
    "penetration to vertices": (
        lambda n: lambda a, b: penetration_loss(a, b, TOPOLOGY, target="vertex", energy="quartic"),
        "spheres",
    ),
    "minimum distance": (lambda n: lambda a, b: minimum_distance(a, b, TOPOLOGY), "spheres"),
}


def inputs(kind, count=3):
    return spheres(count) if kind == "spheres" else (toy_bodies(count, 0), toy_bodies(count, 1))


def plain(loss, a, b):
    x, y = a.clone().requires_grad_(), b.clone().requires_grad_()
    values = loss(x, y)
    return (values.detach(), *torch.autograd.grad(values.sum(), (x, y)))


@pytest.mark.parametrize("name", CASES)
def test_compiled_whole_and_eager_agree(name):
    make, kind = CASES[name]
    loss = make(3)
    a, b = inputs(kind)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(plain(compiled, a, b), plain(loss, a, b), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_chamfer_compiles_once_its_maps_are_laid_out():
    loss = SoftContactLoss(REGIONS, mode="chamfer_quartic")
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    a, b = inputs("clouds")
    edges = loss.edges(toy_map(), 3)
    torch.testing.assert_close(compiled(a, b, edges), loss(a, b, toy_map()))
    unprepared = ContactEdges.from_maps([toy_map()] * 3, range(3), range(3, 6), over="parts")
    with pytest.raises(Exception, match="compiled code cannot list the vertices"):
        compiled(a, b, unprepared)


@pytest.mark.parametrize("what", ["regions", "faces"])
def test_a_mesh_that_was_never_seen_is_laid_out_beside_the_graph(what):
    """Traced, that warns of builtins that cannot be, and is slow."""
    a, b = inputs("clouds" if what == "regions" else "spheres")
    regions = SimpleNamespace(offsets=REGIONS.offsets.numpy(), vertex_ids=REGIONS.vertex_ids.numpy())
    faces = np.asarray(FACES.tolist())
    edges = ContactEdges.from_maps([toy_map()] * 3, range(3), range(3, 6), over="parts")

    def loss(x, y):
        if what == "regions":
            return pair_contact(x, y, edges, regions, ContactForm())
        return penetration_loss(x, y, faces)

    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Dynamo does not know")
        found = torch.compile(loss, backend="aot_eager")(a, b)
    torch.testing.assert_close(found, loss(a, b))


@pytest.mark.parametrize("name", CASES)
def test_vmap_of_grad_is_the_gradient_of_each(name):
    make, kind = CASES[name]
    one, many = make(1), make(3)
    a, b = inputs(kind)
    ours = vmap(grad(lambda x, y: one(x[None], y[None])[0], argnums=(0, 1)))(a, b)
    values, *theirs = plain(many, a, b)
    for mapped, looped in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mapped, looped)
    torch.testing.assert_close(vmap(lambda x, y: one(x[None], y[None])[0])(a, b), values)
    assert values.abs().min() > 0


@pytest.mark.parametrize("name", CASES)
def test_forward_mode_agrees_with_backward(name):
    make, kind = CASES[name]
    loss = make(3)
    a, b = inputs(kind)
    direction = torch.randn(a.shape, generator=torch.Generator().manual_seed(0), dtype=a.dtype)
    _, forward = jvp(lambda x: loss(x, b), (a,), (direction,))
    _, backward, _ = plain(loss, a, b)
    torch.testing.assert_close(forward, (backward * direction).sum((1, 2)))

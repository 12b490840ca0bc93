"""The short way of eager code has the bits, the rules and the derivatives of the general one."""

from __future__ import annotations

import gc
import pickle
import weakref

import pytest
import torch
from loss_toys import VERTICES, toy_bodies, toy_map, toy_regions
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from apu_contacts.contacts import ContactMap
from apu_losses.functional.contact import (
    ContactForm,
    contact_energy,
    pair_contact,
    select_contacts,
    soft_contact,
)
from apu_losses.functional.contact_edges import ContactEdges, edges_of_pairs
from apu_losses.functional.nearest import minimum_distance, minimum_distance_energy, select_nearest
from apu_losses.functional.rows import gather_points
from apu_losses.geometry.dispatch import cpu_problem
from apu_losses.geometry.eager import goes_the_short_way
from apu_losses.geometry.topology import MeshTopology
from apu_losses.modules import SoftContactLoss

pytestmark = pytest.mark.skipif(cpu_problem() is not None, reason="the short way is compiled by numba")

REGIONS = toy_regions()
BODIES = toy_bodies(6, dtype=torch.float32)
FACES = torch.arange(VERTICES - VERTICES % 3).view(-1, 3)
each_form = pytest.mark.parametrize("robust", [None, 0.2])
each_over = pytest.mark.parametrize("over", ["pairs", "parts"])


def edges_for(count: int, over: str = "pairs") -> ContactEdges:
    maps = [toy_map(3, seed=k) for k in range(count)]
    return edges_of_pairs(maps, over=over, dtype=torch.float64)


def general(a: Tensor, b: Tensor, edges: ContactEdges, form: ContactForm) -> Tensor:
    """The loss by its two public steps, as a fitter takes them."""
    vertices = torch.cat([a, b])
    found = select_contacts(vertices, edges, REGIONS, form)
    ends = (found.row_a, found.vertex_a), (found.row_b, found.vertex_b)
    return contact_energy(*(gather_points(vertices, *end) for end in ends), found)


def general_minimum(a: Tensor, b: Tensor) -> Tensor:
    vertices, row = torch.cat([a, b]), torch.arange(len(a))
    found = select_nearest(vertices, FACES_LAID_OUT, row, row + len(a))
    ends = (found.row_a, found.vertex_a), (found.row_b, found.vertex_b)
    return minimum_distance_energy(*(gather_points(vertices, *end) for end in ends), found)


FACES_LAID_OUT = MeshTopology.build(FACES, VERTICES)


def leaves(count: int = 3) -> tuple[Tensor, Tensor]:
    return BODIES[:count].clone().requires_grad_(), BODIES[3 : 3 + count].clone().requires_grad_()


def took_the_short_way(value: Tensor) -> bool:
    names, todo = set(), [value.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None:
            names.add(type(node).__name__)
            todo += [following for following, _ in node.next_functions]
    return any("NearestEnergies" in name for name in names)


def same_bits(ours: Tensor, theirs: Tensor) -> bool:
    return ours.dtype == theirs.dtype and ours.numpy().tobytes() == theirs.numpy().tobytes()


@each_form
@each_over
@pytest.mark.parametrize("broken", [False, True])
def test_a_contact_has_the_same_bits(robust, over, broken):
    edges, form, pull = edges_for(3, over), ContactForm(robust=robust), torch.tensor([1.0, -0.3, 7e3])
    results = []
    for loss in (lambda a, b: pair_contact(a, b, edges, REGIONS, form), lambda *x: general(*x, edges, form)):
        a, b = leaves()
        if broken:
            with torch.no_grad():
                a[1, REGIONS.vertices(int(toy_map(3, seed=1).pairs[0, 0]))[0]] = torch.nan
        value = loss(a, b)
        results.append((value.detach(), *torch.autograd.grad(value, (a, b), pull)))
        short = took_the_short_way(value)
        assert short is (len(results) == 1)
    assert all(map(same_bits, *results))
    assert bool(results[0][0].isnan().any()) is broken
    assert results[0][1].isfinite().all()


def test_a_minimum_distance_has_the_same_bits():
    a, b = leaves()
    with torch.no_grad():
        b[2, 5] = torch.inf
    ours, theirs = minimum_distance(a, b, FACES_LAID_OUT), general_minimum(a, b)
    assert took_the_short_way(ours)
    assert not took_the_short_way(theirs)
    pull = torch.tensor([2.0, -0.1, 1.0])
    one, two = (torch.autograd.grad(x, (a, b), pull) for x in (ours, theirs))
    assert all(map(same_bits, (ours.detach(), *one), (theirs.detach(), *two)))


@each_form
def test_second_derivatives_are_those_of_the_general_way(robust):
    edges, form = edges_for(3), ContactForm(robust=robust)
    along = toy_bodies(6, seed=9, dtype=torch.float32)
    results = []
    for loss in (lambda a, b: pair_contact(a, b, edges, REGIONS, form), lambda *x: general(*x, edges, form)):
        a, b = leaves()
        pull = torch.tensor([1.0, 0.5, -2.0], requires_grad=True)
        first = torch.autograd.grad(loss(a, b), (a, b), pull, create_graph=True)
        slope = (first[0] * along[:3]).sum() + (first[1] * along[3:]).sum()
        results.append(torch.autograd.grad(slope, (a, b, pull)))
    for ours, theirs in zip(*results, strict=True):
        assert theirs.abs().max() > 0
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6 * float(theirs.abs().max()))


def test_many_gradients_at_once():
    edges = edges_for(3)
    a, b = leaves()
    pulls = torch.eye(3)
    value = pair_contact(a, b, edges, REGIONS)
    together = torch.autograd.grad(value, (a, b), pulls, is_grads_batched=True, retain_graph=True)
    for pull, *grads in zip(pulls, *together, strict=True):
        apart = torch.autograd.grad(value, (a, b), pull, retain_graph=True)
        assert all(torch.allclose(x, y) for x, y in zip(grads, apart, strict=True))


def test_only_what_asks_for_a_gradient_gets_one():
    edges = edges_for(3)
    a, b = leaves()
    wanted = torch.autograd.grad(pair_contact(a, b, edges, REGIONS).sum(), (a, b))
    for one, other, k in ((a, b.detach(), 0), (a.detach(), b, 1)):
        value = pair_contact(one, other, edges, REGIONS)
        assert same_bits(torch.autograd.grad(value.sum(), (one, other)[k])[0], wanted[k])
    assert not pair_contact(a.detach(), b.detach(), edges, REGIONS).requires_grad
    with torch.no_grad():
        assert not pair_contact(a, b, edges, REGIONS).requires_grad
    both = torch.autograd.grad(pair_contact(a, a, edges, REGIONS).sum(), a)[0]  # one tensor twice
    expected = torch.autograd.grad(general(a, a, edges, ContactForm()).sum(), a)[0]
    assert torch.allclose(both, expected)


def test_strides_and_later_writes_do_not_matter():
    edges = edges_for(3)
    a, b = leaves()
    expected = torch.autograd.grad(pair_contact(a, b, edges, REGIONS).sum(), (a, b))
    turned = a.detach().permute(2, 1, 0).contiguous().permute(2, 1, 0).requires_grad_()
    shared = b[:1].detach().expand(3, -1, -1)
    assert torch.equal(
        pair_contact(turned, shared, edges, REGIONS), pair_contact(a, shared.clone(), edges, REGIONS)
    )
    moved = a * 1
    value = pair_contact(moved, b, edges, REGIONS)
    with torch.no_grad():
        moved.zero_()  # an optimiser may write before the backward
    assert all(map(same_bits, torch.autograd.grad(value.sum(), (a, b)), expected))


def test_checkpoints_and_saved_tensor_hooks():
    edges = edges_for(3)
    a, b = leaves()
    expected = torch.autograd.grad(pair_contact(a, b, edges, REGIONS).sum(), (a, b))
    value = checkpoint(lambda *x: pair_contact(*x, edges, REGIONS), a, b, use_reentrant=False)
    assert all(map(same_bits, torch.autograd.grad(value.sum(), (a, b)), expected))


def test_what_else_looks_at_tensors_takes_the_general_way():
    a, b = (x.detach() for x in leaves())
    assert goes_the_short_way("auto", a, b)
    assert not goes_the_short_way("torch", a, b)
    assert not goes_the_short_way("auto", a.double())
    assert not goes_the_short_way("auto", a.half())
    assert not goes_the_short_way("auto", a.to("meta"))
    seen = []
    torch.func.vmap(lambda x: (seen.append(goes_the_short_way("auto", x)), x)[1])(a)
    torch.jit.trace(lambda x: (seen.append(goes_the_short_way("auto", x)), x * 1)[1], a, check_trace=False)
    with torch.autograd.forward_ad.dual_level():
        seen.append(goes_the_short_way("auto", torch.autograd.forward_ad.make_dual(a, b)))
    with torch._subclasses.FakeTensorMode() as mode:
        seen.append(goes_the_short_way("auto", mode.from_tensor(a)))
    assert seen == [False] * len(seen)


def test_forward_mode_goes_through():
    edges, along = edges_for(3), toy_bodies(3, seed=4, dtype=torch.float32)
    a, b = leaves()
    slope = (torch.autograd.grad(pair_contact(a, b, edges, REGIONS).sum(), a)[0] * along).sum()
    _, tangent = torch.func.jvp(
        lambda x: pair_contact(x, b.detach(), edges, REGIONS), (a.detach(),), (along,)
    )
    assert torch.allclose(tangent.sum(), slope, rtol=1e-4)


def test_mistakes_are_told_as_before():
    edges = edges_for(3)
    a, b = leaves()
    with pytest.raises(ValueError, match="one edge a pair"):
        pair_contact(a[:2], b[:2], edges, REGIONS)
    with pytest.raises(ValueError, match="must have the same shape"):
        pair_contact(a[:2], b, edges, REGIONS)
    with pytest.raises(ValueError, match="vertices a body"):
        pair_contact(a[:, :9], b[:, :9], edges, REGIONS)


def test_weights_that_change_or_learn_count():
    edges = edges_for(3)
    a, b = leaves()
    before = pair_contact(a, b, edges, REGIONS)
    edges.weight.mul_(2)
    try:
        assert torch.equal(pair_contact(a, b, edges, REGIONS), 2 * before)
    finally:
        edges.weight.mul_(0.5)


def test_the_functional_form_lays_a_map_out_once_and_does_not_keep_it():
    a, b = leaves(1)
    cmap = toy_map(2, seed=31)
    first = edges_of_pairs([cmap], over="parts", dtype=torch.float32, device=a.device)
    soft_contact(a, b, cmap, REGIONS)
    assert edges_of_pairs([cmap], over="parts", dtype=torch.float32, device=a.device) is first
    assert edges_of_pairs([cmap], over="pairs", dtype=torch.float32, device=a.device) is not first
    other = ContactMap(cmap.pairs, 2 * cmap.weights, cmap.group)
    assert torch.equal(soft_contact(a, b, other, REGIONS), 2 * soft_contact(a, b, cmap, REGIONS))
    gone = weakref.ref(cmap)
    del cmap
    gc.collect()
    assert gone() is None


def test_maps_seen_first_in_inference_mode_train_later():
    a, b = leaves(1)
    loss, cmap = SoftContactLoss(REGIONS), toy_map(2, seed=33)
    with torch.inference_mode():
        value = loss(a, b, cmap)
        near = minimum_distance(a, b, FACES_LAID_OUT)
    again = loss(a, b, cmap)
    assert torch.equal(again, value)
    again.sum().backward()
    minimum_distance(a, b, FACES_LAID_OUT).sum().backward()
    assert torch.equal(near, minimum_distance(a, b, FACES_LAID_OUT))
    loss.double()(a.detach().double().requires_grad_(), b.double(), cmap).sum().backward()


def test_what_is_remembered_pickles():
    edges = edges_for(3)
    a, b = leaves()
    value = pair_contact(a, b, edges, REGIONS)
    copied = pickle.loads(pickle.dumps(edges))
    assert torch.equal(pair_contact(a, b, copied, REGIONS), value)

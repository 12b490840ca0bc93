"""The contact loss against scipy, closed forms, finite differences and the defects of others."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from loss_toys import VERTICES, icosphere, toy_bodies, toy_map, toy_regions
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from apu_contacts.contacts import ContactMap, PartContact
from apu_losses.fitting import SceneBatch, SceneMetrics
from apu_losses.fitting.objective.terms.contact import ContactTerm, FacingTerm
from apu_losses.functional.contact import (
    ContactForm,
    chamfer_energy,
    contact_energy,
    contact_values,
    select_contacts,
    soft_contact,
)
from apu_losses.functional.contact_edges import ContactEdges, edges_of_pairs
from apu_losses.functional.facing import contact_facing
from apu_losses.functional.robust import geman_mcclure, geman_mcclure_weight
from apu_losses.functional.rows import gather_points
from apu_losses.geometry.topology import RegionIndex
from apu_losses.modules import SoftContactLoss

REGIONS = toy_regions()
FORMS = [
    {},
    {"over": "pairs"},
    {"robust": 0.2, "over": "pairs"},
    {"over": "parts", "soft": 0.02},
    {"robust": 0.2},
    {"over": "parts", "robust": 0.2, "soft": 0.02},
    {"mode": "chamfer_quartic"},
    {"mode": "chamfer_quartic", "over": "pairs"},
]
either_order = pytest.mark.parametrize("order", ["given", "either"])
each_form = pytest.mark.parametrize("form", FORMS, ids=str)


def oracle(a, b, cmap, *, over="parts", mode="min", robust=None, soft=None):
    """The loss as its documentation says it, in NumPy."""
    a, b = np.asarray(a), np.asarray(b)

    def distances(i, j):
        ids_i = np.unique(np.concatenate([REGIONS.vertices(r).numpy() for r in np.atleast_1d(i)]))
        ids_j = np.unique(np.concatenate([REGIONS.vertices(r).numpy() for r in np.atleast_1d(j)]))
        return cdist(a[ids_i], b[ids_j]) ** 2

    total = 0.0
    for regions_a, regions_b, weight, _ in (cmap if over == "parts" else cmap.merged()).groups():
        d2 = distances(regions_a, regions_b)
        if mode == "chamfer_quartic":
            value = np.mean((100 * d2.min(1)) ** 2) + np.mean((100 * d2.min(0)) ** 2)
        elif soft is None:
            value = d2.min()
        else:
            least = np.array([distances(i, j).min() for i in regions_a for j in regions_b])
            value = -soft * (logsumexp(-least / soft) - np.log(len(least)))
        if robust is not None:
            value = robust**2 * value / (robust**2 + value)
        total += weight * value
    return total


@each_form
def test_equals_the_formula(form):
    a, b = toy_bodies(3, seed=1), toy_bodies(3, seed=2) + 0.5
    maps = [toy_map(seed=s) for s in range(3)]
    expected = [oracle(a[i], b[i], maps[i], **form) for i in range(3)]
    np.testing.assert_allclose(soft_contact(a, b, maps, REGIONS, **form), expected, rtol=1e-10)


@each_form
def test_either_order_is_the_smaller_of_both(form):
    a, b = toy_bodies(8, seed=3), toy_bodies(8, seed=4) + 0.3
    given = soft_contact(a, b, toy_map(), REGIONS, **form)
    other = soft_contact(b, a, toy_map(), REGIONS, **form)
    smaller = soft_contact(a, b, toy_map(), REGIONS, order="either", **form)
    torch.testing.assert_close(smaller, torch.minimum(given, other))
    assert (given < other).any() and (other < given).any()


def test_either_order_equals_the_transposed_map():
    a, b = toy_bodies(4, seed=3), toy_bodies(4, seed=4) + 0.3
    torch.testing.assert_close(
        soft_contact(b, a, toy_map(), REGIONS), soft_contact(a, b, toy_map().transposed(), REGIONS)
    )


def test_order_is_given_per_pair():
    a, b = toy_bodies(4, seed=3), toy_bodies(4, seed=4) + 0.3
    given = soft_contact(a, b, toy_map(), REGIONS)
    smaller = soft_contact(a, b, toy_map(), REGIONS, order="either")
    mixed = soft_contact(a, b, toy_map(), REGIONS, order=["either", "given", "either", "given"])
    torch.testing.assert_close(mixed, torch.stack([smaller[0], given[1], smaller[2], given[3]]))


def test_a_pair_in_several_groups_counts_once():
    shared = ContactMap([(3, 5), (3, 5)], [0.4, 0.9], [0, 1])
    alone = ContactMap([(3, 5)], [0.9])
    a, b = toy_bodies(1), toy_bodies(1, seed=1)
    torch.testing.assert_close(
        soft_contact(a, b, shared, REGIONS, over="pairs"), soft_contact(a, b, alone, REGIONS)
    )


def test_no_groups_make_parts_and_pairs_the_same():
    plain = ContactMap(toy_map().merged().pairs)
    a, b = toy_bodies(2), toy_bodies(2, seed=1)
    torch.testing.assert_close(
        soft_contact(a, b, plain, REGIONS), soft_contact(a, b, plain, REGIONS, over="pairs")
    )


def test_soft_minimum_lies_between_least_and_mean_and_tends_to_the_least():
    a, b = toy_bodies(2), toy_bodies(2, seed=1) + 0.4
    hard = soft_contact(a, b, toy_map(), REGIONS, over="parts")
    for temperature in (1e-1, 1e-3, 1e-6):
        soft = soft_contact(a, b, toy_map(), REGIONS, over="parts", soft=temperature)
        assert (soft >= hard - 1e-12).all()
    torch.testing.assert_close(soft, hard, atol=1e-5, rtol=0)


def test_robust_gradient_is_that_of_the_reweighted_square():
    rho, squared = 0.15, torch.rand(50, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(geman_mcclure(squared, rho).sum(), squared)
    torch.testing.assert_close(gradient, geman_mcclure_weight(squared.detach(), rho))
    torch.testing.assert_close(geman_mcclure(squared * 1e-9, rho), squared * 1e-9)
    assert geman_mcclure(torch.tensor(1e9), rho) == pytest.approx(rho**2)


def test_an_invented_contact_lets_go():
    """Of one true contact at 2 cm and one invented at 1 m, the robust loss pulls at the true one only."""
    vertices = torch.zeros(2, VERTICES, 3, dtype=torch.float64)
    vertices[1, :, 0] = 1.0
    vertices[1, REGIONS.vertices(4), 0] = 0.02
    vertices.requires_grad_(True)
    cmap = ContactMap([(2, 4), (7, 9)])
    pull = {}
    for robust in (None, 0.1):
        loss = soft_contact(vertices[:1], vertices[1:], cmap, REGIONS, robust=robust).sum()
        (gradient,) = torch.autograd.grad(loss, vertices)
        pull[robust] = [float(gradient[1, REGIONS.vertices(r)].norm(dim=1).max()) for r in (4, 9)]
    assert pull[None][1] > 10 * pull[None][0]
    assert pull[0.1][0] > 20 * pull[0.1][1]


@each_form
@either_order
def test_gradient_by_finite_differences(form, order):
    a, b = toy_bodies(2, seed=5), toy_bodies(2, seed=6)
    used = torch.unique(torch.cat([REGIONS.vertices(r) for r in np.unique(toy_map(2).pairs).tolist()]))
    start = torch.cat([a, b])[:, used].requires_grad_(True)

    def loss(points):
        whole = torch.cat([a, b]).index_copy(1, used, points)
        return soft_contact(whole[:2], whole[2:], toy_map(2), REGIONS, order=order, **form)

    assert torch.autograd.gradcheck(loss, start, eps=1e-7, atol=1e-4, rtol=1e-4, fast_mode=True)


def test_gradient_reaches_the_nearest_vertices_only():
    a, b = toy_bodies(1).requires_grad_(True), toy_bodies(1, seed=1) + 0.4
    soft_contact(a, b, ContactMap([(8, 20)]), REGIONS).sum().backward()
    ids = REGIONS.vertices(8)
    d2 = cdist(a.detach()[0, ids], b[0, REGIONS.vertices(20)])
    assert torch.nonzero(a.grad[0].norm(dim=1))[:, 0].tolist() == [int(ids[d2.min(1).argmin()])]


@each_form
@either_order
def test_an_empty_map_gives_zero_and_zero_gradient(form, order):
    a, b = toy_bodies(2).requires_grad_(True), toy_bodies(2, seed=1).requires_grad_(True)
    loss = soft_contact(a, b, [ContactMap.empty(), toy_map()], REGIONS, order=order, **form)
    assert loss[0] == 0 and loss[1] > 0
    nothing = soft_contact(a, b, ContactMap.empty(), REGIONS, order=order, **form)
    nothing.sum().backward()
    assert nothing.tolist() == [0, 0] and a.grad.abs().max() == 0 and b.grad.abs().max() == 0


@each_form
def test_coincident_vertices_have_a_finite_gradient(form):
    """The root of a zero distance must not appear anywhere."""
    a = toy_bodies(1).requires_grad_(True)
    loss = soft_contact(a, a.detach(), ContactMap([(3, 3), (8, 8)], None, [0, 0]), REGIONS, **form)
    loss.sum().backward()
    assert torch.isfinite(a.grad).all()
    # a soft minimum also sees the pairs (3, 8) and (8, 3) of the group, which are apart
    assert loss.item() == 0 or "soft" in form


@pytest.mark.parametrize("depth", [3.0, 10.0, 30.0, 60.0])
@each_form
def test_far_away_people_are_as_exact_as_near_ones(depth, form):
    """|a|^2 + |b|^2 - 2ab in float32 errs by 7 mm at 30 m and 23 mm at 60 m."""
    offset = torch.tensor([depth / 3, -depth / 4, depth])
    a = (toy_bodies(2, seed=1) + offset).float()
    b = (toy_bodies(2, seed=2) + offset + 0.05).float()
    exact = soft_contact(a.double(), b.double(), toy_map(), REGIONS, **form)
    torch.testing.assert_close(
        soft_contact(a, b, toy_map(), REGIONS, **form).double(), exact, rtol=1e-4, atol=1e-9
    )


def test_two_spheres_at_two_centimetres_are_at_two_centimetres():
    """The printed formula is the smallest distance, exactly, for regions of any size."""
    left, _ = icosphere(0.1, (-0.11, 0, 0))
    right, _ = icosphere(0.1, (0.11, 0, 0))
    count = len(left)
    tip = int(left[:, 0].argmax())
    lists = [np.arange(count), np.array([tip, (tip + 1) % count])] + [np.zeros(1, int)] * 73
    regions = RegionIndex.from_lists(lists, count)
    exact = cdist(left, right).min()
    assert exact == pytest.approx(0.02, abs=1e-6)
    loss = soft_contact(left[None], right[None], ContactMap([(0, 0)]), regions)
    assert loss.item() == pytest.approx(0.02**2, rel=1e-4)
    few = soft_contact(left[None], right[None], ContactMap([(1, 0)]), regions)
    assert few.item() == pytest.approx(0.02**2, rel=1e-4)
    chamfer = soft_contact(left[None], right[None], ContactMap([(0, 0)]), regions, mode="chamfer_quartic")
    assert chamfer.item() > 96 * (100 * loss.item()) ** 2


@each_form
def test_moving_and_relabelling_change_nothing(form):
    a, b = toy_bodies(2, seed=1), toy_bodies(2, seed=2) + 0.3
    reference = soft_contact(a, b, toy_map(), REGIONS, **form)
    turn = torch.linalg.qr(
        torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    )[0]
    moved = [x @ turn + torch.tensor([0.5, -1.0, 4.0]) for x in (a, b)]
    torch.testing.assert_close(soft_contact(*moved, toy_map(), REGIONS, **form), reference)

    order = np.random.default_rng(0).permutation(len(toy_map()))
    cmap = toy_map()
    shuffled = ContactMap(cmap.pairs[order], cmap.weights[order], cmap.group[order])
    torch.testing.assert_close(soft_contact(a, b, shuffled, REGIONS, **form), reference)

    new_id = torch.as_tensor(np.random.default_rng(1).permutation(VERTICES))
    relabelled = RegionIndex.from_lists([new_id[REGIONS.vertices(r)].numpy() for r in range(75)], VERTICES)
    a2, b2 = torch.empty_like(a), torch.empty_like(b)
    a2[:, new_id], b2[:, new_id] = a, b
    torch.testing.assert_close(soft_contact(a2, b2, toy_map(), relabelled, **form), reference)


@each_form
@either_order
def test_the_same_bits_each_time(form, order):
    results = []
    for _ in range(3):
        a = toy_bodies(3, seed=1, dtype=torch.float32).requires_grad_(True)
        loss = soft_contact(
            a, toy_bodies(3, seed=2, dtype=torch.float32), toy_map(), REGIONS, order=order, **form
        )
        loss.sum().backward()
        results.append(torch.cat([loss.detach(), a.grad.flatten()]))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@each_form
def test_items_do_not_influence_each_other(form):
    a, b = toy_bodies(3, seed=1), toy_bodies(3, seed=2) + 0.3
    maps = [toy_map(seed=0), ContactMap.empty(), toy_map(seed=2)]
    together = soft_contact(a, b, maps, REGIONS, **form)
    alone = torch.cat([soft_contact(a[i : i + 1], b[i : i + 1], maps[i], REGIONS, **form) for i in range(3)])
    torch.testing.assert_close(together, alone)


@each_form
@either_order
def test_nan_in_nan_out_and_nowhere_else(form, order):
    a = toy_bodies(2, seed=1)
    a[0, REGIONS.vertices(int(toy_map().pairs[0, 0]))[0]] = float("nan")
    a.requires_grad_(True)
    loss = soft_contact(a, toy_bodies(2, seed=2), toy_map(), REGIONS, order=order, **form)
    assert loss[0].isnan() and loss[1].isfinite()
    loss[1].backward()
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("over", ["pairs", "parts"])
@either_order
def test_chamfer_in_one_step_is_that_in_two(order, over):
    """Value and gradient; of the bodies only the listed vertices count, and NaN stays where it is."""
    bodies = torch.cat([toy_bodies(8, seed=3), toy_bodies(8, seed=4) + 0.3])
    maps = [toy_map(seed=s) for s in range(7)] + [ContactMap([], [])]
    orders = [order, "given"] * 4
    edges = ContactEdges.from_maps(maps, range(8), range(8, 16), over=over, order=orders, dtype=torch.float64)
    known = edges.both_orders.every_vertex(REGIONS)
    listed = torch.zeros(16, VERTICES, dtype=torch.bool)
    listed[known.row, known.vertex] = True
    bodies[2, int(known.vertex[known.row == 2][0]), 1] = torch.nan
    results = []
    for whole in (bodies, torch.where(listed[..., None], bodies, 0.0)):
        leaf = whole.clone().requires_grad_()
        if whole is bodies:
            form = ContactForm("chamfer_quartic")
            found = select_contacts(leaf, edges, REGIONS, form)
            points = (
                gather_points(leaf, r, v)
                for r, v in ((found.row_a, found.vertex_a), (found.row_b, found.vertex_b))
            )
            value = contact_energy(*points, found)
        else:
            value = chamfer_energy(leaf, edges, REGIONS)
        assert value.isnan().tolist() == [k == 2 for k in range(8)] and value[7] == 0
        weight = torch.linspace(1, 2, 8, dtype=torch.float64)
        results.append((value, *torch.autograd.grad((weight * value)[value.isfinite()].sum(), leaf)))
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two, equal_nan=True)
    assert listed.any() and not listed.all()


def test_graph_form_equals_pair_form_and_knows_self_contact():
    bodies = toy_bodies(5, seed=7)
    maps = [toy_map(seed=s) for s in range(4)]
    rows_a, rows_b = [0, 3, 4, 2], [1, 1, 0, 2]
    maps[3] = ContactMap([(1, 2), (3, 70)])
    edges = ContactEdges.from_maps(maps, rows_a, rows_b, over="pairs", dtype=torch.float64)
    selection = select_contacts(bodies, edges, REGIONS)
    points_a = gather_points(bodies, selection.row_a, selection.vertex_a)
    points_b = gather_points(bodies, selection.row_b, selection.vertex_b)
    energy = contact_energy(points_a, points_b, selection)
    expected = [
        soft_contact(bodies[i : i + 1], bodies[j : j + 1], m, REGIONS, over="pairs").item()
        for m, i, j in zip(maps, rows_a, rows_b, strict=True)
    ]
    torch.testing.assert_close(energy, torch.tensor(expected, dtype=torch.float64))
    assert (selection.row_a[selection.edge == 3] == selection.row_b[selection.edge == 3]).all()
    assert len(contact_values(points_a, points_b, selection)) == len(edges)


def test_the_selected_order_is_reported_and_its_rows_are_exchanged():
    bodies = torch.cat([toy_bodies(4, seed=3), toy_bodies(4, seed=4) + 0.3])
    maps = [toy_map()] * 4
    edges = ContactEdges.from_maps(maps, range(4), range(4, 8), over="pairs", order="either")
    given = ContactEdges.from_maps(maps, range(4), range(4, 8), over="pairs")
    selection = select_contacts(bodies, edges, REGIONS)
    assert selection.swapped.any() and not selection.swapped.all()
    assert not select_contacts(bodies, given, REGIONS).swapped.any()
    assert len(selection) == len(given)
    assert torch.equal(selection.row_a >= 4, selection.swapped[selection.edge])
    assert torch.equal(selection.row_a % 4, selection.edge) and torch.equal(
        selection.row_b % 4, selection.edge
    )


def test_a_whole_arm_is_one_contact_over_parts():
    cmap = ContactMap.from_parts([PartContact("arm", "left", "back", "none", 0.8)])
    edges = ContactEdges.from_maps([cmap], [0], [1])
    assert len(edges) == 1 and edges.weight.tolist() == pytest.approx([0.8])
    assert len(ContactEdges.from_maps([cmap], [0], [1], over="pairs")) == len(cmap)


def test_a_map_means_the_same_to_everything_that_takes_one():
    takes_maps = [
        SoftContactLoss,
        soft_contact,
        contact_facing,
        edges_of_pairs,
        ContactEdges.from_maps,
        SceneBatch.contact_edges,
        ContactTerm,
        FacingTerm,
        SceneMetrics.contact_share,
    ]
    defaults = {inspect.signature(each).parameters["over"].default for each in takes_maps}
    assert defaults == {"parts"}


def test_the_module_is_a_shell_and_lays_out_each_map_once():
    a, b = toy_bodies(2, seed=1), toy_bodies(2, seed=2) + 0.3
    cmap, other = toy_map(), toy_map(seed=5)
    module = SoftContactLoss(REGIONS, over="parts", robust=0.2, order="either")
    for current in (cmap, cmap, other, [cmap, other], cmap):
        expected = soft_contact(a, b, current, REGIONS, over="parts", robust=0.2, order="either")
        torch.testing.assert_close(module(a, b, current), expected)
    torch.testing.assert_close(module(a[:1], b[:1], cmap), expected[:1])
    (laid_out,) = module._laid_out
    module(a[:1], b[:1], cmap)
    assert module._laid_out[0] is laid_out
    assert module(a.float(), b.float(), cmap).dtype == torch.float32
    assert "robust=0.2" in repr(module)


def test_half_precision_is_computed_in_single():
    a, b = toy_bodies(1).half(), toy_bodies(1, seed=1).half() + 0.5
    loss = soft_contact(a, b, toy_map(), REGIONS)
    torch.testing.assert_close(
        loss.float(), soft_contact(a.float(), b.float(), toy_map(), REGIONS), rtol=2e-3, atol=0
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verts_b": toy_bodies(3)}, "same shape"),
        ({"verts_a": toy_bodies(2)[..., :2], "verts_b": toy_bodies(2)[..., :2]}, r"\(B, V, 3\)"),
        ({"verts_a": toy_bodies(2)[:, :50], "verts_b": toy_bodies(2)[:, :50]}, "topology"),
        ({"contact_maps": [toy_map()]}, "one for each of the 2 pairs"),
        ({"soft": 0.1, "over": "pairs"}, "over='parts'"),
        ({"robust": -1.0}, "robust must be positive"),
        ({"robust": 0.1, "mode": "chamfer_quartic"}, "mode='min' only"),
        ({"mode": "max"}, "'chamfer_quartic'"),
        ({"over": "regions"}, "'pairs' or 'parts'"),
        ({"order": "any"}, "'given' or 'either'"),
        ({"order": ["given"]}, "same length"),
    ],
    ids=lambda x: x if isinstance(x, str) else "+".join(x),
)
def test_errors_say_what_was_expected(change, message):
    arguments = {
        "verts_a": toy_bodies(2),
        "verts_b": toy_bodies(2),
        "contact_maps": toy_map(),
        "regions": REGIONS,
    }
    with pytest.raises(ValueError, match=message):
        soft_contact(**{**arguments, **change})


def test_a_region_without_vertices_is_refused():
    lists = [REGIONS.vertices(r).numpy() for r in range(75)]
    lists[4] = np.zeros(0, int)
    regions = RegionIndex.from_lists(lists, VERTICES)
    with pytest.raises(ValueError, match=r"regions \[4\], which have no vertices"):
        soft_contact(toy_bodies(1), toy_bodies(1), ContactMap([(4, 5)]), regions)


def test_a_region_cannot_touch_itself():
    with pytest.raises(ValueError, match="always touches itself"):
        ContactEdges.from_maps([ContactMap([(4, 4)])], [2], [2])


def test_points_must_match_the_selection():
    edges = ContactEdges.from_maps([toy_map()], [0], [1])
    selection = select_contacts(toy_bodies(2), edges, REGIONS)
    with pytest.raises(ValueError, match="one point per selected vertex"):
        contact_energy(torch.zeros(1, 3), torch.zeros(1, 3), selection)


def test_form_is_checked_when_made():
    with pytest.raises(ValueError, match="soft must be positive"):
        ContactForm(soft=0.0)

"""One value a contact: what the loss sums, in the order of the maps."""

from __future__ import annotations

import pytest
import torch
from loss_toys import toy_bodies, toy_map, toy_regions

from apu_contacts.contacts import ContactMap
from apu_losses.functional import soft_contact, soft_contact_values
from apu_losses.modules import SoftContactLoss

REGIONS = toy_regions()
MAPS = [toy_map(seed=0), ContactMap.empty(), toy_map(groups=2, seed=3)]
FORMS = [
    {},
    {"over": "pairs"},
    {"robust": 0.2},
    {"soft": 0.02},
    {"mode": "chamfer_quartic"},
    {"order": "either"},
    {"order": ["either", "given", "either"], "robust": 0.3},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_their_weighted_sum_is_the_loss_with_its_gradient(form):
    a, b = (toy_bodies(3, seed=seed).requires_grad_() for seed in (1, 2))
    found = soft_contact_values(a, b, MAPS, REGIONS, **form)
    loss = soft_contact(a, b, MAPS, REGIONS, **form)
    torch.testing.assert_close(found.per_pair(), loss)
    gradients = torch.autograd.grad(loss.sum(), (a, b), retain_graph=True)
    for ours, theirs in zip(torch.autograd.grad(found.per_pair().sum(), (a, b)), gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_each_is_the_loss_of_its_contact_alone(form):
    a, b = toy_bodies(3, seed=1), toy_bodies(3, seed=2)
    found = soft_contact_values(a, b, MAPS, REGIONS, **form)
    assert found.offsets.tolist()[1] == found.offsets.tolist()[2]  # the empty one
    whole = [cmap.merged() if form.get("over") == "pairs" else cmap for cmap in MAPS]
    assert found.pair.tolist() == [p for p, cmap in enumerate(whole) for _ in cmap.groups()]
    if "order" in form:
        return  # which order counts is decided for a map as a whole
    for number, pair in enumerate(found.pair.tolist()):
        group = whole[pair].groups()[number - int(found.offsets[pair])]
        pairs = [(i, j) for i in group.regions_a for j in group.regions_b]
        alone = ContactMap(pairs, None, [0] * len(pairs))
        one = soft_contact(a[pair : pair + 1], b[pair : pair + 1], alone, REGIONS, **form)
        assert found.value[number].item() == pytest.approx(one.item(), rel=1e-6)
        assert found.weight[number].item() == pytest.approx(group.weight, rel=1e-6)


def test_weights_can_be_learned():
    a, b = toy_bodies(3, seed=1), toy_bodies(3, seed=2)
    found = SoftContactLoss(REGIONS).values(a, b, MAPS)
    trust = torch.full_like(found.value, 0.5, requires_grad=True)
    loss = found.per_pair(found.weight * trust)
    torch.testing.assert_close(loss, 0.5 * SoftContactLoss(REGIONS)(a, b, MAPS))
    (slope,) = torch.autograd.grad(loss.sum(), trust)
    torch.testing.assert_close(slope, found.value * found.weight)


def test_the_module_takes_edges_and_refuses_those_of_another():
    a, b = toy_bodies(3, seed=1), toy_bodies(3, seed=2)
    parts, pairs = SoftContactLoss(REGIONS), SoftContactLoss(REGIONS, over="pairs")
    torch.testing.assert_close(parts.values(a, b, parts.edges(MAPS)).per_pair(), parts(a, b, MAPS))
    with pytest.raises(ValueError, match="must be edges of this loss's options"):
        parts.values(a, b, pairs.edges(MAPS))

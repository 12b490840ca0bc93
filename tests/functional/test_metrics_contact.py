"""Contact scores and penetration volume: closed forms, counting, and nothing empty that scores well."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_toys import icosphere

from apu_contacts.contacts import ContactMap, PartContact
from apu_contacts.regions import part_regions
from apu_contacts.regions.table import REGIONS
from apu_losses.functional.metrics import (
    SIDED_PARTS,
    contact_map_error,
    contact_scores,
    pcc,
    penetration_volume,
    to_parts,
)


def test_scores_by_counting():
    rng = np.random.default_rng(0)
    said, true = rng.random((4, 75, 75)) < 0.02, rng.random((4, 75, 75)) < 0.02
    said[1] = true[1]
    scores = contact_scores(torch.as_tensor(said), torch.as_tensor(true))
    for i in range(4):
        a, b = set(zip(*np.nonzero(said[i]), strict=True)), set(zip(*np.nonzero(true[i]), strict=True))
        p, r = len(a & b) / len(a), len(a & b) / len(b)
        assert scores.precision[i].item() == pytest.approx(p)
        assert scores.recall[i].item() == pytest.approx(r)
        assert scores.f1[i].item() == pytest.approx(2 * p * r / (p + r) if p + r else 0)
    assert scores.f1[1] == 1


def test_nothing_said_or_nothing_true_is_no_good_score():
    none, some = torch.zeros(1, 75, 75, dtype=torch.bool), torch.zeros(1, 75, 75, dtype=torch.bool)
    some[0, 3, 4] = True
    silent, wrong, empty = (contact_scores(*pair) for pair in ((none, some), (some, none), (none, none)))
    assert silent.precision.isnan() and silent.recall == 0 and silent.f1 == 0
    assert wrong.precision == 0 and wrong.recall.isnan() and wrong.f1 == 0
    assert empty.precision.isnan() and empty.recall.isnan() and empty.f1.isnan()


def test_every_region_has_one_part_but_the_one_on_the_midline():
    for region in REGIONS:
        contacts = torch.zeros(1, 75, 75, dtype=torch.bool)
        contacts[0, region.id, 0] = True
        rows = torch.nonzero(to_parts(contacts)[0].any(1))[:, 0].tolist()
        named = {SIDED_PARTS[row] for row in rows}
        sides = {"left", "right"} if region.side == "center" else {region.side}
        assert named == {(region.part, side) for side in sides}
        assert all(region.id in part_regions(part, side) for part, side in named)


def test_pcc_is_a_staircase():
    distances = torch.tensor([0.0, 0.03, 0.2, 0.5, math.nan])
    owner = torch.tensor([0, 0, 0, 0, 2])
    share = pcc(distances, owner, 3, (0.0, 0.05, 0.3, 1.0))
    assert share[0].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert share[1].isnan().all()  # no true contact
    assert share[2].isnan().all()  # a distance that is not known


def test_contact_map_error_counts_weight_and_pairs():
    said = ContactMap.from_parts(
        [PartContact("hand", "left", "back", "left", 0.9), PartContact("foot", "left", "head", "left", 0.3)]
    )
    hand, back = part_regions("hand", "left"), part_regions("back", "left")
    true = ContactMap([(hand[0], back[0]), (hand[1], back[0]), (70, 70)])
    error = contact_map_error(said, true)
    assert error.invented == pytest.approx(0.25) and error.missed == pytest.approx(1 / 3)
    assert error.contacts == 2
    assert math.isnan(contact_map_error(ContactMap.empty(), true).invented)
    assert contact_map_error(ContactMap.empty(), true).missed == 1
    assert math.isnan(contact_map_error(said, ContactMap.empty()).missed)
    assert contact_map_error(said, ContactMap.empty()).invented == 1


@pytest.mark.parametrize("apart", [0.15, 0.25, 0.35])
def test_volume_of_the_lens_of_two_spheres(apart):
    radius = 0.2
    sphere, faces = icosphere(radius, (0, 0, 0), subdivisions=4)
    bodies = torch.stack([sphere, sphere + torch.tensor([apart, 0.0, 0.0])]).float()
    lens = math.pi * (4 * radius + apart) * (2 * radius - apart) ** 2 / 12
    volume = penetration_volume(bodies, faces, torch.tensor([0]), torch.tensor([1]), spacing=0.005)
    assert volume.item() == pytest.approx(lens, rel=0.03)


def test_volume_of_nothing_of_all_and_of_the_unknown():
    sphere, faces = icosphere(0.2, (0, 0, 0))
    small, far = sphere * 0.4 + 0.01, sphere + 1.0
    bodies = torch.stack([sphere, small, far, far * math.nan]).float()
    rows = torch.tensor([0, 0, 0]), torch.tensor([1, 2, 3])
    volume = penetration_volume(bodies, faces, *rows, spacing=0.004)
    assert volume[0].item() == pytest.approx(4 / 3 * math.pi * 0.08**3, rel=0.05)
    assert volume[1] == 0 and volume[2].isnan()
    with pytest.raises(ValueError, match="spacing"):
        penetration_volume(bodies, faces, *rows, spacing=0)


def test_errors():
    some = torch.zeros(1, 75, 75)
    with pytest.raises(ValueError, match="bool"):
        contact_scores(some, some)
    with pytest.raises(ValueError, match="same shape"):
        contact_scores(some[0].bool(), some[0].bool())
    with pytest.raises(ValueError, match=r"\(B, 75, 75\)"):
        to_parts(some[:, :3])
    with pytest.raises(ValueError, match=r"\(C,\)"):
        pcc(torch.zeros(3), torch.zeros(2, dtype=torch.int64), 1)

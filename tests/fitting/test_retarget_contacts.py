"""Contacts go to bodies of other size and topology: distances are measured by another library's search."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

import apu_contacts as ac
import apu_losses as al
from apu_losses.bodies import PosedMeshBody
from apu_losses.fitting import RetargetedPair, retarget_contacts
from apu_losses.synthetic import load_truth_scenes

BODY = al.load_body()
REGIONS = ac.RegionMap.load("free")


def touching(name: str) -> tuple[ac.ContactMap, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What touches in a scene, and the two people with statures exchanged for a tall and a short one's."""
    (scene,) = load_truth_scenes("development", interactions=[name], per_type=1)
    one, two = (torch.tensor(v) for v in scene.vertices)
    found = al.what_touches(one, two, REGIONS, faces=BODY.faces)
    people = [
        {key: torch.tensor(value[k : k + 1]) for key, value in scene.parameters.items()} for k in (0, 1)
    ]
    for person, change in zip(people, (2.0, -2.0), strict=True):
        person["betas"] = person["betas"] + change * torch.eye(10)[:1]
    return found.contacts, *people


def apart(pair: RetargetedPair, contacts: ac.ContactMap, regions_b: ac.RegionMap = REGIONS) -> float:
    """Metres between regions that should touch, by scipy, mean by weight."""
    distances = [
        cKDTree(pair.vertices_a[0].numpy()[REGIONS.vertices(int(a))])
        .query(pair.vertices_b[0].numpy()[regions_b.vertices(int(b))])[0]
        .min()
        for a, b in contacts.pairs
    ]
    return float(np.average(distances, weights=contacts.weights))


@pytest.mark.parametrize("name", ["handshake", "hand on shoulder"])
def test_a_tall_and_a_short_person_touch_where_others_did(name: str) -> None:
    contacts, tall, short = touching(name)
    pair = retarget_contacts(contacts, BODY, tall, BODY, short, over="pairs")
    assert pair.apart_before[0] > 0.03 and pair.apart[0] < 0.012 and pair.depth[0] < 0.01
    assert pair.apart[0] == pytest.approx(apart(pair, contacts), abs=1e-5)
    for person, start in ((pair.parameters_a, tall), (pair.parameters_b, short)):
        assert torch.equal(person["betas"], start["betas"])
        assert (person["body_pose"] - start["body_pose"]).abs().max() < np.radians(25)
    posed = BODY.pose(pair.parameters_b).vertices()
    torch.testing.assert_close(posed, pair.vertices_b)


def test_another_topology_takes_part() -> None:
    """Person b as a mesh of every vertex in another order, which turns and moves as a whole."""
    contacts, tall, short = touching("hand on shoulder")
    order = torch.randperm(BODY.num_vertices, generator=torch.Generator().manual_seed(0))
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    mesh = BODY.pose(short).vertices()[:, order]
    labels = REGIONS.labels()[order.numpy()]
    own = ac.RegionMap.from_labels(labels, topology="shuffled", provenance="in another order")
    other = PosedMeshBody(mesh, place[BODY.faces])
    pair = retarget_contacts(
        contacts, BODY, tall, other, {"transl": torch.zeros(1, 3)}, regions_b=own, over="pairs"
    )
    assert pair.apart[0] < 0.012 and pair.depth[0] < 0.01
    assert pair.apart[0] == pytest.approx(apart(pair, contacts, own), abs=1e-5)


def test_frames_are_alike_if_asked() -> None:
    contacts, tall, short = touching("handshake")
    tall, short = ({key: value.repeat(3, 1) for key, value in person.items()} for person in (tall, short))
    short["transl"] = short["transl"] + torch.tensor([[0.0, 0, 0], [0.08, 0, 0], [0.0, 0, 0]])
    uneven = []
    for smooth in (0.0, 3e3):
        pair = retarget_contacts(contacts, BODY, tall, BODY, short, over="pairs", smooth=smooth, effort=0.3)
        changes = pair.parameters_b["transl"] - short["transl"]
        uneven.append(float(changes.diff(dim=0).norm()))
    assert uneven[1] < 0.5 * uneven[0]


def test_nothing_to_touch_changes_nothing() -> None:
    _, tall, short = touching("handshake")
    short["transl"] = short["transl"] + torch.tensor([[2.0, 0.0, 0.0]])
    pair = retarget_contacts(ac.ContactMap([]), BODY, tall, BODY, short, effort=0.05)
    assert np.isnan(pair.apart[0]) and pair.depth[0] == 0
    torch.testing.assert_close(pair.parameters_a["body_pose"], tall["body_pose"])


def test_mistakes_are_named() -> None:
    hands = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "hand", "right")])
    one = {"transl": torch.zeros(1, 3)}
    with pytest.raises(ValueError, match="start_a must have parameters of the body 'free', got hair"):
        retarget_contacts(hands, BODY, {"hair": torch.zeros(1, 3)}, BODY, one)
    with pytest.raises(ValueError, match="start_b must have the 2 frames of start_a, got 1"):
        retarget_contacts(hands, BODY, {"transl": torch.zeros(2, 3)}, BODY, one)
    with pytest.raises(ValueError, match="one for each of 1 frames, got 2"):
        retarget_contacts([hands, hands], BODY, one, BODY, one)
    with pytest.raises(ValueError, match="smooth must not be negative"):
        retarget_contacts(hands, BODY, one, BODY, one, smooth=-1.0)


def test_the_example_of_a_motion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parents[2] / "examples" / "19_contacts_of_a_motion.py"
    frames = load_truth_scenes("development", interactions=["hand on shoulder"], per_type=2)
    pair = runpy.run_path(str(example))["main"](frames, tmp_path, effort=0.5)
    assert pair.apart.shape == (2,) and (pair.apart < 0.5 * pair.apart_before).all()
    assert all((tmp_path / f"{name}.glb").stat().st_size > 100_000 for name in ("copied", "touching"))
    assert "after: contacts" in capsys.readouterr().out

"""The proposal of pairs: every reason once, invariances, and the real photographs."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from apu_contacts.keypoints import Keypoints2D, person_size
from apu_contacts.people import assemble_people
from apu_contacts.people.candidates import REASONS, Proposal, propose_pairs
from apu_contacts.sources import (
    InitialEstimate,
    PersonDetection,
    read_bev,
    read_flickr_signatures,
    read_openpose,
    read_vitpose_body25,
)

# A box of keypoints 60 wide and 80 high (size 100), its corners and the middle of its sides.
SQUARE = np.array([[0, 0], [30, 0], [60, 0], [60, 40], [60, 80], [30, 80], [0, 80], [0, 40]], dtype=float)


def person(
    x: float, *, scale: float = 1.0, off: float = 0.0, depth: float = 3.0, mesh: bool = True
) -> PersonDetection:
    """A person at ``x`` whose projected body lies ``off`` pixels to the right of the keypoints."""
    xy, confidence = np.zeros((25, 2)), np.zeros(25)
    xy[2:10], confidence[2:10] = SQUARE * scale + [x, 0], 1.0
    keypoints = Keypoints2D("body25", xy, confidence)
    projected = Keypoints2D(
        "body25", np.where(confidence[:, None] > 0, xy + np.array([off, 0]), 0), confidence
    )
    initial = InitialEstimate("test", {}, ("pelvis",), np.array([[0.0, 0, depth]]), projected)
    return PersonDetection(keypoints, np.array([x, 0, x + 60, 80]), initial if mesh else None)


def only_reason(proposal: Proposal) -> str:
    assert len(proposal.rejected) == 1 and not proposal.candidates
    return proposal.rejected[0].reason


def test_distance_in_closed_form() -> None:
    # the facing sides are 10 px apart; three joints of each lie on them; both sizes are 100
    proposal = propose_pairs([person(0), person(70)])
    (pair,) = proposal.candidates
    assert pair.distance == pytest.approx(0.1) and pair.near == 3
    assert pair.mesh_error == 0 and pair.gap == 0
    assert propose_pairs([person(0), person(70)], max_distance=0.11).candidates
    assert not propose_pairs([person(0), person(70)], max_distance=0.09).candidates
    # a fourth joint lies 40 px away from the other's nearest
    four = propose_pairs([person(0), person(70)], min_keypoints=4, max_distance=0.5).candidates[0]
    assert four.distance == pytest.approx(0.4)


def test_every_reason_is_given() -> None:
    few = person(70)
    confidence = few.keypoints.confidence.copy()
    confidence[4:] = 0.19
    few = PersonDetection(Keypoints2D("body25", few.keypoints.xy, confidence), few.bbox, few.initial)
    cases = {
        "too few keypoints": [person(0), few],
        "far apart": [person(0), person(200)],
        "same person": [person(0), person(4)],
        "no mesh": [person(0), person(70, mesh=False)],
        "mesh misaligned": [person(0), person(70, off=20)],
        "different depth": [person(0), person(70, depth=9)],
    }
    assert tuple(cases) == REASONS
    for reason, people in cases.items():
        proposal = propose_pairs(people, max_gap=1.0)
        assert only_reason(proposal) == reason, reason
        assert proposal.counts()[reason] == 1 and sum(proposal.counts().values()) == 1
        assert any(character.isdigit() for character in proposal.rejected[0].detail)
    assert propose_pairs(cases["no mesh"], require_mesh=False).candidates[0].mesh_error is None
    assert propose_pairs(cases["different depth"]).candidates[0].gap == 6


def test_the_image_scale_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    places = generator.uniform(0, 600, 12)
    small = propose_pairs([person(x) for x in places])
    large = propose_pairs([person(10 * x, scale=10) for x in places])
    assert [(p.person_a, p.person_b) for p in small.candidates] == [
        (p.person_a, p.person_b) for p in large.candidates
    ]
    assert np.allclose([p.distance for p in small.candidates], [p.distance for p in large.candidates])


def test_every_pair_is_accounted_for_and_sorted() -> None:
    people = [person(x) for x in np.random.default_rng(1).uniform(0, 900, 30)]
    proposal = propose_pairs(people)
    pairs = {(p.person_a, p.person_b) for p in (*proposal.candidates, *proposal.rejected)}
    assert pairs == set(combinations(range(30), 2)) and sum(proposal.counts().values()) == 435
    distances = [p.distance for p in proposal.candidates]
    assert distances == sorted(distances) and len(distances) > 5


def test_one_person_and_nobody() -> None:
    assert propose_pairs([]).counts()["proposed"] == 0
    assert propose_pairs([person(0)]) == Proposal((), ())


def test_thresholds_are_checked() -> None:
    with pytest.raises(ValueError, match="min_keypoints"):
        propose_pairs([], min_keypoints=0)
    with pytest.raises(ValueError, match="max_distance"):
        propose_pairs([], max_distance=-1)


@pytest.mark.real
def test_real_annotated_pairs_are_proposed(real_dir: Path) -> None:
    proposed = total = annotated = 0
    for name in ("college_232334", "girls_250416"):
        folder = real_dir / name
        image = read_flickr_signatures(folder / "interaction_contact_signature.json")[name]
        people = assemble_people(
            read_openpose(folder / "openpose.json"),
            read_vitpose_body25(folder / "vitpose.json"),
            read_bev(folder / "bev.npz"),
            image.boxes,
        )
        assert all(person_size(p.keypoints) > 0 for p in people)
        proposal = propose_pairs(people)
        found = {
            frozenset((people[p.person_a].source["box"], people[p.person_b].source["box"]))
            for p in proposal.candidates
        }
        assert {frozenset((p.person_a, p.person_b)) for p in image.pairs} <= found
        proposed, annotated = proposed + len(found), annotated + len(image.pairs)
        total += sum(proposal.counts().values())
    assert (annotated, total) == (4, 445)
    assert proposed == 33, "the figure that docs/measurements/people.md states"

"""Several answers made into one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from apu_contacts.chirality import SideBelief, denoise_chirality, side_prior
from apu_contacts.contact_map import ContactMap, PartContact
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.lvlm import Calibration, ContactAnswer, fuse_answers
from apu_contacts.lvlm.fusion import align_people, default_calibration

PLAIN = Calibration(0.0, 1.0, 0.0)


def answer(*rows: tuple[str, str, str, str], confidence: float = 0.8) -> ContactAnswer:
    return ContactAnswer(contacts=tuple(PartContact(*row, confidence=confidence) for row in rows))


HAND_BACK = ("hand", "left", "back", "right")
CHEST_ARM = ("chest", "both", "upper arm", "left")


def test_votes_count() -> None:
    fused = fuse_answers(
        [answer(HAND_BACK), answer(HAND_BACK, CHEST_ARM), answer(HAND_BACK)], calibration=PLAIN
    )
    assert [(c.part_a, c.votes, c.samples) for c in fused.contacts] == [("hand", 3, 3), ("chest", 1, 3)]
    assert [c.confidence for c in fused.contacts] == pytest.approx([3.5 / 4, 1.5 / 4])
    assert fused.exchanged == (False, False, False)


def test_confidence_counts() -> None:
    calibration = Calibration(0.0, 0.0, 1.0)
    fused = fuse_answers(
        [answer(HAND_BACK, confidence=0.9), answer(HAND_BACK, confidence=0.5)], calibration=calibration
    )
    assert fused.contacts[0].stated_confidence == pytest.approx(0.7)
    assert fused.contacts[0].confidence == pytest.approx(0.7)


def test_refusals_do_not_vote() -> None:
    fused = fuse_answers([answer(HAND_BACK), ContactAnswer(refusal="no")], calibration=PLAIN)
    assert (fused.samples, fused.refusals, fused.contacts[0].samples) == (1, 1, 1)
    assert fuse_answers([ContactAnswer(refusal="no")]).contacts == ()
    assert fuse_answers([]).samples == 0


def test_an_answer_that_says_nothing_touches_votes() -> None:
    assert fuse_answers([answer(HAND_BACK), answer()], calibration=PLAIN).contacts[
        0
    ].confidence == pytest.approx(0.5)


def test_people_are_aligned() -> None:
    straight = answer(HAND_BACK, CHEST_ARM, ("head", "left", "shoulder", "left"))
    fused = fuse_answers([straight, straight.transposed(), answer(HAND_BACK)], calibration=PLAIN)
    assert fused.exchanged == (False, True, False)
    assert {(c.part_a, c.side_a, c.votes) for c in fused.contacts} == {
        ("hand", "left", 3), ("chest", "both", 2), ("head", "left", 2)
    }  # fmt: skip


def test_the_first_answer_keeps_its_order() -> None:
    straight = answer(HAND_BACK, CHEST_ARM)
    assert align_people([straight.transposed(), straight, straight]) == (False, True, True)
    assert align_people([answer(), straight, answer(("foot", "left", "foot", "left"))]) == (
        False,
        False,
        False,
    )


def test_order_of_answers_does_not_matter_to_votes() -> None:
    rng = np.random.default_rng(0)
    straight = answer(HAND_BACK, CHEST_ARM, ("head", "left", "shoulder", "left"))
    given = [straight, straight.transposed(), answer(HAND_BACK), answer(CHEST_ARM).transposed()]
    for _ in range(10):
        shuffled = [given[i] for i in rng.permutation(len(given))]
        assert sorted(c.votes for c in fuse_answers(shuffled).contacts) == [2, 3, 3]


def test_statements_about_the_same_parts_are_matched_by_sides() -> None:
    left, right = ("hand", "left", "back", "left"), ("hand", "right", "back", "right")
    fused = fuse_answers([answer(left, right), answer(right), answer(right, left)], calibration=PLAIN)
    assert {(c.side_a, c.votes) for c in fused.contacts} == {("left", 2), ("right", 3)}


def test_sides_are_a_distribution() -> None:
    flipped = ("hand", "right", "back", "left")
    fused = fuse_answers(
        [answer(HAND_BACK), answer(HAND_BACK), answer(flipped), answer(flipped), answer(HAND_BACK)]
    )
    (contact,) = fused.contacts
    assert contact.votes == 5 and (contact.side_a, contact.side_b) == ("left", "right")
    assert contact.sides == pytest.approx({("left", "right"): 0.6, ("right", "left"): 0.4})
    prior = side_prior(contact, SideBelief(1.0, 0.0, 0.0))
    assert prior == pytest.approx({("left", "right"): 0.6, ("right", "left"): 0.4})


def test_the_posterior_takes_the_distribution_as_its_prior() -> None:
    one_sided = fuse_answers([answer(("hand", "left", "hand", "left"))] * 4).contacts
    split = fuse_answers(
        [answer(("hand", "left", "hand", "left"))] * 2 + [answer(("hand", "right", "hand", "left"))] * 2
    )
    names = {"left_wrist": (0.0, 0.0), "right_wrist": (0.0, 40.0)}
    a, b = person(names), person({"left_wrist": (10.0, 25.0), "right_wrist": (300.0, 0.0)})
    kept = denoise_chirality(one_sided, a, b, rule="posterior")[0]
    changed = denoise_chirality(split.contacts, a, b, rule="posterior")[0]
    # The right wrist is a little nearer: enough where the answers were split, not where they agreed.
    assert (kept.side_a, changed.side_a) == ("left", "right")
    assert changed.probability > 0.5 and len(ContactMap.from_parts([changed])) > 0


def person(joints: dict[str, tuple[float, float]]) -> Keypoints2D:
    from apu_contacts.keypoints.skeletons import SKELETONS

    skeleton = SKELETONS["coco17"]
    xy, confidence = np.zeros((17, 2)), np.zeros(17)
    for name, point in {**joints, "left_ankle": (0.0, 400.0), "nose": (0.0, -200.0)}.items():
        xy[skeleton.index[name]], confidence[skeleton.index[name]] = point, 1.0
    return Keypoints2D("coco17", xy, confidence)


def test_models_count_the_same() -> None:
    answers = [answer(HAND_BACK)] * 4 + [answer(CHEST_ARM)]
    fused = fuse_answers(answers, ["big"] * 4 + ["small"], calibration=PLAIN)
    assert [c.confidence for c in fused.contacts] == pytest.approx([0.5, 0.5])
    with pytest.raises(ValueError, match="one model per answer"):
        fuse_answers(answers, ["big"])


def test_alternatives_vote_for_what_others_state_plainly() -> None:
    vague = ContactAnswer(
        contacts=(PartContact("hand", "left", "back", "right", alternatives_a=("forearm",)),)
    )
    fused = fuse_answers([answer(("forearm", "left", "back", "right")), vague], calibration=PLAIN)
    assert [(c.part_a, c.alternatives_a, c.votes) for c in fused.contacts] == [("forearm", (), 2)]
    alone = fuse_answers([vague, vague]).contacts[0]
    assert (alone.part_a, alone.alternatives_a, alone.votes) == ("hand", ("forearm",), 2)


def test_calibration_of_the_package() -> None:
    calibration = default_calibration()
    assert calibration.vote > 0 and calibration.confidence > 0 and "simulated" in calibration.source
    values = [calibration.apply(share, 0.7) for share in (0.1, 0.5, 0.9)]
    assert values == sorted(values) and all(0 < value < 1 for value in values)
    assert math.isclose(Calibration(0.0, 1.0, 0.0).apply(0.3, 0.9), 0.3)

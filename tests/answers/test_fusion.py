"""Several answers made into one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from apu_contacts.answers import Calibration, ContactAnswer, fuse_answers, parse_answer
from apu_contacts.answers.fusion import align_people, default_calibration
from apu_contacts.contacts import ContactMap, PartContact
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.sides.chirality import SideBelief, denoise_chirality, side_prior

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


def test_the_order_of_the_majority_stays() -> None:
    straight = answer(HAND_BACK, CHEST_ARM)
    turned = straight.transposed()
    assert align_people([turned, straight, straight]) == ((True, False, False), pytest.approx(2 / 3))
    for place in range(5):  # wherever the odd one stands
        given = [straight] * 5
        given[place] = turned
        fused = fuse_answers(given)
        assert fused.exchanged == tuple(i == place for i in range(5))
        assert (fused.contacts[0].part_a, fused.order_agreement, fused.order_open) == ("hand", 0.8, False)
    nothing_in_common = [answer(), straight, answer(("foot", "left", "foot", "left"))]
    assert align_people(nothing_in_common) == ((False, False, False), 1.0)


def test_an_order_that_no_majority_has_is_reported_as_open() -> None:
    straight = answer(HAND_BACK, CHEST_ARM)
    turned = straight.transposed()
    fused = fuse_answers([turned, straight, straight, turned])
    assert fused.order_open and fused.order_agreement == 0.5
    assert fused.exchanged == (False, True, True, False)  # the first stays
    assert not fuse_answers([turned]).order_open and not fuse_answers([]).order_open
    # four samples of one model are one voice
    assert fuse_answers([straight] * 4 + [turned], ["big"] * 4 + ["small"]).order_open


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
    kept = denoise_chirality(one_sided, a, b, sides="posterior")[0]
    changed = denoise_chirality(split.contacts, a, b, sides="posterior")[0]
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


@pytest.mark.parametrize("answers", [1, 5])
def test_what_nobody_believes_is_no_contact(answers: int) -> None:
    assert fuse_answers([answer(HAND_BACK, confidence=0.0)] * answers).contacts == ()
    believed = [
        fuse_answers([answer(HAND_BACK, confidence=c)] * answers).contacts[0].confidence
        for c in (1e-6, 0.01, 0.1, 0.25, 0.5, 0.75, 1.0)
    ]
    assert believed == sorted(believed) and believed[0] < 0.05 and believed[-1] > 0.9


def test_a_statement_that_is_not_believed_counts_as_much_as_none() -> None:
    denied = [answer(HAND_BACK)] + [answer(HAND_BACK, confidence=0.0)] * 4
    silent = [answer(HAND_BACK)] + [answer()] * 4
    assert fuse_answers(denied).contacts == fuse_answers(silent).contacts
    (half,) = fuse_answers([answer(HAND_BACK, confidence=0.25)], calibration=PLAIN).contacts
    assert half.confidence == pytest.approx((0.5 + 0.5) / 2)


def test_what_was_not_read_whole_is_silent_about_what_it_does_not_state() -> None:
    document = answer(CHEST_ARM, HAND_BACK).to_document()
    whole = parse_answer(json.dumps(document))
    cut = parse_answer(json.dumps(document)[:-40])
    unread = parse_answer(json.dumps(document).replace('"hand"', '"frobnicator"'))
    assert cut.truncated and len(cut.contacts) == len(unread.contacts) == 1
    for silent in (cut, unread):
        fused = {c.part_a: c for c in fuse_answers([whole, *[silent] * 4]).contacts}
        assert (fused["hand"].votes, fused["hand"].samples) == (1, 1)
        assert (fused["chest"].votes, fused["chest"].samples) == (5, 5)
        alone = {c.part_a: c for c in fuse_answers([whole]).contacts}
        assert fused["hand"].confidence == alone["hand"].confidence
    denied = {c.part_a: c for c in fuse_answers([whole, *[answer(CHEST_ARM)] * 4]).contacts}
    assert (denied["hand"].votes, denied["hand"].samples) == (1, 5)


def test_models_count_the_same_among_those_who_tell() -> None:
    cut = ContactAnswer(truncated=True)
    fused = fuse_answers([answer(HAND_BACK), cut, cut, answer()], ["a", "a", "a", "b"], PLAIN)
    assert fused.contacts[0].confidence == pytest.approx(0.5) and fused.contacts[0].samples == 2


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize(
    ("together", "apart"),
    [
        ([("both", "none")], [("left", "none"), ("right", "none")]),
        ([("both", "left")], [("left", "left"), ("right", "left")]),
        ([("both", "both")], [("left", "left"), ("right", "right")]),
        ([("both", "both")], [("left", "right"), ("right", "left")]),
    ],
)
def test_both_is_the_left_and_the_right(
    together: list[tuple[str, str]], apart: list[tuple[str, str]], turn: bool
) -> None:
    one, other = (answer(*(("hand", a, "back", b) for a, b in sides)) for sides in (together, apart))
    given = [one, other] if not turn else [other.transposed(), one.transposed()]
    fused = fuse_answers(given).contacts
    found = {(c.side_b, c.side_a) if turn else (c.side_a, c.side_b) for c in fused}
    assert found == set(apart) and all((c.votes, c.samples) == (2, 2) for c in fused)
    assert {c.side_a for c in fuse_answers([one, one]).contacts} == {
        together[0][0]
    }  # nobody tells them apart


def test_both_supports_the_one_side_that_others_name() -> None:
    fused = fuse_answers(
        [answer(("hand", "both", "back", "none"))] + [answer(("hand", "left", "back", "none"))] * 2
    ).contacts
    assert [(c.side_a, c.votes, c.samples) for c in fused] == [("left", 3, 3), ("right", 1, 3)]


def test_calibration_of_the_package() -> None:
    calibration = default_calibration()
    assert calibration.vote > 0 and calibration.confidence > 0 and "simulated" in calibration.source
    values = [calibration.apply(share, 0.7) for share in (0.1, 0.5, 0.9)]
    assert values == sorted(values) and all(0 < value < 1 for value in values)
    assert math.isclose(Calibration(0.0, 1.0, 0.0).apply(0.3, 0.9), 0.3)

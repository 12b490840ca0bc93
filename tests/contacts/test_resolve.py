"""From answers to the contacts of two people, against the steps done by hand and against mirror images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest

from apu_contacts import SKELETONS, ContactMap, Keypoints2D, denoise_chirality, fuse_answers, parse_answer
from apu_contacts.answers import AnswerParseError
from apu_contacts.resolve import (
    ContactEvidence,
    ContactPolicy,
    ResolvedContacts,
    in_words,
    leftmost,
    resolve_contacts,
)

NAMES = SKELETONS["coco17"].joint_names
# a person who faces the camera: the left side is on the right of the picture
PLACES = [
    *((0, 0), (5, -5), (-5, -5), (10, 0), (-10, 0)),
    *((30, 40), (-30, 40), (45, 90), (-45, 90), (55, 140), (-55, 140)),
    *((20, 150), (-20, 150), (22, 230), (-22, 230), (22, 310), (-22, 310)),
]


@dataclass
class Person:
    keypoints: Keypoints2D
    initial: Any = None


@dataclass
class Joints:
    names: tuple[str, ...]
    xyz: np.ndarray


def person(x: float, depth: float | None = None) -> Person:
    xy = np.array(PLACES, dtype=float) + np.array([x, 100])
    keypoints = Keypoints2D("coco17", xy, np.full(17, 0.9))
    if depth is None:
        return Person(keypoints)

    @dataclass
    class Body:
        joints: Joints

    return Person(keypoints, Body(Joints(tuple(NAMES), np.full((17, 3), depth))))


def text(*contacts: tuple[str, str, str, str, float], **more: Any) -> str:
    rows = [
        {
            "body_part_person_left": {"part_name": pa, "body_side": sa},
            "body_part_person_right": {"part_name": pb, "body_side": sb},
            "confidence": c,
        }
        for pa, sa, pb, sb, c in contacts
    ]
    return json.dumps({"interaction": "holding", "contacts": rows, **more})


# the left hand of the person on the left is next to the right hand of the one on the right
HANDS = text(("hand", "left", "hand", "right", 0.9), ("upper arm", "left", "upper arm", "right", 0.5))
LEFT, RIGHT = person(200, 3.0), person(320, 3.0)


def as_set(found: ResolvedContacts) -> set[tuple[Any, ...]]:
    return {(c.part_a, c.side_a, c.part_b, c.side_b, round(c.effective_weight, 12)) for c in found.contacts}


def test_one_answer_is_what_the_steps_give_by_hand() -> None:
    found = resolve_contacts(HANDS, LEFT, RIGHT)
    by_hand = denoise_chirality(
        parse_answer(HANDS),
        LEFT.keypoints,
        RIGHT.keypoints,
        sides="posterior",
        estimates=(LEFT.initial.joints, RIGHT.initial.joints),
    )
    assert [c.effective_weight for c in found.contacts] == [1 / 12 * c.effective_weight for c in by_hand]
    assert [(c.side_a, c.side_b) for c in found.contacts] == [("left", "right")] * 2
    assert found.order == "given" and found.evidence.order_margin > 0.9
    assert found.contact_map == ContactMap.from_parts(found.contacts)


def test_several_answers_are_fused_and_carry_their_votes() -> None:
    others = [HANDS, HANDS, text(("hand", "left", "hand", "right", 0.8))]
    found = resolve_contacts(others, LEFT, RIGHT)
    fused = fuse_answers([parse_answer(each) for each in others])
    assert {(c.part_a, c.votes, c.samples) for c in found.contacts} == {("hand", 3, 3), ("upper arm", 2, 3)}
    assert [c.confidence for c in found.contacts] == [c.confidence for c in fused.contacts]


def test_who_stands_left_is_nobodys_concern() -> None:
    straight, turned = resolve_contacts(HANDS, LEFT, RIGHT), resolve_contacts(HANDS, RIGHT, LEFT)
    assert straight.evidence.left == "a" and turned.evidence.left == "b"
    assert as_set(turned) == {(pb, sb, pa, sa, w) for pa, sa, pb, sb, w in as_set(straight)}
    pairs = {tuple(p) for p in straight.contact_map.pairs.tolist()}
    assert {(b, a) for a, b in turned.contact_map.pairs.tolist()} == pairs
    # a record that has them the other way round is seen through by the keypoints
    told = resolve_contacts(HANDS, LEFT, RIGHT, left="b")
    assert told.evidence.exchanged and as_set(told) == as_set(straight)


def test_flipped_sides_are_repaired_and_what_was_stated_is_kept() -> None:
    flipped = text(("hand", "right", "hand", "left", 0.9), ("upper arm", "right", "upper arm", "left", 0.5))
    found = resolve_contacts(flipped, RIGHT, LEFT)
    assert found.sides_changed == 2
    assert {(c.side_a, c.side_b, c.stated) for c in found.contacts} == {("right", "left", ("left", "right"))}
    assert resolve_contacts(flipped, RIGHT, LEFT, ContactPolicy(sides="as told")).sides_changed == 0
    assert "[told left, right]" in found.in_words()


def test_people_who_are_told_the_other_way_round_are_exchanged() -> None:
    # a foot of the left person cannot be on the chest of the right one where the right one kicks
    kicker = person(400)
    xy = kicker.keypoints.xy.copy()
    xy[[14, 16]] = [[300, 220], [215, 170]]  # right knee and ankle reach the left person's chest
    kicker = Person(Keypoints2D("coco17", xy, kicker.keypoints.confidence))
    wrong = text(("foot", "right", "chest", "none", 0.95), ("lower leg", "right", "chest", "none", 0.9))
    for order in ("as told", "exchanged"):
        found = resolve_contacts(wrong, LEFT, kicker, ContactPolicy(order=order))  # type: ignore[arg-type]
        assert found.evidence.exchanged == (order == "exchanged") and found.order == "given"
        assert (found.contacts[0].part_a == "chest") == (order == "exchanged")
    assert resolve_contacts(wrong, LEFT, kicker, ContactPolicy.paper()).order == "either"


@pytest.mark.parametrize(
    ("answers", "status", "counts"),
    [
        ([], "not asked", {}),
        ([text()], "nothing touches", {"denying": 1}),
        (["I cannot help with identifying people."], "refused", {"refused": 1}),
        (["%%%"], "unreadable", {"unreadable": 1}),
        (["%%%", "I'm sorry, I can't assist with that."], "unreadable", {"unreadable": 1, "refused": 1}),
        (["%%%", text()], "nothing touches", {"unreadable": 1, "denying": 1}),
        ([HANDS, text()], "contacts", {"stating": 1, "denying": 1}),
        # cut off before any contact: that nothing touches was not said
        (['{"interaction": "hug", "contacts": ['], "unreadable", {"unreadable": 1}),
        ([text(("tail", "left", "hand", "left", 0.9))], "unreadable", {"unreadable": 1}),
    ],
)
def test_a_denial_is_neither_a_refusal_nor_silence(
    answers: list[str], status: str, counts: dict[str, int]
) -> None:
    found = resolve_contacts(answers, LEFT, RIGHT)
    assert found.evidence.status == status
    kinds = ("stating", "denying", "refused", "unreadable")
    assert {k: getattr(found.evidence, k) for k in kinds} == {**dict.fromkeys(kinds, 0), **counts}
    assert found.evidence.answers == len(answers)
    assert (len(found.contact_map) > 0) == (status == "contacts")


def test_records_and_errors_are_answers_too() -> None:
    record = {"text": HANDS, "model": "m", "finish_reason": "stop"}
    assert as_set(resolve_contacts(record, LEFT, RIGHT)) == as_set(resolve_contacts(HANDS, LEFT, RIGHT))
    assert resolve_contacts(AnswerParseError("no"), LEFT, RIGHT).evidence.status == "unreadable"
    with pytest.raises(ValueError, match="one model per answer, got 1 for 2"):
        resolve_contacts([HANDS, HANDS], LEFT, RIGHT, models=["m"])
    # a model counts the same however often it was asked
    records = [{"text": HANDS, "model": "one"}] * 3 + [{"text": text(), "model": "two"}]
    equal = resolve_contacts([HANDS, text()], LEFT, RIGHT, models=["one", "two"])
    hand = next(c for c in resolve_contacts(records, LEFT, RIGHT).contacts if c.part_a == "hand")
    assert hand.votes == 3 and hand.confidence == pytest.approx(equal.contacts[0].confidence, abs=0.12)


def test_evidence_and_policy_survive_json() -> None:
    found = resolve_contacts([HANDS, text()], RIGHT, LEFT)
    data = json.loads(json.dumps(found.evidence.to_dict()))
    assert ContactEvidence.from_dict(data) == found.evidence
    assert found.evidence.exchanged_people().exchanged_people() == found.evidence
    assert in_words(found.evidence.exchanged_people(), "b", "a") != ""
    for policy in (ContactPolicy(), ContactPolicy.paper(), ContactPolicy(trust=0.5, soft=False)):
        assert ContactPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sides": "best"}, "sides must be one of posterior"),
        ({"order": "wrong"}, "order must be one of decided"),
        ({"tau": 0.0}, "tau must be above 0"),
        ({"trust": -1.0}, "trust must be finite"),
    ],
)
def test_a_policy_that_cannot_be_says_so(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ContactPolicy(**wrong)
    with pytest.raises(ValueError, match="unknown colour"):
        ContactPolicy.from_dict({"colour": 1})


def test_the_leftmost_is_decided_by_what_was_seen() -> None:
    for a, b in product((100.0, 200.0), (150.0, 250.0)):
        first, second = person(a).keypoints, person(b).keypoints
        assert leftmost(first, second) == ("a" if a < b else "b")
    nobody = Keypoints2D("coco17", np.zeros((17, 2)), np.zeros(17))
    with pytest.raises(ValueError, match="keypoints_b has no keypoint"):
        leftmost(LEFT.keypoints, nobody)

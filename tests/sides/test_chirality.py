"""Sides and person order from keypoints."""

from __future__ import annotations

import importlib.util
import itertools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apu_contacts.answers import ContactAnswer
from apu_contacts.contacts import ContactMap, PartContact
from apu_contacts.keypoints.skeletons import SKELETONS
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.sides.chirality import (
    DistanceModel,
    SideBelief,
    SideRule,
    denoise_chirality,
    part_distance,
    people_size,
    person_order,
    side_prior,
)

ROOT = Path(__file__).resolve().parents[2]

# A person of 240 px who faces the camera: the left side is on the right of the picture.
STANDING = {
    "nose": (0, 0), "left_eye": (5, -3), "right_eye": (-5, -3), "left_ear": (10, 0), "right_ear": (-10, 0),
    "left_shoulder": (30, 40), "right_shoulder": (-30, 40), "left_elbow": (40, 80), "right_elbow": (-40, 80),
    "left_wrist": (45, 120), "right_wrist": (-45, 120), "left_hip": (18, 120), "right_hip": (-18, 120),
    "left_knee": (18, 180), "right_knee": (-18, 180), "left_ankle": (18, 240), "right_ankle": (-18, 240),
}  # fmt: skip


def person(
    x: float = 0.0, missing: tuple[str, ...] = (), mirror: bool = False, **moved: tuple[float, float]
) -> Keypoints2D:
    skeleton = SKELETONS["coco17"]
    xy, confidence = np.zeros((17, 2)), np.zeros(17)
    for name, (px, py) in {**STANDING, **moved}.items():
        if name not in missing:
            xy[skeleton.index[name]] = (-px if mirror else px) + x, py
            confidence[skeleton.index[name]] = 0.9
    return Keypoints2D("coco17", xy, confidence)


def contact(a: str, side_a: str, b: str, side_b: str, confidence: float = 0.8) -> PartContact:
    return PartContact(a, side_a, b, side_b, confidence)


# Side by side, both facing the camera: a's left arm touches b's right arm.
LEFT, RIGHT = person(0), person(90)


class TestPaper:
    def test_flips_both_sides_together(self) -> None:
        stated = [
            contact("upper arm", "right", "upper arm", "left"),
            contact("upper arm", "left", "upper arm", "right"),
        ]
        wrong, right = denoise_chirality(stated, LEFT, RIGHT)
        assert (wrong.side_a, wrong.side_b, wrong.flipped) == ("left", "right", True)
        assert (right.side_a, right.side_b, right.flipped) == ("left", "right", False)
        assert wrong.stated == ("right", "left") and wrong.probability == 1.0

    def test_believes_same_side(self) -> None:
        (chosen,) = denoise_chirality([contact("upper arm", "right", "upper arm", "right")], LEFT, RIGHT)
        assert chosen.side_a == chosen.side_b

    def test_is_the_nearer_of_the_two_combinations(self) -> None:
        rng = np.random.default_rng(0)
        flip = {"left": "right", "right": "left"}
        parts = (
            "hand",
            "forearm",
            "elbow",
            "shoulder",
            "thigh",
            "knee",
            "leg",
            "foot",
            "back",
            "chest",
            "face",
        )
        for _ in range(200):
            a, b = (
                Keypoints2D("coco17", rng.uniform(0, 300, (17, 2)), rng.uniform(0.3, 1, 17)) for _ in range(2)
            )
            names = rng.choice(parts, 2)
            sides = rng.choice(["left", "right"], 2)
            stated = contact(str(names[0]), str(sides[0]), str(names[1]), str(sides[1]))
            other = contact(stated.part_a, flip[stated.side_a], stated.part_b, flip[stated.side_b])
            gaps = [part_distance(c.part_a, c.side_a, c.part_b, c.side_b, a, b) for c in (stated, other)]
            (chosen,) = denoise_chirality([stated], a, b)
            best = stated if gaps[0] <= gaps[1] else other
            assert (chosen.side_a, chosen.side_b) == (best.side_a, best.side_b)
            assert chosen.margin == pytest.approx(abs(gaps[0] - gaps[1]) / max(sum(gaps), 1e-12))
            assert chosen.distance == pytest.approx(min(gaps) / people_size(a, b))

    def test_both_and_none_stay(self) -> None:
        for sides in (("both", "both"), ("none", "none"), ("both", "none")):
            (chosen,) = denoise_chirality([contact("hand", sides[0], "back", sides[1])], LEFT, RIGHT)
            assert (chosen.side_a, chosen.side_b, chosen.margin) == (*sides, 0.0)

    def test_one_side_beside_both_flips_alone(self) -> None:
        (chosen,) = denoise_chirality([contact("hand", "right", "shoulder", "both")], LEFT, RIGHT)
        assert (chosen.side_a, chosen.side_b) == ("left", "both")
        (half,) = denoise_chirality([contact("back", "right", "shoulder", "both")], LEFT, RIGHT)
        assert half.side_a == "right"  # a half of the trunk has no keypoints of its own

    def test_missing_joints_keep_what_was_told(self) -> None:
        blind = person(0, ("left_wrist", "right_wrist"))
        (chosen,) = denoise_chirality([contact("hand", "right", "hand", "left")], blind, RIGHT, tau=0.2)
        assert (chosen.side_a, chosen.side_b) == ("right", "left")
        assert math.isnan(chosen.distance) and chosen.margin == 0
        assert chosen.weight == pytest.approx(0.8 * math.exp(-1))

    def test_weight_is_the_formula(self) -> None:
        (chosen,) = denoise_chirality([contact("elbow", "left", "elbow", "right", 0.6)], LEFT, RIGHT, tau=0.3)
        gap = 90 - 80  # a's left elbow at 40, b's right elbow at 90 - 40
        assert chosen.distance == pytest.approx(gap / people_size(LEFT, RIGHT))
        assert chosen.weight == pytest.approx(0.6 * math.exp(-chosen.distance / 0.3))
        assert chosen.confidence == 0.6

    def test_alternatives_count_by_their_nearest(self) -> None:
        wide = PartContact("foot", "left", "elbow", "right", alternatives_a=("elbow",))
        (chosen,) = denoise_chirality([wide], LEFT, RIGHT)
        assert chosen.alternatives_a == ("elbow",)
        assert chosen.distance == pytest.approx(10 / people_size(LEFT, RIGHT))

    def test_takes_an_answer_and_gives_a_map(self) -> None:
        answer = ContactAnswer(contacts=(contact("hand", "left", "hand", "right"),))
        chosen = denoise_chirality(answer, LEFT, RIGHT)
        assert ContactMap.from_parts(chosen).weights.max() == pytest.approx(chosen[0].weight)
        assert denoise_chirality(ContactAnswer(), LEFT, RIGHT) == []

    def test_says_what_is_wrong(self) -> None:
        one = [contact("hand", "left", "hand", "left")]
        with pytest.raises(ValueError, match="sides"):
            denoise_chirality(one, LEFT, RIGHT, sides="best")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="tau"):
            denoise_chirality(one, LEFT, RIGHT, tau=0.0)
        nobody = Keypoints2D("coco17", np.zeros((17, 2)), np.zeros(17))
        with pytest.raises(ValueError, match=r"keypoints_b.*detection"):
            denoise_chirality(one, LEFT, nobody)


class TestPosterior:
    def test_repairs_one_side(self) -> None:
        for stated in itertools.product(("left", "right"), repeat=2):
            (chosen,) = denoise_chirality(
                [contact("elbow", stated[0], "elbow", stated[1])], LEFT, RIGHT, sides="posterior"
            )
            assert (chosen.side_a, chosen.side_b) == ("left", "right")
            assert 0 <= (chosen.margin or 0) <= chosen.probability <= 1

    def test_equals_bayes_rule_written_out(self) -> None:
        belief, model = SideBelief(0.5, 0.2, 0.15), DistanceModel(0.1, 0.02, 0.01)
        stated = contact("elbow", "right", "knee", "right")
        size = people_size(LEFT, RIGHT)
        weights = {}
        for a, b in itertools.product(("left", "right"), repeat=2):
            flips = (a != "right") + (b != "right")
            prior = {0: 0.5, 1: 0.15, 2: 0.2}[flips]
            d = part_distance("elbow", a, "knee", b, LEFT, RIGHT) / size
            weights[a, b] = prior * (0.01 + 0.99 * math.exp(-d / math.hypot(0.1, 0.02 / 0.9)))
        ranked = sorted(weights.items(), key=lambda item: -item[1])
        total = sum(weights.values())
        (chosen,) = denoise_chirality(
            [stated], LEFT, RIGHT, sides="posterior", belief=belief, distances=model
        )
        assert (chosen.side_a, chosen.side_b) == ranked[0][0]
        assert chosen.probability == pytest.approx(ranked[0][1] / total)
        assert chosen.margin == pytest.approx((ranked[0][1] - ranked[1][1]) / total)
        assert chosen.weight == pytest.approx(0.8 * chosen.probability * math.exp(-chosen.distance / 0.25))

    def test_full_belief_keeps_what_was_told(self) -> None:
        (chosen,) = denoise_chirality(
            [contact("elbow", "right", "elbow", "left")],
            LEFT,
            RIGHT,
            sides="posterior",
            belief=SideBelief(1.0, 0.0, 0.0),
        )
        assert (chosen.side_a, chosen.side_b, chosen.probability) == ("right", "left", 1.0)

    def test_trunk_halves_flip_with_the_other_part_only(self) -> None:
        prior = side_prior(contact("back", "left", "hand", "right"), SideBelief())
        assert set(prior) == {("left", "right"), ("right", "left"), ("left", "left")}
        assert sum(prior.values()) == pytest.approx(1.0)

    def test_fills_in_sides_that_were_not_told_where_clear(self) -> None:
        (clear,) = denoise_chirality(
            [contact("elbow", "none", "elbow", "right")], LEFT, RIGHT, sides="posterior"
        )
        assert (clear.side_a, clear.side_b) == ("left", "right")
        middle = person(90, right_elbow=(-90.0, 80.0))  # as far from either elbow of the other
        (unclear,) = denoise_chirality(
            [contact("elbow", "none", "elbow", "right")], LEFT, middle, sides="posterior"
        )
        assert unclear.side_a == "none"

    def test_missing_joints_count_as_average(self) -> None:
        half = person(0, ("right_elbow",))
        (chosen,) = denoise_chirality(
            [contact("elbow", "left", "elbow", "right")], half, RIGHT, sides="posterior"
        )
        assert (chosen.side_a, chosen.side_b) == ("left", "right")
        blind = person(0, ("right_elbow", "left_elbow"))
        (kept,) = denoise_chirality(
            [contact("elbow", "right", "elbow", "right")], blind, RIGHT, sides="posterior"
        )
        assert (kept.side_a, kept.probability) == ("right", pytest.approx(SideBelief().kept))

    def test_doubtful_keypoints_decide_less(self) -> None:
        def probability(confidence: float) -> float:
            doubtful = Keypoints2D("coco17", LEFT.xy, np.full(17, confidence))
            return denoise_chirality(
                [contact("elbow", "right", "elbow", "left")],
                doubtful,
                RIGHT,
                sides="posterior",
                distances=DistanceModel(error=0.05),
            )[0].probability

        assert probability(0.9) > probability(0.4) > probability(0.25)

    def test_parameters_are_checked(self) -> None:
        with pytest.raises(ValueError, match="must be 1"):
            SideBelief(0.5, 0.5, 0.5)
        with pytest.raises(ValueError, match="outlier"):
            DistanceModel(outlier=0.0)


def _random_person(rng: np.random.Generator) -> Keypoints2D:
    return Keypoints2D("coco17", rng.uniform(0, 300, (17, 2)), rng.uniform(0.3, 1, 17))


@pytest.mark.parametrize("rule", ["paper", "posterior"])
def test_symmetries(rule: SideRule) -> None:
    """Neither the order of the people nor their place and size in the picture changes a decision."""
    rng = np.random.default_rng(1)
    parts = ("hand", "forearm", "shoulder", "thigh", "back", "head")
    for _ in range(60):
        a, b = (
            Keypoints2D("coco17", rng.uniform(0, 300, (17, 2)), rng.uniform(0.3, 1, 17)) for _ in range(2)
        )
        a_part, b_part = (str(part) for part in rng.choice(parts, 2))
        a_side, b_side = (str(side) for side in rng.choice(["left", "right", "both", "none"], 2))
        stated = contact(a_part, a_side, b_part, b_side)
        (chosen,) = denoise_chirality([stated], a, b, sides=rule)
        (turned,) = denoise_chirality([stated.transposed()], b, a, sides=rule)
        assert (turned.side_b, turned.side_a) == (chosen.side_a, chosen.side_b)
        assert turned.weight == pytest.approx(chosen.weight)
        moved_a, moved_b = (Keypoints2D("coco17", 2.5 * k.xy + [70.0, -40.0], k.confidence) for k in (a, b))
        (moved,) = denoise_chirality([stated], moved_a, moved_b, sides=rule)
        assert (moved.side_a, moved.side_b) == (chosen.side_a, chosen.side_b)
        assert moved.weight == pytest.approx(chosen.weight)


class TestPersonOrder:
    CONTACTS = (contact("hand", "left", "shoulder", "right"), contact("hand", "left", "head", "none"))

    def test_contacts_decide(self) -> None:
        reaching = person(0, left_wrist=(62.0, 38.0))  # on the other's right shoulder
        given = person_order(self.CONTACTS, reaching, RIGHT, position=False)
        assert not given.exchanged and given.clear
        exchanged = person_order(self.CONTACTS, RIGHT, reaching, position=False)
        assert exchanged.exchanged and exchanged.probability == pytest.approx(given.probability)

    def test_position_decides_where_contacts_cannot(self) -> None:
        same = (contact("elbow", "none", "elbow", "none"),)
        assert person_order(same, LEFT, RIGHT, position=False).margin == pytest.approx(0.0)
        assert not person_order(same, LEFT, RIGHT).exchanged
        order = person_order(same, RIGHT, LEFT)
        assert order.exchanged and order.margin == pytest.approx(2 * order.probability - 1)

    def test_nothing_known(self) -> None:
        order = person_order((), LEFT, RIGHT, position=False)
        assert (order.exchanged, order.probability, order.clear) == (False, 0.5, False)


class TestReal:
    @staticmethod
    def benchmark() -> Any:
        spec = importlib.util.spec_from_file_location(
            "chirality_benchmark", ROOT / "benchmarks" / "chirality.py"
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["chirality_benchmark"] = module
        spec.loader.exec_module(module)
        return module

    @pytest.mark.parametrize("detector", ["vitpose", "openpose"])
    def test_the_rule_is_right_as_often_as_measured(self, real_dir: Path, detector: str) -> None:
        module = self.benchmark()
        pairs = module.load(detector, real_dir)
        assert len(pairs) == 4 and sum(len(pair.contacts) for pair in pairs) == 23
        for rule in ("paper", "posterior"):
            counts = module.count(pairs, rule)
            kept, both, one = (counts[case] for case in module.CASES)
            assert kept.right >= 0.95 * kept.cases
            assert both.decidable_right >= 0.9 * both.decidable > 0
            if rule == "posterior":
                assert one.decidable_right >= 0.7 * one.decidable > 0
        right, clear, clear_right = module.orders(pairs)
        assert right == 4 and clear == clear_right >= 2

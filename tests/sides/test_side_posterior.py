"""The sides of all contacts of an answer together, against sums written out, and what depths add."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import beta

from apu_contacts.contacts import PartContact
from apu_contacts.keypoints.skeletons import SKELETONS
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.sides.belief import DistanceModel, SideBelief, side_prior
from apu_contacts.sides.chirality import denoise_chirality
from apu_contacts.sides.pair_keypoints import KeypointPair, keypoint_depths, part_distance, people_size
from apu_contacts.sides.posterior import side_posteriors
from apu_losses.fitting import Joints3D

NAMES = SKELETONS["coco17"].joint_names
LIMBS = ("elbow", "knee", "shoulder", "hand")
FLIP = {"left": "right", "right": "left"}


def random_person(rng: np.random.Generator) -> Keypoints2D:
    return Keypoints2D("coco17", rng.uniform(0, 300, (17, 2)), rng.uniform(0.3, 1, 17))


def body(depth: dict[str, float], everywhere: float = 4.0) -> SimpleNamespace:
    names = (*(name for name in NAMES if "eye" not in name and "ear" not in name and name != "nose"), "head")
    joints = np.array([[0.0, 0.0, depth.get(name, everywhere)] for name in names])
    return SimpleNamespace(joint_names=names, joints=joints)


def random_body(rng: np.random.Generator) -> SimpleNamespace:
    return body({name: float(rng.normal(4, 0.3)) for name in (*NAMES, "head")})


def random_contacts(rng: np.random.Generator, count: int) -> list[PartContact]:
    return [
        PartContact(
            str(rng.choice(LIMBS)),
            str(rng.choice(list(FLIP))),
            str(rng.choice(LIMBS)),
            str(rng.choice(list(FLIP))),
        )
        for _ in range(count)
    ]


def test_rates_are_those_of_a_beta_distribution() -> None:
    for together, concentration in ((0.2, 1.1), (0.4, 0.3), (0.1, 5.0)):
        belief = SideBelief(0.7 - together, together, 0.15, concentration)
        rates = belief.rates()
        mean = together / 0.7
        assert rates.mean() == pytest.approx(mean) and (np.diff(rates) > 0).all()
        edges = beta.ppf(np.linspace(0, 1, 9), mean * concentration, (1 - mean) * concentration)
        assert ((edges[:-1] <= rates) & (rates <= edges[1:])).all()
    assert SideBelief(concentration=math.inf).rates() == pytest.approx([SideBelief().rate])
    assert SideBelief(1.0, 0.0, 0.0).rates() == pytest.approx([0.0])


def written_out(
    c: PartContact,
    sides: tuple[str, str],
    offset: float,
    a: Keypoints2D,
    b: Keypoints2D,
    bodies: tuple[SimpleNamespace, SimpleNamespace] | None,
) -> float:
    """Likelihood of parts that have one keypoint each, with the model of the next test."""
    names = [
        f"{side}_{'wrist' if part == 'hand' else part}"
        for part, side in zip((c.part_a, c.part_b), sides, strict=True)
    ]
    i, j = (NAMES.index(name) for name in names)
    gap = math.dist(a.xy[i], b.xy[j]) / people_size(a, b)
    cost = gap / math.hypot(0.1, 0.02 / min(a.confidence[i], b.confidence[j]))
    if bodies:
        z = [x.joints[x.joint_names.index(name)][2] for x, name in zip(bodies, names, strict=True)]
        cost += ((z[0] - z[1] - offset) / 0.2) ** 2 / 2
    return 0.01 + 0.99 * math.exp(-cost)


@pytest.mark.parametrize("depths", [False, True])
def test_equals_the_sum_over_everything_that_is_not_known(depths: bool) -> None:
    """Every combination of the sides of all contacts, rates and offsets, one after the other."""
    rng = np.random.default_rng(3)
    belief, model = SideBelief(0.5, 0.2, 0.15, 0.8), DistanceModel(0.1, 0.02, 0.01, 0.2, 0.15)
    for _ in range(5):
        a, b = random_person(rng), random_person(rng)
        bodies = (random_body(rng), random_body(rng)) if depths else None
        pair = KeypointPair.of(a, b, bodies)
        contacts = random_contacts(rng, 3)
        offsets, shares = model.offsets() if depths else (np.zeros(1), np.ones(1))
        mass: list[dict[tuple[str, str], float]] = [{} for _ in contacts]
        for rate, (offset, share) in itertools.product(belief.rates(), zip(offsets, shares, strict=True)):
            for chosen in itertools.product(itertools.product(FLIP, FLIP), repeat=len(contacts)):
                p = share
                for c, sides in zip(contacts, chosen, strict=True):
                    flips = (sides[0] != c.side_a) + (sides[1] != c.side_b)
                    p *= (0.7 * (1 - rate), 0.15, 0.7 * rate)[flips] * written_out(
                        c, sides, offset, a, b, bodies
                    )
                for table, sides in zip(mass, chosen, strict=True):
                    table[sides] = table.get(sides, 0.0) + p
        for table, found in zip(mass, side_posteriors(contacts, pair, belief, model), strict=True):
            total = sum(table.values())
            assert found == pytest.approx({sides: p / total for sides, p in table.items()})


def test_contacts_of_an_answer_tell_about_each_other() -> None:
    """Where one contact shows that an answer has the picture's left and right, the next is read so, too."""
    xy = np.zeros((2, 17, 2))
    xy[:, NAMES.index("left_ankle")], xy[:, NAMES.index("nose")] = (0, 400), (0, -200)
    for side, x in (("left", 0.0), ("right", 200.0)):
        xy[0, NAMES.index(f"{side}_elbow")] = (x, 0)
        xy[1, NAMES.index(f"{side}_elbow")] = (x, 10)  # left on left, right on right: seen clearly
    a, b = (Keypoints2D("coco17", place, np.full(17, 0.9)) for place in xy)
    wrong, unseen = (
        PartContact("elbow", "right", "elbow", "right"),
        PartContact("knee", "right", "knee", "left"),
    )
    alone = denoise_chirality([unseen], a, b, sides="posterior")[0]
    beside = denoise_chirality(
        [wrong, wrong, unseen], a, b, sides="posterior", belief=SideBelief(concentration=0.3)
    )
    assert not alone.flipped  # nothing speaks for either, so it stays as told
    # both elbows fit as told as well as flipped: nothing is learned of them
    assert not beside[2].flipped
    xy[1, NAMES.index("right_elbow")] = (900, 10)  # now only left on left fits
    b = Keypoints2D("coco17", xy[1], np.full(17, 0.9))
    beside = denoise_chirality(
        [wrong, wrong, unseen], a, b, sides="posterior", belief=SideBelief(concentration=0.3)
    )
    assert [c.flipped for c in beside] == [True, True, True]
    apart = SideBelief(concentration=math.inf)
    beside = denoise_chirality([wrong, wrong, unseen], a, b, sides="posterior", belief=apart)
    assert [c.flipped for c in beside] == [True, True, False]


def test_depth_decides_where_the_picture_cannot() -> None:
    """Seen from the side two hands lie on each other; only one is as far away as the other person's."""
    rng = np.random.default_rng(0)
    a, b = random_person(rng), random_person(rng)
    for name in ("left_wrist", "right_wrist"):
        a.xy[NAMES.index(name)] = b.xy[NAMES.index(name)] = (150, 150)
    stated = PartContact("hand", "left", "hand", "left")
    near, far = {"left_wrist": 3.6, "right_wrist": 4.4}, {"left_wrist": 5.0, "right_wrist": 4.5}
    (flat,) = denoise_chirality([stated], a, b, sides="posterior")
    (deep,) = denoise_chirality([stated], a, b, sides="posterior", estimates=(body(near), body(far)))
    assert (flat.side_a, flat.side_b) == ("left", "left")
    assert (deep.side_a, deep.side_b) == ("right", "right") and deep.probability > 0.5
    # where both stand does not matter, and an estimate of one person alone says nothing
    moved = [body({k: v + 2 for k, v in depth.items()}, 6.0) for depth in (near, far)]
    (other,) = denoise_chirality([stated], a, b, sides="posterior", estimates=(moved[0], moved[1]))
    assert other.probability == pytest.approx(deep.probability)
    (half,) = denoise_chirality([stated], a, b, sides="posterior", estimates=(body(near), None))
    assert half == flat
    (paper,) = denoise_chirality([stated], a, b, sides="paper", estimates=(body(near), body(far)))
    assert paper == denoise_chirality([stated], a, b)[0]


def test_the_joints_of_a_scene_are_taken_as_they_are() -> None:
    """`Joints3D` has other names for the same: what a scene file holds gives the same depths."""
    rng = np.random.default_rng(0)
    a, b = random_person(rng), random_person(rng)
    stated = [PartContact("hand", "left", "hand", "left")]
    bodies = [body({"left_wrist": 3.6, "right_wrist": 4.4}), body({"left_wrist": 5.0, "right_wrist": 4.5})]
    wanted = denoise_chirality(stated, a, b, sides="posterior", estimates=(bodies[0], bodies[1]))
    scene = [Joints3D(one.joint_names, one.joints) for one in bodies]
    assert denoise_chirality(stated, a, b, sides="posterior", estimates=(scene[0], scene[1])) == wanted
    assert wanted != denoise_chirality(stated, a, b, sides="posterior")
    # a joint that is not trusted has no depth
    untrusted = Joints3D(("left_wrist", "right_wrist"), np.ones((2, 3)), np.array([0.0, 1.0]))
    depths = dict(zip(NAMES, keypoint_depths(a, untrusted), strict=True))
    assert math.isnan(depths["left_wrist"]) and depths["right_wrist"] == 1
    start = SimpleNamespace(joints=scene[0])  # the start of a person, not its joints
    with pytest.raises(TypeError, match=r"names and xyz .* got SimpleNamespace; is its .joints"):
        denoise_chirality(stated, a, b, sides="posterior", estimates=(start, start))  # type: ignore[arg-type]


def test_people_may_be_named_in_either_order() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        a, b, bodies = random_person(rng), random_person(rng), (random_body(rng), random_body(rng))
        contacts = random_contacts(rng, 2)
        pair = KeypointPair.of(a, b, bodies)
        given = side_posteriors(contacts, pair)
        turned = side_posteriors([c.transposed() for c in contacts], pair.exchanged)
        for one, other in zip(given, turned, strict=True):
            assert {(b, a): p for (a, b), p in other.items()} == pytest.approx(one)


def test_keypoints_stand_at_the_joints_that_an_estimate_has() -> None:
    whole = SKELETONS["coco_wholebody133"]
    keypoints = Keypoints2D(
        whole.name, np.zeros((len(whole.joint_names), 2)), np.ones(len(whole.joint_names))
    )
    depths = keypoint_depths(keypoints, body({"left_wrist": 1.0, "right_ankle": 2.0, "head": 3.0}))
    found = dict(zip(whole.joint_names, depths, strict=True))
    assert (found["left_wrist"], found["right_big_toe"], found["nose"], found["left_ear"]) == (1, 2, 3, 3)
    assert found["left_hand_4"] == 1
    nothing = keypoint_depths(keypoints, SimpleNamespace(joint_names=("pelvis",), joints=np.ones((1, 3))))
    assert np.isnan(nothing[whole.joint_names.index("left_wrist")])


def test_an_unknown_depth_leaves_the_picture() -> None:
    rng = np.random.default_rng(6)
    a, b = random_person(rng), random_person(rng)
    contacts = random_contacts(rng, 2)
    blind = SimpleNamespace(joint_names=("pelvis",), joints=np.ones((1, 3)))
    assert side_posteriors(contacts, KeypointPair.of(a, b, (blind, blind))) == [
        pytest.approx(found) for found in side_posteriors(contacts, KeypointPair.of(a, b))
    ]


def test_gaps_hold_every_pair_of_keypoints() -> None:
    rng = np.random.default_rng(7)
    a, b = random_person(rng), random_person(rng)
    gaps = KeypointPair.of(a, b).gaps(PartContact("leg", "left", "arm", "right"), ("left", "right"))
    assert len(gaps.distance) == 9 and np.isnan(gaps.depth).all()
    size = KeypointPair.of(a, b).size
    assert gaps.nearest()[0] * size == pytest.approx(part_distance("leg", "left", "arm", "right", a, b))


def test_the_prior_of_a_share_averages_to_the_prior() -> None:
    belief = SideBelief()
    for contact in (
        PartContact("hand", "left", "hand", "right"),
        PartContact("hand", "left", "back", "both"),
    ):
        each = [side_prior(contact, belief, float(rate)) for rate in belief.rates()]
        mean = {sides: float(np.mean([p[sides] for p in each])) for sides in each[0]}
        assert mean == pytest.approx(side_prior(contact, belief))


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="concentration"):
        SideBelief(concentration=0.0)
    with pytest.raises(ValueError, match="depth_scale"):
        DistanceModel(depth_scale=0.0)

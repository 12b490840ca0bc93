"""From a simulated answer to the contacts of a scene: parse, order of people, sides, weights, map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from apu_contacts import parse_answer
from apu_contacts.answers import fuse_answers
from apu_contacts.contacts import ContactMap, PartContact
from apu_contacts.sides.belief import SideBelief
from apu_contacts.sides.chirality import DEFAULT_TAU, denoise_chirality, person_order
from apu_losses.fitting import SceneContact
from apu_losses.synthetic.annotator import AnnotatorNoise, annotate
from apu_losses.synthetic.observe import Observation

Source = Literal["none", "answer", "truth"]
Sides = Literal["as told", "paper", "posterior", "as meant"]
Order = Literal["decided", "either", "as told", "wrong"]

FUSED: tuple[tuple[str, int], ...] = tuple((m, s) for m in ("steady", "terse", "talkative") for s in (0, 1))
"""The answers that are fused: two samples of each of three models."""


@dataclass(frozen=True)
class ContactSource:
    """Where the contacts of a method come from.

    Args:
        source: nowhere, a simulated answer, or the truth (the ceiling).
        sides: how the left and right of an answer are repaired. ``"as meant"`` is no method but the ceiling
            of all: the same answer as if its annotator had flipped none.
        order: which person is meant: decided from the keypoints where that is clear and open elsewhere; open
            everywhere; as the answer says; or, to see what it costs, always the wrong one.
        soft: weights that fall with the keypoint distance, or 1 for every contact.
        fused: two answers of each of three models made into one, instead of one answer of one.
        tau: fall-off of soft weights.
        trust: factor on the weights of an answer's contacts. `best` pulls as hard as human annotations
            deserve; what a model says counts less: chosen on the development types.
        annotator: the dials of the annotator.
    """

    source: Source = "answer"
    sides: Sides = "posterior"
    order: Order = "decided"
    soft: bool = True
    fused: bool = False
    tau: float = DEFAULT_TAU
    trust: float = 1 / 12
    annotator: AnnotatorNoise = field(default_factory=AnnotatorNoise)


def contacts_of(seen: Observation, wanted: ContactSource, seed: int = 0) -> tuple[SceneContact, ...]:
    """The contacts of one scene; none where an answer has none.

    Args:
        seed: of the annotator.
    """
    if wanted.source == "none":
        return ()
    if wanted.source == "truth":
        pairs = seen.truth.contact_regions
        return (SceneContact(0, 1, ContactMap(np.array(pairs))),) if pairs else ()
    left, right = seen.left, 1 - seen.left
    keypoints = seen.detections[left].keypoints, seen.detections[right].keypoints
    told = _told(seen, wanted, seed)
    if not told:
        return ()
    order: Literal["given", "either"] = "given"
    found = person_order(told, *keypoints)
    if wanted.sides == "as meant":
        straight = replace(wanted.annotator, flipped=0.0, flipped_alone=0.0)
        told = _told(seen, replace(wanted, annotator=straight), seed)
    if wanted.order == "either":
        order = "either"
    elif wanted.order in ("decided", "wrong"):
        if wanted.order == "wrong":
            # the truth is known here: the order that agrees with it is exchanged
            told = [c.transposed() for c in told] if _agrees(seen, told) else told
        elif not found.clear:
            order = "either"
        elif found.exchanged:
            told = [c.transposed() for c in told]
    if wanted.sides != "as told":
        told = list(
            denoise_chirality(
                told,
                *keypoints,
                rule="paper" if wanted.sides == "paper" else "posterior",
                tau=wanted.tau,
                belief=SideBelief(1.0, 0.0, 0.0) if wanted.sides == "as meant" else None,
                estimates=(seen.detections[left].initial, seen.detections[right].initial),
            )
        )
    told = [
        replace(contact, weight=wanted.trust * (contact.effective_weight if wanted.soft else 1.0))
        for contact in told
    ]
    return (SceneContact(left, right, ContactMap.from_parts(told), order),)


def _told(seen: Observation, wanted: ContactSource, seed: int) -> list[PartContact]:
    """The contacts of an answer, read from its text; person a is the person on the left."""
    if not wanted.fused:
        return list(parse_answer(annotate(seen, wanted.annotator, seed)).contacts)
    answers = [parse_answer(annotate(seen, wanted.annotator, seed, m, s)) for m, s in FUSED]
    return list(fuse_answers(answers, [model for model, _ in FUSED]).contacts)


def _agrees(seen: Observation, told: Sequence[PartContact]) -> bool:
    """Whether an answer names more true region pairs as it stands than with the people exchanged."""
    true = set(seen.truth.contact_regions)
    if seen.left == 1:
        true = {(b, a) for a, b in true}

    def hits(contacts: Sequence[PartContact]) -> int:
        return len(true & {(int(a), int(b)) for a, b in ContactMap.from_parts(contacts).pairs})

    return hits(told) >= hits([c.transposed() for c in told])

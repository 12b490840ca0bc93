"""From a simulated answer to the contacts of a scene: parse, order of people, sides, weights, map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from apu_contacts.contacts import ContactMap, PartContact
from apu_contacts.resolve import ContactPolicy, ResolvedContacts, resolve_contacts
from apu_contacts.sides.belief import SideBelief
from apu_contacts.sides.chirality import DEFAULT_TAU
from apu_losses.fitting import SceneContact
from apu_losses.synthetic.annotator import AnnotatorNoise, annotate
from apu_losses.synthetic.observe import Observation

Source = Literal["none", "answer", "truth", "light truth"]
Sides = Literal["as told", "paper", "posterior", "as meant"]
Order = Literal["decided", "either", "as told", "exchanged", "wrong"]

FUSED: tuple[tuple[str, int], ...] = tuple((m, s) for m in ("steady", "terse", "talkative") for s in (0, 1))
"""The answers that are fused: two samples of each of three models."""


@dataclass(frozen=True)
class ContactSource:
    """Where the contacts of a method come from.

    Args:
        source: nowhere, a simulated answer, or the truth (the ceiling); the "light truth" is the same pairs
            at the weight of an answer's contacts.
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
    """Return the contacts of one scene; none where an answer has none.

    Args:
        seed: of the annotator.
    """
    if wanted.source == "none":
        return ()
    if wanted.source in ("truth", "light truth"):
        pairs = seen.truth.contact_regions
        weight = 1.0 if wanted.source == "truth" else wanted.trust
        return (
            (SceneContact(0, 1, ContactMap(np.array(pairs), np.full(len(pairs), weight))),) if pairs else ()
        )
    left, right = seen.left, 1 - seen.left

    def resolved(source: ContactSource, policy: ContactPolicy) -> ResolvedContacts:
        texts, models = _texts(seen, source, seed)
        people = seen.detections[left], seen.detections[right]
        return resolve_contacts(texts, *people, policy, models=models, left="a")

    policy = ContactPolicy(
        "posterior" if wanted.sides == "as meant" else wanted.sides,
        "as told" if wanted.order == "wrong" else wanted.order,
        wanted.soft,
        wanted.tau,
        wanted.trust,
    )
    if wanted.order == "wrong" and _agrees(seen, resolved(wanted, replace(policy, sides="as told")).contacts):
        # the truth is known here: the order that agrees with it is exchanged
        policy = replace(policy, order="exchanged")
    if wanted.sides == "as meant":
        if wanted.order == "decided":
            # with the flips that a method sees
            seen_order = resolved(wanted, replace(policy, sides="as told"))
            decided: Order = "exchanged" if seen_order.evidence.exchanged else "as told"
            policy = replace(policy, order="either" if seen_order.order == "either" else decided)
        straight = replace(wanted.annotator, flipped=0.0, flipped_alone=0.0)
        wanted = replace(wanted, annotator=straight)
        policy = replace(policy, belief=SideBelief(1.0, 0.0, 0.0))
    found = resolved(wanted, policy)
    if not found.contacts:
        return ()
    return (SceneContact(left, right, found.contact_map, found.order),)


def _texts(seen: Observation, wanted: ContactSource, seed: int) -> tuple[list[str], list[str]]:
    """Return the answers of the simulated annotator, and which model gave each."""
    if not wanted.fused:
        return [annotate(seen, wanted.annotator, seed)], [""]
    return [annotate(seen, wanted.annotator, seed, m, s) for m, s in FUSED], [m for m, _ in FUSED]


def _agrees(seen: Observation, told: Sequence[PartContact]) -> bool:
    """Whether an answer names more true region pairs as it stands than with the people exchanged."""
    true = set(seen.truth.contact_regions)
    if seen.left == 1:
        true = {(b, a) for a, b in true}

    def hits(contacts: Sequence[PartContact]) -> int:
        return len(true & {(int(a), int(b)) for a, b in ContactMap.from_parts(contacts).pairs})

    return hits(told) >= hits([c.transposed() for c in told])

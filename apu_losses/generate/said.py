"""What answers say of the people themselves, put where a fit looks: age groups and who is in front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from apu_contacts.answers.attributes import Judgement
from apu_contacts.regions import RegionMap
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.scene.types import Scene
from apu_losses.fitting.start.complete import SURE, settled_starts

FromAnswers = Literal["all", "contacts", "none"]
"""What of the answers goes into the starts: contacts and attributes, contacts alone, nothing."""


def check_from_answers(wanted: object) -> None:
    """Raise a `ValueError` unless this is one of `FromAnswers`."""
    if wanted not in get_args(FromAnswers):
        raise ValueError(f"from_answers must be one of {', '.join(get_args(FromAnswers))}, got {wanted!r}")


def with_attributes(scene: Scene, least: float = SURE) -> Scene:
    """Return the scene with the age groups and the depth order that the evidence of its contacts states.

    What the scene said before stays. Of several answers about one person the group of most confidence counts;
    two people whom several pairs put in different orders have none.

    Args:
        least: confidence from which something counts.
    """
    told: dict[int, list[Judgement]] = {}
    order: set[tuple[int, int]] = set()
    for contact in scene.contacts:
        said = None if contact.evidence is None else contact.evidence.attributes
        if said is None or contact.person_a == contact.person_b:
            continue
        for person, own in ((contact.person_a, said.a), (contact.person_b, said.b)):
            if own.age_group is not None:
                told.setdefault(person, []).append(own.age_group)
        front = said.in_front
        if front is not None and front.confidence >= least and front.value in ("a", "b"):
            pair = (contact.person_a, contact.person_b)
            order.add(pair if front.value == "a" else pair[::-1])
    people = list(scene.people)
    for person, judged in told.items():
        best = _likeliest(judged)
        if best.confidence >= least and not people[person].age_group:
            people[person] = replace(people[person], age_group=best.value)
    known = {frozenset(pair) for pair in scene.depth_order}
    more = [p for p in sorted(order) if frozenset(p) not in known and p[::-1] not in order]
    return replace(scene, people=people, depth_order=(*scene.depth_order, *more))


def _likeliest(judged: Sequence[Judgement]) -> Judgement:
    """Return the value of most confidence, and that as a share of all who judged."""
    weight: dict[str, float] = {}
    for one in judged:
        weight[one.value] = weight.get(one.value, 0.0) + one.confidence
    best = max(weight, key=lambda value: weight[value])
    return Judgement(best, weight[best] / len(judged))


def started_as_said(
    scenes: Sequence[Scene],
    body: Callable[[], BodyModel],
    regions: Callable[[], RegionMap],
    from_answers: FromAnswers = "all",
    progress: Callable[[float, str], None] | None = None,
) -> list[Scene]:
    """Return the scenes with starts that know what was answered.

    People who started from their keypoints alone start once more; those with an estimate keep it, and a fit
    gives them the size that was said (`apu_losses.fitting.start.said`).

    Args:
        scenes: with contacts and their evidence.
        body: returns the body that is fitted; asked for only where somebody starts once more.
        regions: returns its region map, likewise.
        from_answers: what of the answers counts; ``"none"`` returns the scenes as they are.
        progress: called with the share that is done, 0 to 1, and the name of the next scene.

    Raises:
        ValueError: another word for ``from_answers``.
    """
    check_from_answers(from_answers)
    if from_answers == "none":
        return list(scenes)
    done = []
    for number, scene in enumerate(scenes):
        if progress is not None:
            progress(number / len(scenes), scene.name)
        if from_answers == "all":
            scene = with_attributes(scene)
        done.append(settled_starts(scene, body, regions, attributes=from_answers == "all"))
    return done

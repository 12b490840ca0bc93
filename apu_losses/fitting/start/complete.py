"""Nobody is placed at the camera in silence: who came without a start gets one of their keypoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from apu_contacts.regions import RegionMap
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.body_parameters import pose_joints
from apu_losses.fitting.scene.types import Scene, ScenePerson
from apu_losses.fitting.start.from_detections import STARTED_FROM_KEYPOINTS
from apu_losses.fitting.start.from_keypoints import KeypointStart, start_from_keypoints, unstartable
from apu_losses.fitting.start.said import usual_age

SURE = 0.6
"""Confidence from which what an answer says of people counts; models seldom state less than a half."""


def started(
    scenes: Sequence[Scene], body: BodyModel, regions: RegionMap | None = None
) -> tuple[list[Scene], list[tuple[str, ...]]]:
    """Return the scenes with a start for everybody, and for each scene what was done, in words.

    Somebody without any initial parameter and joint is started from their keypoints. Somebody of whom no
    keypoint is seen stays where they are: nothing draws them anywhere, and the notes say so. A body without a
    pose (given meshes) lies where its mesh lies.

    Raises:
        ValueError: somebody with a pose but no place, or with keypoints that show no limb.
    """
    if not {"global_orient", "transl"} <= set(body.parameter_specs) or not pose_joints(body):
        return list(scenes), [()] * len(scenes)
    done, notes = [], []
    for scene in scenes:
        people, said = _people_of(scene, body, regions)
        done.append(replace(scene, people=people) if said else scene)
        notes.append(tuple(said))
    return done, notes


def _people_of(
    scene: Scene, body: BodyModel, regions: RegionMap | None
) -> tuple[list[ScenePerson], list[str]]:
    people, said, missing = list(scene.people), [], []
    for number, person in enumerate(people):
        if person.initial.joints is not None or "transl" in person.initial.parameters:
            continue
        if not person.keypoints.valid.any():
            said.append(f"person {number} has neither a start nor keypoints, and stays at the camera")
        elif person.initial.parameters:
            raise ValueError(
                f"person {number} starts with {', '.join(sorted(person.initial.parameters))}, but nothing "
                "says where: give 'transl' or 3D joints, or leave the start out, and the keypoints make one"
            )
        elif lacking := unstartable(person.keypoints):
            raise ValueError(f"person {number} came without a start, and the keypoints make none: {lacking}")
        else:
            missing.append(number)
    starts = keypoint_starts(scene, missing, body, regions)
    for number, found in zip(missing, starts, strict=True):
        people[number] = replace(people[number], initial=found.initial())
        said.append(f"person {number} came without a start and was started from keypoints alone")
    return people, said


def keypoint_starts(
    scene: Scene,
    numbers: Sequence[int],
    body: BodyModel,
    regions: RegionMap | None = None,
    *,
    attributes: bool = True,
) -> list[KeypointStart]:
    """Return starts of some people of a scene, from their keypoints and all that the scene knows of them.

    That is whose size and who is in front, and the contacts among them, where there is a region map;
    ``attributes=False`` leaves out what answers say of who is taller.
    """
    place = {number: index for index, number in enumerate(numbers)}
    order = [(place[a], place[b]) for a, b in scene.depth_order if {a, b} <= set(place)]
    said = [(c.person_a, c.person_b, c.evidence.attributes) for c in scene.contacts if c.evidence is not None]
    taller = [
        (place[one], place[other])
        for a, b, told in said
        if attributes and told is not None and told.taller is not None and told.taller.confidence >= SURE
        for one, other in {"a": [(a, b)], "b": [(b, a)]}.get(told.taller.value, [])
        if {one, other} <= set(place)
    ]
    contacts = [
        replace(c, person_a=place[c.person_a], person_b=place[c.person_b])
        for c in scene.contacts
        if c.person_a != c.person_b and {c.person_a, c.person_b} <= set(place)
    ]
    return start_from_keypoints(
        [scene.people[number].keypoints for number in numbers],
        scene.camera,
        body,
        ages=[usual_age(body, scene.people[number]) for number in numbers],
        in_front=order or None,
        taller=taller,
        contacts=contacts,
        regions=regions,
    )


def settled_starts(
    scene: Scene,
    body: Callable[[], BodyModel],
    regions: Callable[[], RegionMap],
    *,
    attributes: bool = True,
) -> Scene:
    """Return the scene in which people who started from their keypoints alone start once more, with what
    became known since: contacts, who is a child, who is in front.

    People with a start of their own, and people of whom no more is known, stay as they are.

    Args:
        scene: with contacts.
        body: returns the body; asked for only where somebody starts once more.
        regions: returns its region map, likewise.
        attributes: let what answers say of people count, too; False: their contacts alone.
    """
    own = [i for i, person in enumerate(scene.people) if person.label.endswith(STARTED_FROM_KEYPOINTS)]
    if not own or not any(
        len(c.contacts) or (attributes and c.evidence is not None and c.evidence.attributes is not None)
        for c in scene.contacts
        if {c.person_a, c.person_b} & set(own)
    ):
        return scene
    people = list(scene.people)
    begun = keypoint_starts(scene, own, body(), regions(), attributes=attributes)
    for number, found in zip(own, begun, strict=True):
        people[number] = replace(people[number], initial=found.initial())
    return replace(scene, people=people)

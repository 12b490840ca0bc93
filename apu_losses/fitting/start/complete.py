"""Nobody is placed at the camera in silence: who came without a start gets one of their keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.body_parameters import pose_joints
from apu_losses.fitting.scene.types import Scene, ScenePerson
from apu_losses.fitting.start.from_keypoints import start_from_keypoints, unstartable
from apu_losses.fitting.start.said import usual_age


def started(scenes: Sequence[Scene], body: BodyModel) -> tuple[list[Scene], list[tuple[str, ...]]]:
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
        people, said = _people_of(scene, body)
        done.append(replace(scene, people=people) if said else scene)
        notes.append(tuple(said))
    return done, notes


def _people_of(scene: Scene, body: BodyModel) -> tuple[list[ScenePerson], list[str]]:
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
    assert scene.camera is not None  # set by Scene itself
    ages = [usual_age(body, people[number]) for number in missing]
    place = {number: index for index, number in enumerate(missing)}
    order = [(place[a], place[b]) for a, b in scene.depth_order if {a, b} <= set(place)]
    starts = start_from_keypoints(
        [people[number].keypoints for number in missing],
        scene.camera,
        body,
        ages=ages,
        in_front=order or None,
    )
    for number, found in zip(missing, starts, strict=True):
        people[number] = replace(people[number], initial=found.initial())
        said.append(f"person {number} came without a start and was started from keypoints alone")
    return people, said

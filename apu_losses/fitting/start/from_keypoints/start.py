"""The bodies that people start from where nothing but their 2D keypoints is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apu_contacts.camera import Camera
from apu_contacts.keypoints import SKELETONS
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.regions import RegionMap
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.objective.batch import body25
from apu_losses.fitting.scene.types import SceneContact
from apu_losses.fitting.start.from_keypoints.found import KeypointStart
from apu_losses.fitting.start.from_keypoints.hiding import hiding_order
from apu_losses.fitting.start.from_keypoints.limbs import Outline, contradiction, outline
from apu_losses.fitting.start.from_keypoints.options import KeypointStartOptions
from apu_losses.fitting.start.from_keypoints.search import Search, shapes_of
from apu_losses.fitting.start.from_keypoints.sizes import ankles_of, settle_sizes
from apu_losses.fitting.start.from_keypoints.touching import overlapping

Array = NDArray[np.float64]


def unstartable(keypoints: Keypoints2D) -> str:
    """Why nobody could be started from these keypoints, in words; empty for enough of them."""
    known = body25(keypoints)
    seen = int((known.confidence > 0).sum())
    if (times := contradiction(known)) is not None:
        return (
            f"{seen} body keypoints seen, and of the few limbs between them one is {times:.0f} times too "
            "long for the others: do they belong to two people?"
        )
    if outline(known, Camera(1.0, (0.0, 0.0))) is not None:
        return ""
    return (
        f"{seen} body keypoints seen, and no two of them bound a limb whose length would tell how far away "
        "the person is (two shoulders, a hip and a knee, an elbow and a wrist, two ears, ...)"
    )


def start_from_keypoints(
    people: Sequence[Keypoints2D],
    camera: Camera,
    body: BodyModel,
    options: KeypointStartOptions | None = None,
    *,
    ages: Sequence[float | None] | None = None,
    in_front: Sequence[tuple[int, int]] | None = None,
    taller: Sequence[tuple[int, int]] = (),
    contacts: Sequence[SceneContact] = (),
    regions: RegionMap | None = None,
) -> list[KeypointStart]:
    """Return a start for each person of one image, from 2D keypoints alone.

    Headings all around and two poses of the legs are fitted to the keypoints by the library's own terms, all
    in one batch; then the likeliest with each arm and leg mirrored in depth. Everybody is of mean size at
    first; the floor that several people stand on and who hides whom then say who is taller and farther away.

    Args:
        people: everybody of one image, in any skeleton with limbs, pixels.
        camera: that took the image.
        body: the body that is going to be fitted; it must have a pose.
        options: see `KeypointStartOptions`.
        ages: of each person, as the body counts them (0 adult, 1 infant), where somebody said so.
        in_front: pairs ``(nearer, farther)``, where somebody said so; None: what the keypoints show
            (`hiding_order`).
        taller: pairs ``(taller, shorter)``, where somebody said so.
        contacts: of these people, by position: parts that touch are equally far away.
        regions: of ``body``; without them contacts do not count.

    Returns:
        one start a person, in order.

    Raises:
        ValueError: a person whose limbs tell no distance (see `unstartable`), a body without a pose, or ages
            and pairs of other people.
    """
    options = options or KeypointStartOptions()
    _check(people, body, ages, [*(in_front or ()), *taller])
    known = [body25(keypoints) for keypoints in people]
    if not people:
        return []
    shapes = shapes_of(body, ages or [None] * len(people))
    outlines = []
    for number, keypoints in enumerate(known):
        seen = outline(keypoints, camera)
        if seen is None or contradiction(keypoints) is not None:
            raise ValueError(f"person {number}: {unstartable(people[number])}")
        size = shapes[number].size
        outlines.append(Outline(size * seen.depth, seen.roll, size * seen.pelvis))
    first = Search.of_hypotheses(known, outlines, shapes, camera, body, options)
    second = first.with_flips(camera, options)
    likeliest = [second.distinct(number, options)[0] for number in range(len(people))]
    order = hiding_order(known) if in_front is None else list(in_front)
    ankles = [ankles_of(k, second.joints[i], body.joint_names) for k, i in zip(known, likeliest, strict=True)]
    sizes = settle_sizes(
        ankles,
        second.joints[likeliest, 0, 2],
        order,
        options,
        near=overlapping(known, options.near_overlap),
        links=second.links(likeliest, contacts, regions),
        taller=taller,
        statures=np.array([shape.size for shape in shapes]),
    )
    third = second.resized(sizes, shapes, camera, options)
    return [
        third.start(number, float(sizes.sigma[number]), _notes(known[number]), options)
        for number in range(len(people))
    ]


def _check(
    people: Sequence[Keypoints2D],
    body: BodyModel,
    ages: Sequence[float | None] | None,
    pairs: Sequence[tuple[int, int]],
) -> None:
    if not {"global_orient", "body_pose", "transl"} <= set(body.parameter_specs):
        raise ValueError(
            f"the body {body.name!r} has no pose to find from keypoints: its parameters are "
            f"{sorted(body.parameter_specs)}"
        )
    if ages is not None and len(ages) != len(people):
        raise ValueError(f"ages must have one entry a person, {len(people)}, got {len(ages)}")
    for number, age in enumerate(ages or ()):
        if age is not None and not 0 <= age <= 1:
            raise ValueError(
                f"ages[{number}] must lie in 0 (adult) to 1 (infant), got {age}: are these years?"
            )
    for one, other in pairs:
        if one == other or not all(0 <= person < len(people) for person in (one, other)):
            raise ValueError(
                f"in_front (nearer one first) and taller (taller one first) must name two different people "
                f"of 0 to {len(people) - 1}, got {(one, other)}"
            )


def _notes(keypoints: Keypoints2D) -> tuple[str, ...]:
    """Return what is a guess, since no keypoint shows it."""
    names = SKELETONS[keypoints.skeleton].joint_names
    seen = {name for name, valid in zip(names, keypoints.valid, strict=True) if valid}
    parts = {
        "legs": {f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle")},
        "hips": {"left_hip", "right_hip"},
        "arms": {f"{side}_{joint}" for side in ("left", "right") for joint in ("elbow", "wrist")},
        "head": {"nose", "left_ear", "right_ear", "left_eye", "right_eye"},
    }
    return tuple(f"{part} not seen: they are a guess" for part, joints in parts.items() if not joints & seen)

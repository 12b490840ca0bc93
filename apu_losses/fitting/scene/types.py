"""What the fitter is given: the people of one image, what was seen of them, and who touches whom.

A scene is plain NumPy and strings, so that it can be written to disk, read by a person, and built without
torch. `apu_losses.fitting.objective.batch` turns many scenes into the tensors that an optimisation works on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from apu_contacts.camera import Camera
from apu_contacts.contacts import ContactMap, Order
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.resolve import ContactEvidence

Array = NDArray[np.float64]
AGE_GROUPS = ("adult", "teenager", "child", "infant")
"""What may be said of somebody's age."""


@dataclass(frozen=True)
class Joints3D:
    """3D joints of one person as an estimator placed them.

    Args:
        names: joint names, those of a body's ``joint_names`` or of its keypoints (``"left_big_toe"``).
        xyz: ``(J, 3)`` metres in the camera frame (+X right, +Y down, +Z forward).
        weights: ``(J,)`` how far each is trusted; 1 where it is not given.

    Example:
        >>> import numpy as np
        >>> from apu_losses import Joints3D
        >>> Joints3D(("pelvis", "neck"), np.array([[0.0, 0.0, 3.0], [0.0, -0.5, 3.0]])).xyz.shape
        (2, 3)
    """

    names: tuple[str, ...]
    xyz: Array
    weights: Array | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        xyz = _array("joints.xyz", self.xyz, (len(self.names), 3))
        object.__setattr__(self, "xyz", xyz)
        if self.weights is not None:
            object.__setattr__(self, "weights", _array("joints.weights", self.weights, (len(self.names),)))


@dataclass(frozen=True)
class InitialBody:
    """Where the fit of one person starts.

    Args:
        parameters: body parameters by their smplx names (``global_orient (3)``, ``body_pose (63)``,
            ``betas (10)``, ``age (1)``, ``transl (3)``, ...); what is missing takes the body's default.
        joints: the estimator's 3D joints, if it gives any. Then the start is retargeted: pose, orientation,
            stature and translation are solved so that our joints lie on these, with a pull to ``parameters``.
        flat_hand_mean: what the 45 values of ``left_hand_pose`` and ``right_hand_pose`` are relative to:
            True, the flat hand; False, the mean hand of their model (smplx's ``flat_hand_mean``). They are
            then put in the terms of the body that is fitted. None: they are in its terms already.

    Example:
        >>> import numpy as np
        >>> from apu_losses import InitialBody
        >>> sorted(InitialBody({"transl": np.array([0.0, 0.0, 3.0])}).parameters)
        ['transl']
    """

    parameters: Mapping[str, Array] = field(default_factory=dict)
    joints: Joints3D | None = None
    flat_hand_mean: bool | None = None

    def __post_init__(self) -> None:
        flat = {
            name: _array(f"initial.{name}", np.ravel(value), None) for name, value in self.parameters.items()
        }
        object.__setattr__(self, "parameters", flat)


@dataclass(frozen=True)
class ScenePerson:
    """One person: the 2D keypoints that the fit must explain and the body that it starts from.

    Args:
        keypoints: what a detector saw.
        initial: where the fit starts.
        label: how people call this person; for messages only.
        frame: number of the picture of a sequence that this person is seen in; people of different frames
            may share space.
        track: people of different frames with the same track are one person who moves; ``""``: nobody else.
            See `sequence`.
        age_group: ``"adult"``, ``"teenager"``, ``"child"`` or ``"infant"``, where somebody said so; ``""``:
            nobody did. The start then has a size that such a person may have
            (`apu_losses.fitting.start.said`).
        stature: metres, where somebody said so.
        depths: ``(K,)`` metres, how far away the surface is that a depth map shows at each keypoint; NaN: not
            known. See `apu_contacts.depths_at`; the term ``keypoint_depth`` looks at them.

    Raises:
        ValueError: depths for other keypoints, another age group, or a stature that nobody has (0.4 to
            2.5 m): are these centimetres?

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D
        >>> from apu_losses import ScenePerson
        >>> ScenePerson(Keypoints2D("coco17", np.zeros((17, 2)), np.zeros(17))).initial.parameters
        {}
    """

    keypoints: Keypoints2D
    initial: InitialBody = field(default_factory=InitialBody)
    label: str = ""
    frame: int = 0
    track: str = ""
    age_group: str = ""
    stature: float | None = None
    depths: Array | None = None

    def __post_init__(self) -> None:
        if self.depths is not None:
            depths = np.array(self.depths, dtype=np.float64)
            count = len(self.keypoints.xy)
            if depths.shape != (count,) or np.isinf(depths).any() or (depths <= 0).any():
                raise ValueError(
                    f"depths must be {count} metres above 0, one a keypoint (NaN: not known), got shape "
                    f"{depths.shape}"
                )
            object.__setattr__(self, "depths", depths)
        if self.age_group not in ("", *AGE_GROUPS):
            raise ValueError(f"age_group must be one of {', '.join(AGE_GROUPS)}, got {self.age_group!r}")
        if self.stature is not None and not 0.4 <= self.stature <= 2.5:
            raise ValueError(
                f"stature must be 0.4 to 2.5 metres, got {self.stature}: are these centimetres, or feet?"
            )


@dataclass(frozen=True)
class SceneContact:
    """An edge of the contact graph: which regions of two people touch.

    Args:
        person_a, person_b: indices into ``Scene.people``; equal for self-contact.
        contacts: region pairs with their weights; the first region of a pair lies on ``person_a``.
        order: ``"given"`` when it is known which of the two is person a; ``"either"`` takes whichever
            assignment of the map to the two people is nearer to contact, in each iteration
            (paper section 3.1: the minimum of the loss over both orders).
        evidence: what was asked about these two and answered; None: nobody said. A fit does not look at it.

    Example:
        >>> from apu_contacts import ContactMap
        >>> from apu_losses import SceneContact
        >>> SceneContact(0, 1, ContactMap([(3, 50)])).order
        'given'
    """

    person_a: int
    person_b: int
    contacts: ContactMap
    order: Order = "given"
    evidence: ContactEvidence | None = None

    def __post_init__(self) -> None:
        if self.order not in ("given", "either"):
            raise ValueError(f"order must be 'given' or 'either', got {self.order!r}")


@dataclass(frozen=True)
class Scene:
    """The people of one image and the contacts between them.

    Args:
        width, height: image size in pixels.
        people: one entry a person, in any order.
        contacts: edges between them; may be empty (then the fit is a plain keypoint fit).
        camera: the camera of the image; `Camera.from_image_size` of it where it is not given.
        name: how results and messages call this scene.
        image: path of the picture, for overlays only.
        depth_order: pairs ``(nearer, farther)`` of people, where one is seen to hide another.
        ground: the floor ``(n_x, n_y, n_z, d)``, see `apu_losses.functional.ground`; ``None``: not known.

    Raises:
        ValueError: an image size that is not positive, no people, a contact or an order that names a person
            who is not there, a contact across frames, a self-contact of a region with itself, or a ``ground``
            whose normal is not of length 1.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import ContactMap, Keypoints2D
        >>> from apu_losses import Scene, SceneContact, ScenePerson
        >>> seen = Keypoints2D("coco17", np.full((17, 2), 100.0), np.ones(17))
        >>> touch = SceneContact(0, 1, ContactMap([(3, 50)]))
        >>> scene = Scene(640, 480, [ScenePerson(seen), ScenePerson(seen)], [touch])
        >>> len(scene.people), round(float(scene.camera.focal), 1)
        (2, 554.3)
    """

    width: int
    height: int
    people: Sequence[ScenePerson]
    contacts: Sequence[SceneContact] = ()
    camera: Camera = None  # type: ignore[assignment]  # replaced below: never None in a scene
    name: str = "scene"
    image: str | None = None
    depth_order: Sequence[tuple[int, int]] = ()
    ground: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"{self.name}: image size must be positive, got {self.width} x {self.height}")
        object.__setattr__(self, "people", tuple(self.people))
        object.__setattr__(self, "contacts", tuple(self.contacts))
        if not self.people:
            raise ValueError(f"{self.name}: a scene needs at least one person, got none")
        for number, contact in enumerate(self.contacts):
            for side, index in (("person_a", contact.person_a), ("person_b", contact.person_b)):
                if not 0 <= index < len(self.people):
                    raise ValueError(
                        f"{self.name}: contacts[{number}].{side} is {index}, but the scene has "
                        f"{len(self.people)} people (0 to {len(self.people) - 1})"
                    )
            if contact.person_a == contact.person_b:
                _check_self_contact(f"{self.name}: contacts[{number}]", contact)
            frames = [self.people[i].frame for i in (contact.person_a, contact.person_b)]
            if frames[0] != frames[1]:
                raise ValueError(
                    f"{self.name}: contacts[{number}] joins people of different frames, {frames[0]} and "
                    f"{frames[1]}; only people who are seen together touch"
                )
        object.__setattr__(self, "depth_order", tuple((int(a), int(b)) for a, b in self.depth_order))
        for number, pair in enumerate(self.depth_order):
            if pair[0] == pair[1] or not all(0 <= index < len(self.people) for index in pair):
                raise ValueError(
                    f"{self.name}: depth_order[{number}] must name two different people of "
                    f"0 to {len(self.people) - 1}, nearer one first, got {pair}"
                )
        if self.ground is not None:
            object.__setattr__(self, "ground", _plane(self.name, self.ground))
        _check_tracks(self)
        if self.camera is None:
            object.__setattr__(self, "camera", Camera.from_image_size(self.width, self.height))

    @property
    def in_contact(self) -> tuple[int, ...]:
        """Indices of the people whom at least one contact names."""
        return tuple(sorted({i for contact in self.contacts for i in (contact.person_a, contact.person_b)}))

    def keep_people(self, indices: Sequence[int]) -> Scene:
        """Return the same scene with only these people, in this order, and the contacts among them."""
        new_index = {old: new for new, old in enumerate(indices)}
        contacts = [
            replace(c, person_a=new_index[c.person_a], person_b=new_index[c.person_b])
            for c in self.contacts
            if c.person_a in new_index and c.person_b in new_index
        ]
        order = [
            (new_index[a], new_index[b]) for a, b in self.depth_order if a in new_index and b in new_index
        ]
        people = [self.people[i] for i in indices]
        return replace(self, people=people, contacts=contacts, depth_order=order)


def sequence(scenes: Sequence[Scene], name: str = "sequence") -> Scene:
    """Return the frames of a sequence as one scene, so that they are fitted together.

    Frames are numbered from 0. The n-th person of a frame is the n-th of every other, or, where people have
    labels, the one with the same label; who is not seen in a frame is left out of it. The term
    ``"smoothness"`` then ties each person's frames together; contacts and penetration stay within a frame.

    Args:
        scenes: one a frame, in order of time, of one camera.
        name: of the sequence.

    Raises:
        ValueError: no scenes, cameras or picture sizes that differ, or a label that occurs twice in a frame.
    """
    if not scenes:
        raise ValueError("scenes is empty: a sequence needs at least one frame")
    first = scenes[0]
    people: list[ScenePerson] = []
    contacts: list[SceneContact] = []
    order: list[tuple[int, int]] = []
    for frame, scene in enumerate(scenes):
        same = (scene.width, scene.height, scene.camera) == (first.width, first.height, first.camera)
        if not same or scene.ground != first.ground:
            raise ValueError(
                f"{name}: frame {frame} ({scene.name!r}) has another camera, picture size or ground than "
                "frame 0; the frames of a sequence must share them"
            )
        before = len(people)
        for index, person in enumerate(scene.people):
            people.append(replace(person, frame=frame, track=person.label or f"person {index}"))
        contacts += [
            replace(c, person_a=before + c.person_a, person_b=before + c.person_b) for c in scene.contacts
        ]
        order += [(before + a, before + b) for a, b in scene.depth_order]
    return replace(first, people=people, contacts=contacts, depth_order=order, name=name)


def _check_tracks(scene: Scene) -> None:
    seen = [(person.track, person.frame) for person in scene.people if person.track]
    twice = sorted({entry for entry in seen if seen.count(entry) > 1})
    if twice:
        raise ValueError(
            f"{scene.name}: the track {twice[0][0]!r} occurs twice in frame {twice[0][1]}; "
            "one person is in one place at a time"
        )


def _plane(name: str, plane: object) -> tuple[float, float, float, float]:
    values = np.asarray(plane, dtype=np.float64)
    if values.shape != (4,) or not abs(np.linalg.norm(values[:3]) - 1) < 1e-3:
        raise ValueError(
            f"{name}: ground must be (n_x, n_y, n_z, d) with a unit normal that points up (a level floor "
            f"1.5 m under the camera is (0, -1, 0, -1.5)), got {plane}"
        )
    a, b, c, d = values.tolist()
    return a, b, c, d


def _check_self_contact(where: str, contact: SceneContact) -> None:
    for group in contact.contacts.groups():
        shared = sorted(set(group.regions_a) & set(group.regions_b))
        if shared:
            raise ValueError(
                f"{where} asks person {contact.person_a} to touch themself, but {group.name!r} has region "
                f"{shared[0]} on both sides, which always touches itself; leave it out on one side"
            )


def _array(name: str, value: object, shape: tuple[int, ...] | None) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return array

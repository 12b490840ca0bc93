"""What the fitter is given: the people of one image, what was seen of them, and who touches whom.

A scene is plain NumPy and strings, so that it can be written to disk, read by a person, and built without
torch. `apu_losses.fitting.batch` turns many scenes into the tensors that an optimisation works on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from apu_contacts.contact_map import ContactMap
from apu_contacts.keypoints.types import Keypoints2D

Array = NDArray[np.float64]
Order = Literal["given", "either"]


@dataclass(frozen=True)
class Joints3D:
    """3D joints of one person as an estimator placed them.

    Args:
        names: joint names, those of a body's ``joint_names`` or of its keypoints (``"left_big_toe"``).
        xyz: ``(J, 3)`` metres in the camera frame (+X right, +Y down, +Z forward).
        weights: ``(J,)`` how far each is trusted; 1 where it is not given.
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
    """

    parameters: Mapping[str, Array] = field(default_factory=dict)
    joints: Joints3D | None = None

    def __post_init__(self) -> None:
        flat = {
            name: _array(f"initial.{name}", np.ravel(value), None) for name, value in self.parameters.items()
        }
        object.__setattr__(self, "parameters", flat)


@dataclass(frozen=True)
class ScenePerson:
    """One person: the 2D keypoints that the fit must explain and the body that it starts from."""

    keypoints: Keypoints2D
    initial: InitialBody = field(default_factory=InitialBody)
    label: str = ""


@dataclass(frozen=True)
class SceneContact:
    """An edge of the contact graph: which regions of two people touch.

    Args:
        person_a, person_b: indices into ``Scene.people``; equal for self-contact.
        contacts: region pairs with their weights; the first region of a pair lies on ``person_a``.
        order: ``"given"`` when it is known which of the two is person a; ``"either"`` takes whichever
            assignment of the map to the two people is nearer to contact, in each iteration
            (paper section 3.1: the minimum of the loss over both orders).
    """

    person_a: int
    person_b: int
    contacts: ContactMap
    order: Order = "given"

    def __post_init__(self) -> None:
        if self.order not in ("given", "either"):
            raise ValueError(f"order must be 'given' or 'either', got {self.order!r}")


@dataclass(frozen=True)
class SceneCamera:
    """A pinhole camera in pixels, without distortion."""

    focal: float
    center: tuple[float, float]

    def __post_init__(self) -> None:
        if not 0 < self.focal < float("inf"):
            raise ValueError(f"camera.focal must be positive (pixels), got {self.focal}")
        if not np.isfinite(self.center).all():
            raise ValueError(f"camera.center must be finite (pixels), got {self.center}")

    @classmethod
    def from_image_size(cls, width: int, height: int) -> SceneCamera:
        """A field of view of 60 degrees over the longer side, centred: the convention of BEV and BUDDI."""
        return cls(max(width, height) / (2 * np.tan(np.radians(30.0))), (width / 2, height / 2))


@dataclass(frozen=True)
class Scene:
    """The people of one image and the contacts between them.

    Args:
        width, height: image size in pixels.
        people: one entry a person, in any order.
        contacts: edges between them; may be empty (then the fit is a plain keypoint fit).
        camera: `SceneCamera.from_image_size` where it is not given.
        name: how results and messages call this scene.
        image: path of the picture, for overlays only.

    Raises:
        ValueError: an image size that is not positive, no people, a contact that names a person who is not
            there, or a self-contact of a region with itself.
    """

    width: int
    height: int
    people: Sequence[ScenePerson]
    contacts: Sequence[SceneContact] = ()
    camera: SceneCamera | None = None
    name: str = "scene"
    image: str | None = None

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
        if self.camera is None:
            object.__setattr__(self, "camera", SceneCamera.from_image_size(self.width, self.height))

    @property
    def in_contact(self) -> tuple[int, ...]:
        """Indices of the people whom at least one contact names."""
        return tuple(sorted({i for contact in self.contacts for i in (contact.person_a, contact.person_b)}))

    def keep_people(self, indices: Sequence[int]) -> Scene:
        """The same scene with only these people, in this order, and the contacts among them."""
        new_index = {old: new for new, old in enumerate(indices)}
        contacts = [
            SceneContact(new_index[c.person_a], new_index[c.person_b], c.contacts, c.order)
            for c in self.contacts
            if c.person_a in new_index and c.person_b in new_index
        ]
        people = [self.people[i] for i in indices]
        return Scene(self.width, self.height, people, contacts, self.camera, self.name, self.image)


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

"""SMPLify-X: one pickle a person, with the camera that its fit found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.camera import Camera
from apu_contacts.sources._records import Source, as_array, load_content
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import SourceFormatError
from apu_contacts.sources.parameters import read_parameters

_VPOSER = 32
"""Numbers of VPoser's code of a pose, which SMPLify-X saves as ``body_pose``."""


def read_smplifyx(
    source: Source,
    image_size: Sequence[float],
    *,
    body_pose: ArrayLike | None = None,
    focal: float = 5000.0,
    hand_components: tuple[ArrayLike, ArrayLike] | None = None,
    pelvis: ArrayLike | None = None,
) -> InitialEstimate:
    """Return the person of one of SMPLify-X's results (``results/IMAGE/000.pkl``).

    Read are ``global_orient``, ``body_pose``, ``betas``, ``expression``, the poses of hands, jaw and eyes,
    and ``camera_translation`` with ``camera_rotation``: the body stays at the origin, and the camera moves.

    With VPoser (its default) ``body_pose`` is a code of 32 numbers, and the pose itself must be given:
    ``vposer.decode(torch.tensor(result["body_pose"]), output_type="aa").reshape(-1)``.

    Args:
        source: the ``.pkl``, or the dictionary.
        image_size: width and height in pixels; the principal point is the middle.
        body_pose: ``(63,)`` axis-angle (69 for SMPL), where the file has VPoser's code.
        focal: in pixels; SMPLify-X's default is 5000, whatever the picture.
        hand_components: as of `read_parameters`; its hands are PCA coefficients, 12 by default.
        pelvis: as of `read_parameters`.

    Raises:
        SourceMissingError, UnsafePickleError, ConventionError: as `read_parameters`.
        SourceFormatError: as there; no camera; VPoser's code without ``body_pose``.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import read_smplifyx
        >>> sizes = {"global_orient": 3, "body_pose": 63, "betas": 10, "camera_translation": 3}
        >>> result = {name: np.zeros((1, size)) for name, size in sizes.items()}
        >>> result["camera_translation"][0, 2] = 40.0  # metres, at a focal length of 5000 pixels
        >>> person = read_smplifyx(result, image_size=(640, 480), pelvis=np.zeros(3))
        >>> person.own["transl"].tolist(), person.camera.focal
        ([0.0, 0.0, 40.0], 5000.0)
    """
    content, where = load_content(source)
    if not isinstance(content, Mapping) or "camera_translation" not in content:
        found = (
            ", ".join(sorted(map(str, content))) if isinstance(content, Mapping) else type(content).__name__
        )
        raise SourceFormatError(
            f"{where}: expected a dictionary with 'camera_translation', as SMPLify-X writes it, found {found}"
        )
    values: dict[str, Any] = dict(content)
    if body_pose is not None:
        values["body_pose"] = np.asarray(body_pose, dtype=np.float64).reshape(1, -1)
    elif "body_pose" in values and as_array(values["body_pose"], f"{where}: body_pose").size == _VPOSER:
        raise SourceFormatError(
            f"{where}: body_pose has {_VPOSER} numbers, VPoser's code of a pose: give body_pose=, what "
            "vposer.decode(..., output_type='aa') makes of it"
        )
    rotation = as_array(values.get("camera_rotation", np.eye(3)), f"{where}: camera_rotation")
    translation = as_array(values["camera_translation"], f"{where}: camera_translation")
    if rotation.size != 9 or translation.size != 3:
        raise SourceFormatError(
            f"{where}: camera_rotation and camera_translation must be of one person, (1, 3, 3) and (1, 3), "
            f"got {rotation.shape} and {translation.shape}"
        )
    values["transl"] = np.zeros((1, 3))
    model = "smplx" if "jaw_pose" in values else "smplh" if "left_hand_pose" in values else "smpl"
    (person,) = read_parameters(
        values,
        model=model,
        rows=[0],
        pelvis=pelvis,
        extrinsic=(rotation.reshape(3, 3), translation.ravel()),
        camera=Camera(focal, (image_size[0] / 2, image_size[1] / 2)),
        estimator="smplifyx",
        hand_components=hand_components,
    )
    return person

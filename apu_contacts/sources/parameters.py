"""Body parameters that some fit left behind: smplx and HumanData names, AMASS, SLAHMR, EasyMocap, BUDDI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.camera import Camera
from apu_contacts.sources._records import (
    Array,
    People,
    Source,
    as_array,
    choose_part,
    finite_joints,
    load_content,
)
from apu_contacts.sources.checks import ConventionError, checked_age
from apu_contacts.sources.conventions import (
    MEAN_PELVIS,
    axis_angle,
    origin_to_pelvis_translation,
    pca_to_hand_pose,
    to_camera_frame,
)
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import SourceFormatError
from apu_contacts.sources.names import (
    SMPL_OUTPUT_JOINTS,
    SMPLH_OUTPUT_JOINTS,
    SMPLX_JOINTS,
    SMPLX_OUTPUT_JOINTS,
)
from apu_contacts.sources.pelvis import check_pelvis
from apu_contacts.sources.smplerx import pinhole

_COMMON = ("global_orient", "body_pose", "age")
_ROTATIONS = {"left_hand_pose": 15, "right_hand_pose": 15, "jaw_pose": 1, "leye_pose": 1, "reye_pose": 1}
_HANDS = ("left_hand_pose", "right_hand_pose")
_FULL_POSE = {72: "smpl", 156: "smplh", 165: "smplx"}
_TRANSLATIONS = ("transl", "trans", "Th")
_ALIASES = {"left_hand_pose": "lhand_pose", "right_hand_pose": "rhand_pose"}
_COUNTED = {"global_orient": 1, "root_orient": 1, "Rh": 1, "poses": 1, "root_pose": 1}
_BUDDI = "buddi"


def read_parameters(
    source: Source,
    *,
    model: str | None = None,
    part: str | None = None,
    rows: Sequence[int] | None = None,
    pelvis: ArrayLike | None = None,
    extrinsic: tuple[ArrayLike, ArrayLike] | None = None,
    camera: Camera | None = None,
    estimator: str = "parameters",
    flat_hand_mean: bool | None = None,
    hand_components: tuple[ArrayLike, ArrayLike] | None = None,
) -> list[InitialEstimate]:
    """People (or frames) from arrays of body parameters, whatever they are called.

    =====================  ==================================================================================
    smplx, HumanData       ``global_orient body_pose betas transl left_hand_pose right_hand_pose jaw_pose
                           leye_pose reye_pose expression``
    AMASS                  ``poses`` (72, 156 or 165), ``trans``, ``betas``
    SLAHMR                 ``root_orient pose_body trans betas``
    EasyMocap              ``Rh Th poses shapes``: rotated about the origin, not about the pelvis
    Motion-X               ``root_pose body_pose trans lhand_pose rhand_pose jaw_pose shape expr``
    BUDDI                  as smplx, with ``scale`` (SMPL-XA's age): `read_buddi` alone reads that
    =====================  ==================================================================================

    Rotations are axis-angle or matrices. Hands as PCA coefficients (6 or 12 numbers) need the components of
    their body model, ``hand_components``, and are left out with a note without them.
    ``joints``, as the smplx package returns them, are read where they are there; their pelvis tells whether
    the translation is smplx's.

    Args:
        source: ``.npz``, ``.pkl`` of NumPy arrays, ``.json`` or a dictionary, with a leading axis of people.
        model: ``"smpl"``, ``"smplh"``, ``"smplx"``, or ``"free"`` for fits of the bundled body; where it is
            not given, what the length of the pose says, else ``"smplx"``.
        part: which of the dictionaries in the file is meant, where two give the same names
            (GVHMR: ``"smpl_params_incam"``).
        rows: which rows to read, such as frames of a sequence; all where it is not given.
        pelvis: ``(3,)`` or ``(N, 3)`` J0, the shaped body's pelvis in the rest pose. It is needed exactly for
            EasyMocap and ``extrinsic``; without it the mean shape's stands in, a few centimetres off.
        extrinsic: rotation ``(3, 3)`` and translation ``(3,)`` from the file's world to the camera. AMASS and
            SLAHMR are in a world frame; without it the file is taken to be in the camera frame.
        camera: in whose frame the people are; where it is not given, the file's own ``focal`` and ``princpt``
            (Motion-X cut into pictures), else the scene's default camera.
        estimator: how to call it.
        flat_hand_mean: what hand poses are relative to, the flat hand (True) or the mean hand of the model
            (False); see `InitialEstimate`. Where it is not given: the flat hand for a full pose in one array
            (``poses`` of 156 or 165, as AMASS has it), the mean hand for hands by their smplx names.
        hand_components: ``(K, 45)`` of the left and of the right hand, ``hands_componentsl`` and
            ``hands_componentsr`` of the model's file, for hands as K PCA coefficients or fewer.

    Raises:
        SourceMissingError, UnsafePickleError: as `read_npz` and `read_numpy_pickle`.
        SourceFormatError: if the pose or the translation is missing, an array has another shape, or two
            dictionaries of the file give the same names.
        ConventionError: on rotations in degrees, somebody behind the camera, a translation that does not
            agree with ``joints``, an ``age`` outside of [0, 1], or a ``scale`` of the mesh other than 1,
            which no body here has.
        ValueError: on an unknown ``model``, or a row that is not there.

    Warns:
        SourceWarning: for each row that cannot be used while others can; its estimate has no joints, and
            ``notes`` say why.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import read_parameters
        >>> names = {"global_orient": 3, "body_pose": 63, "betas": 10}
        >>> content = {name: np.zeros((1, size)) for name, size in names.items()}  # or the path of a file
        >>> (person,) = read_parameters({**content, "transl": np.array([[0.0, 0.3, 3.0]])})
        >>> person.own["transl"].tolist(), person.joint_names
        ([0.0, 0.3, 3.0], ('pelvis',))
    """
    if model is not None and model not in MEAN_PELVIS:
        raise ValueError(f"model must be one of {', '.join(MEAN_PELVIS)}, got {model!r}")
    content, where = load_content(source)
    people = People(choose_part(content, part, where), where, _COUNTED)
    if camera is None and extrinsic is None and people.has("focal") and people.has("princpt"):
        camera = pinhole(people.shared("focal", 2), people.shared("princpt", 2), where)
    for i in rows or ():
        if not 0 <= i < people.count:
            raise ValueError(f"rows: {i} is none of the {people.count} rows of {where}")
    flat = people.has("poses") if flat_hand_mean is None else flat_hand_mean

    def read(i: int) -> InitialEstimate:
        person = _person(people, i, model, pelvis, extrinsic, camera, estimator, hand_components)
        return replace(person, flat_hand_mean=flat)

    return people.each(read, estimator, rows)


def _person(
    people: People,
    i: int,
    model: str | None,
    pelvis: ArrayLike | None,
    extrinsic: tuple[ArrayLike, ArrayLike] | None,
    camera: Camera | None,
    estimator: str,
    hand_components: tuple[ArrayLike, ArrayLike] | None,
) -> InitialEstimate:
    where = f"{people.where}: row {i}"
    parameters, own, model, notes = _poses(people, i, model, where, hand_components)
    shape = people.first("betas", "shapes", "shape")
    if shape is not None:
        # AMASS keeps one shape for all frames
        value = people.shared(shape, people.last_axis(shape)) if people.is_shared(shape) else None
        own["betas"] = people.row(shape, i).ravel() if value is None else value
    parameters.update(_age(people, i, estimator, where))
    expression = people.first("expression", "expr", index=i)
    if expression is not None:
        own["expression"] = people.row(expression, i).ravel()
    key = people.first(*_TRANSLATIONS)
    if key is None:
        raise SourceFormatError(f"{where}: the translation is missing ({', '.join(_TRANSLATIONS)})")
    transl = people.get(key, i, 3)

    rest = MEAN_PELVIS[model] if pelvis is None else np.broadcast_to(_rest(pelvis, i), (3,))
    if pelvis is None:
        notes.append("its pelvis is taken to be that of the mean shape, a few cm from its own")
    orient = parameters["global_orient"]
    if people.has("Rh"):
        transl = origin_to_pelvis_translation(transl, orient, rest)
    names, xyz = _joints(people, i, transl + rest, notes)
    if len(names) > 1:
        check_pelvis(xyz[0], transl, orient, rest, where)
    if extrinsic is not None:
        orient, transl = to_camera_frame(orient, transl, rest, extrinsic)
        parameters["global_orient"] = orient
        xyz = xyz @ np.asarray(extrinsic[0], dtype=np.float64).T + np.asarray(extrinsic[1], dtype=np.float64)
    own["transl"] = transl
    return InitialEstimate(
        estimator=estimator,
        parameters=parameters,
        joint_names=names,
        joints=xyz,
        model=model,
        own=own,
        camera=camera,
        notes=tuple(notes),
    ).with_projection()


def _age(people: People, i: int, estimator: str, where: str) -> dict[str, Array]:
    """Return the parameter ``age``, where the file has it; BUDDI calls it ``scale``, others the size of the
    mesh.
    """
    if estimator == _BUDDI and people.has("scale", i):
        return {"age": checked_age(people.row("scale", i), f"{where}: scale", slack=0.25)}
    if people.has("scale", i):
        scale = people.row("scale", i).ravel()
        if scale.size == 0 or np.abs(scale - 1).max() > 1e-3:
            said = np.round(scale[:3], 4).tolist()
            raise ConventionError(
                f"{where}: scale {said} is a size of the mesh (THuman, HuMMan), which no body here has: "
                "scale the scene's translation and camera instead, or leave it out. SMPL-XA's age is called "
                "'age'; BUDDI's results, which call that 'scale', are read by read_buddi"
            )
    return {"age": checked_age(people.row("age", i), f"{where}: age")} if people.has("age", i) else {}


def _joints(people: People, i: int, pelvis: Array, notes: list[str]) -> tuple[tuple[str, ...], Array]:
    """Return the joints of the file, or the pelvis alone."""
    if not people.has("joints", i):
        return ("pelvis",), pelvis[None]
    xyz = people.get("joints", i, -1, 3, finite=False)
    order: tuple[str | None, ...] = SMPLX_OUTPUT_JOINTS
    if len(xyz) in (22, 24, 45):
        order = SMPL_OUTPUT_JOINTS
    elif len(xyz) in (52, 73):
        order = SMPLH_OUTPUT_JOINTS
    elif len(xyz) < len(SMPLX_JOINTS):
        notes.append(f"joints has {len(xyz)} rows, an order that is not smplx's, and was left out")
        return ("pelvis",), pelvis[None]
    named = [(name, k) for k, name in enumerate(order[: len(xyz)]) if name is not None]
    points = xyz[[k for _, k in named]]
    names, found = finite_joints([name for name, _ in named], points, notes, f"{people.where}: row {i}")
    if names[:1] != ("pelvis",):
        return ("pelvis",), pelvis[None]
    return names, found


def _rest(pelvis: ArrayLike, i: int) -> Array:
    given = np.asarray(pelvis, dtype=np.float64)
    row: Array = given[i] if given.ndim == 2 else given
    return row


def _poses(
    people: People,
    i: int,
    model: str | None,
    where: str,
    hand_components: tuple[ArrayLike, ArrayLike] | None,
) -> tuple[dict[str, Array], dict[str, Array], str, list[str]]:
    """Return common parameters, the model's own, the model, notes."""
    own: dict[str, Array] = {}
    notes: list[str] = []
    if people.has("poses"):
        full = people.row("poses", i)
        if full.size not in _FULL_POSE:
            raise SourceFormatError(f"{where}: poses must hold 72, 156 or 165 numbers, got {full.size}")
        found = _FULL_POSE[full.size]
        pose = axis_angle(full, full.size // 3, f"{where}: poses").reshape(-1, 3)
        if found == "smplh":
            own = {"left_hand_pose": pose[22:37].ravel(), "right_hand_pose": pose[37:52].ravel()}
        elif found == "smplx":
            own = {
                "jaw_pose": pose[22],
                "leye_pose": pose[23],
                "reye_pose": pose[24],
                "left_hand_pose": pose[25:40].ravel(),
                "right_hand_pose": pose[40:55].ravel(),
            }
        # EasyMocap keeps the root's rotation apart, and zeros in its place
        orient = axis_angle(people.row("Rh", i), 1, f"{where}: Rh") if people.has("Rh") else pose[0]
        return {"global_orient": orient, "body_pose": pose[1:22].ravel()}, own, model or found, notes
    root = people.first("global_orient", "root_orient", "root_pose", index=i)
    body = people.first("body_pose", "pose_body", index=i)
    if root is None or body is None:
        raise SourceFormatError(f"{where}: both the orientation and the body's pose are needed")
    value = people.row(body, i)
    count = 23 if value.size in (69, 207) else 21
    parameters = {
        "global_orient": axis_angle(people.row(root, i), 1, f"{where}: {root}"),
        "body_pose": axis_angle(value, count, f"{where}: {body}")[:63],
    }
    for name, joints in _ROTATIONS.items():
        key = people.first(name, _ALIASES.get(name, name), index=i)
        if key is None:
            continue
        value = people.row(key, i)
        if name in _HANDS and value.size not in (45, 135):
            if hand_components is None:
                notes.append(
                    f"{name} has {value.size} PCA coefficients and was left out: hand_components are needed"
                )
                continue
            basis = np.asarray(hand_components[_HANDS.index(name)], dtype=np.float64)
            if basis.ndim != 2 or basis.shape[1] != 45 or len(basis) < value.size:
                raise SourceFormatError(
                    f"{where}: {name} has {value.size} PCA coefficients, for which hand_components must have "
                    f"shape (>= {value.size}, 45), got {basis.shape}"
                )
            own[name] = pca_to_hand_pose(value, basis, np.zeros(45))  # the mean is flat_hand_mean's affair
            continue
        own[name] = axis_angle(value, joints, f"{where}: {name}")
    return parameters, own, model or ("smpl" if count == 23 else "smplx"), notes


def read_amass(
    source: Source,
    rows: Sequence[int] | None = None,
    *,
    part: str | None = None,
    extrinsic: tuple[ArrayLike, ArrayLike],
    pelvis: ArrayLike | None = None,
    camera: Camera | None = None,
) -> list[InitialEstimate]:
    """Frames of an AMASS-like ``.npz`` (``poses``, ``trans``, ``betas``), put in front of a camera.

    Args, Raises: as `read_parameters`. AMASS's world has +Z up, so a camera is needed.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import read_amass
        >>> motion = {"poses": np.zeros((120, 156)), "trans": np.zeros((120, 3)), "betas": np.zeros(16)}
        >>> ahead = (np.eye(3), np.array([0.0, 0.0, 4.0]))  # the world seen by a camera 4 m away
        >>> people = read_amass(motion, rows=[0, 60], extrinsic=ahead, pelvis=np.zeros(3))
        >>> len(people), people[0].own["transl"].tolist()
        (2, [0.0, 0.0, 4.0])
    """
    return read_parameters(
        source, part=part, rows=rows, extrinsic=extrinsic, pelvis=pelvis, camera=camera, estimator="amass"
    )


def read_buddi(
    source: str | Path | Mapping[str, Any],
    image_size: Sequence[float] | None = None,
    *,
    hand_components: tuple[ArrayLike, ArrayLike] | None = None,
) -> list[InitialEstimate]:
    """Return the two people of a result of BUDDI: a pickle with ``humans`` (parameters of SMPL-XA, two rows
    each) and ``cam``. The camera is the default one, 60 degrees over the longer side, as ``cam`` says by its
    focal length ``fl``.

    Args:
        source: the ``.pkl``, or the dictionary.
        image_size: width and height of the picture, to be checked against ``fl``.
        hand_components: as of `read_parameters`; BUDDI keeps hands as PCA coefficients, which it never moves.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError, ConventionError: as `read_parameters`.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import read_buddi
        >>> sizes = {"global_orient": 3, "body_pose": 63, "betas": 10, "scale": 1}
        >>> humans = {name: np.zeros((2, size)) for name, size in sizes.items()}
        >>> humans["transl"] = np.array([[0, 0, 3.0], [1, 0, 3.0]])
        >>> people = read_buddi({"humans": humans, "cam": {}})
        >>> [person.own["transl"].tolist() for person in people], people[0].parameters["age"].tolist()
        ([[0.0, 0.0, 3.0], [1.0, 0.0, 3.0]], [0.0])
    """
    content, where = load_content(source)
    if not isinstance(content, Mapping) or not isinstance(content.get("humans"), Mapping):
        raise SourceFormatError(f"{where}: expected a dictionary with 'humans', as BUDDI's results have it")
    cam = content.get("cam")
    if image_size is not None and isinstance(cam, Mapping) and cam.get("fl") is not None:
        focal = float(as_array(cam["fl"], f"{where}: cam: fl").ravel()[0])
        wanted = Camera.from_image_size(*image_size).focal
        if abs(focal / wanted - 1) > 0.01:
            raise ConventionError(
                f"{where}: cam.fl is {focal:.1f} px, the camera of a picture of "
                f"{2 * focal * np.tan(np.pi / 6):.0f} px on its longer side, not of {image_size[0]:g} x "
                f"{image_size[1]:g}: another picture, or one that was resized?"
            )
    try:
        return read_parameters(
            dict(content["humans"]), model="smplx", estimator=_BUDDI, hand_components=hand_components
        )
    except SourceFormatError as error:
        raise type(error)(f"{where}: {error}") from None

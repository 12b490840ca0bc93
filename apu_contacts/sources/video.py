"""Video estimators' files as tracks: GVHMR and GEM, PromptHMR, WHAM, TRAM, and the ``.smpl`` of smplcodec."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts.camera import Camera
from apu_contacts.files import write_bytes
from apu_contacts.sources._records import Array, Source, as_array, load_content
from apu_contacts.sources.conventions import axis_angle, matrices_to_axis_angle
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError, SourceMissingError
from apu_contacts.sources.tracks import BodyTrack, cameras_of

_GVHMR = {
    False: ("smpl_params_incam", "body_params_incam"),
    True: ("smpl_params_global", "body_params_global"),
}


def read_gvhmr(source: Source, *, world: bool = False, identity: str = "1") -> BodyTrack:
    """Return the one person of GVHMR's ``hmr4d_results.pt`` or GEM's ``smpl_params.pt``.

    Args:
        source: the file, or what it holds.
        world: read the trajectory in the world (``..._global``: Y up, gravity-aligned) instead of the one in
            each frame's camera (``..._incam``).
        identity: what to call the person: such a file does not say.

    Returns:
        SMPL-X parameters of all frames, with the camera of ``K_fullimg``; hands are at rest, for the network
        does not see them.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: as `read_torch`; SourceFormatError if the
            parameters are not there.
    """
    content, where = load_content(source)
    names = _GVHMR[world]
    found = _first_mapping(content, names)
    if found is None:
        raise SourceFormatError(
            f"{where}: expected {' or '.join(names)}, as GVHMR's and GEM's results have it; "
            f"found {_keys(content)}"
        )
    name, part = found
    values = {
        key: _rows(part, key, size, f"{where}: {name}")
        for key, size in (("global_orient", 3), ("body_pose", 63), ("transl", 3), ("betas", -1))
    }
    count = len(values["transl"])
    camera = None
    if content.get("K_fullimg") is not None:
        camera = cameras_of(as_array(content["K_fullimg"], f"{where}: K_fullimg"), count, where)
    return BodyTrack(
        "gvhmr",
        identity,
        np.arange(count),
        values,
        "smplx",
        camera,
        world,
        notes=("hands are at rest: the network does not see them",),
    )


def read_wham(
    source: Source, image_size: Sequence[float] | None = None, *, world: bool = False
) -> list[BodyTrack]:
    """Return the people of WHAM's ``wham_output.pkl`` (joblib), one track each.

    Args:
        source: the file, or what it holds.
        image_size: width and height of the video's frames. WHAM's camera has the frame's diagonal for focal
            length, and the file does not keep it; without the size the camera is left open.
        world: read ``pose_world`` and ``trans_world`` instead of the camera's frame.

    Returns:
        SMPL parameters (72 rotations' numbers, 24 joints), with ``verts`` in the camera's frame.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: as `read_numpy_pickle`; SourceFormatError on
            another layout.
        NoPeopleError: if it holds nobody.
    """
    content, where = load_content(source)
    if not isinstance(content, Mapping):
        raise SourceFormatError(f"{where}: expected a dictionary of people, got {type(content).__name__}")
    if not content:
        raise NoPeopleError(f"{where}: WHAM found nobody in this video")
    camera = None
    if image_size is not None:
        width, height = (float(n) for n in image_size)
        camera = Camera(float(np.hypot(width, height)), (width / 2, height / 2))
    tracks = []
    for identity, person in content.items():
        here = f"{where}: person {identity}"
        if not isinstance(person, Mapping) or "pose" not in person:
            raise SourceFormatError(f"{here}: expected 'pose', 'trans', 'betas'; found {_keys(person)}")
        suffix = "_world" if world else ""
        pose = _poses(person, f"pose{suffix}", 24, here)
        values = {
            "global_orient": pose[:, :3],
            "body_pose": pose[:, 3:],
            "transl": _rows(person, f"trans{suffix}", 3, here),
            "betas": _rows(person, "betas", -1, here, len(pose)),
        }
        vertices = None
        if person.get("verts") is not None and not world:
            vertices = as_array(person["verts"], f"{here}: verts")
        frames = as_array(person.get("frame_ids", np.arange(len(pose))), f"{here}: frame_ids").ravel()
        tracks.append(
            BodyTrack("wham", str(identity), frames, values, "smpl", camera, world, vertices=vertices)
        )
    return tracks


def read_tram(source: Source, *, identity: str | None = None) -> BodyTrack:
    """Return one person of TRAM's ``hps/hps_track_K.npy``, in the camera's frame.

    Rotations are taken from ``pred_rotmat``; ``pred_pose`` holds the same ones as six numbers each.

    Args:
        source: the file, or what it holds.
        identity: what to call the person; the K of the file's name where it is not given.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: as `read_numpy_pickle`.
    """
    content, where = load_content(source)
    if not isinstance(content, Mapping) or "pred_rotmat" not in content or "pred_trans" not in content:
        raise SourceFormatError(
            f"{where}: expected 'pred_rotmat' and 'pred_trans', as TRAM has them; found {_keys(content)}"
        )
    matrices = as_array(content["pred_rotmat"], f"{where}: pred_rotmat")
    if matrices.ndim != 4 or matrices.shape[1:] != (24, 3, 3):
        raise SourceFormatError(f"{where}: pred_rotmat must have shape (F, 24, 3, 3), got {matrices.shape}")
    pose = matrices_to_axis_angle(matrices, f"{where}: pred_rotmat").reshape(len(matrices), 72)
    transl = as_array(content["pred_trans"], f"{where}: pred_trans").reshape(len(pose), -1)
    values = {
        "global_orient": pose[:, :3],
        "body_pose": pose[:, 3:],
        "transl": transl,
        "betas": _rows(content, "pred_shape", -1, where),
    }
    camera = None
    if content.get("img_focal") is not None and content.get("img_center") is not None:
        focal = as_array(content["img_focal"], f"{where}: img_focal").ravel()
        center = as_array(content["img_center"], f"{where}: img_center").ravel()
        if not focal.size or not focal[0] > 0 or center.size != 2:
            raise SourceFormatError(f"{where}: img_focal must be positive, img_center two numbers")
        camera = Camera(float(focal[0]), (float(center[0]), float(center[1])))
    if identity is None:
        digits = re.search(r"(\d+)$", Path(source).stem) if isinstance(source, str | Path) else None
        identity = digits.group(1) if digits else "1"
    frames = as_array(content.get("frame", np.arange(len(pose))), f"{where}: frame").ravel()
    return BodyTrack("tram", identity, frames, values, "smpl", camera)


def read_prompthmr_video(source: Source, *, world: bool = False) -> list[BodyTrack]:
    """Return the people of PromptHMR's video pipeline, ``results.pkl`` (joblib), one track each.

    Args:
        source: the file, or what it holds.
        world: read ``smplx_world`` (metres, Y up) instead of ``smplx_cam``.

    Returns:
        SMPL-X parameters. In the camera's frame hands are at rest. ``t_pose_pelvis``, where it is there, is
        the person's own pelvis.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: as `read_numpy_pickle`; SourceFormatError on
            another layout.
        NoPeopleError: if it holds nobody.
    """
    content, where = load_content(source)
    people = content.get("people") if isinstance(content, Mapping) else None
    if not isinstance(people, Mapping):
        raise SourceFormatError(
            f"{where}: expected 'people' by identity, as PromptHMR's video results have it; "
            f"found {_keys(content)}"
        )
    if not people:
        raise NoPeopleError(f"{where}: PromptHMR found nobody in this video")
    part = "smplx_world" if world else "smplx_cam"
    camera = None
    stated = content.get("camera_world" if world else "camera") or content.get("camera")
    if not world and isinstance(stated, Mapping) and "img_focal" in stated and "img_center" in stated:
        focal = as_array(stated["img_focal"], f"{where}: img_focal").ravel()
        center = as_array(stated["img_center"], f"{where}: img_center").ravel()
        camera = Camera(float(focal[0]), (float(center[0]), float(center[1])))
    tracks = []
    for identity, person in people.items():
        here = f"{where}: person {identity}: {part}"
        found = person.get(part) if isinstance(person, Mapping) else None
        if not isinstance(found, Mapping):
            raise SourceFormatError(f"{here} is missing; found {_keys(person)}: did the pipeline end early?")
        pose = _prompthmr_pose(found, here)
        values = {
            "global_orient": pose[:, :3],
            "body_pose": pose[:, 3:66],
            "transl": _rows(found, "trans", 3, here),
            "betas": _rows(found, "shape", -1, here, len(pose)),
        }
        notes = []
        if pose.shape[1] == 165 and np.abs(pose[:, 75:]).max() > 0:
            values |= {"left_hand_pose": pose[:, 75:120], "right_hand_pose": pose[:, 120:]}
        else:
            notes.append("hands are at rest: the network does not see them")
        pelvis = found.get("t_pose_pelvis")
        tracks.append(
            BodyTrack(
                "prompthmr",
                str(identity),
                as_array(person.get("frames", np.arange(len(pose))), f"{here}: frames").ravel(),
                values,
                "smplx",
                camera,
                world,
                None if pelvis is None else as_array(pelvis, f"{here}: t_pose_pelvis").reshape(3),
                flat_hand_mean=True,
                notes=tuple(notes),
            )
        )
    return tracks


def _prompthmr_pose(part: Mapping[str, Any], where: str) -> Array:
    """``(F, 66, 75 or 165)`` axis-angle: the body, with the face, with the hands."""
    if part.get("pose") is not None:
        pose = as_array(part["pose"], f"{where}: pose")
        pose = pose.reshape(len(pose), -1)
        if pose.shape[1] in (66, 75, 165):
            return pose
        raise SourceFormatError(f"{where}: pose must have 66, 75 or 165 numbers a frame, got {pose.shape}")
    if part.get("rotmat") is None:
        raise SourceFormatError(f"{where}: neither pose nor rotmat is there; found {_keys(part)}")
    matrices = as_array(part["rotmat"], f"{where}: rotmat")
    if matrices.ndim != 4 or matrices.shape[1] < 22 or matrices.shape[2:] != (3, 3):
        raise SourceFormatError(
            f"{where}: rotmat must have shape (F, 22 or more, 3, 3), got {matrices.shape}"
        )
    if len(matrices[0]) == 55 and np.abs(matrices[:, 25:]).max() > 0:
        return matrices_to_axis_angle(matrices, f"{where}: rotmat").reshape(len(matrices), 165)
    # hands that were not estimated are zeros, which are no rotations
    return matrices_to_axis_angle(matrices[:, :22], f"{where}: rotmat").reshape(len(matrices), 66)


_SMPL_VERSIONS = {0: "smpl", 1: "smplh", 2: "smplx"}
_CODEC = {
    "bodyPose": "body",
    "headPose": "head",
    "leftHandPose": "left_hand_pose",
    "rightHandPose": "right_hand_pose",
    "bodyTranslation": "transl",
    "shapeParameters": "betas",
    "expressionParameters": "expression",
}


def read_smpl_codec(source: str | Path, *, identity: str | None = None) -> BodyTrack:
    """Return the person of a ``.smpl`` file (smplcodec: Meshcapade, PromptHMR's ``subject-ID.smpl``).

    It has no camera: the frame is whatever world it was made in.

    Args:
        source: the file.
        identity: what to call the person; the file's name where it is not given.

    Raises:
        SourceMissingError, SourceFormatError: as `read_npz`; SourceFormatError if a pose or translation is
            missing, or the body is neither SMPL, SMPL-H nor SMPL-X.
    """
    content, where = load_content(source)
    if not isinstance(content, Mapping) or "bodyPose" not in content or "bodyTranslation" not in content:
        raise SourceFormatError(
            f"{where}: expected 'bodyPose' and 'bodyTranslation', as smplcodec has it; found {_keys(content)}"
        )
    version = int(as_array(content.get("smplVersion", 2), f"{where}: smplVersion").ravel()[0])
    if version not in _SMPL_VERSIONS:
        raise SourceFormatError(
            f"{where}: smplVersion {version} is a body that is not read; 0 (SMPL), 1 (SMPL-H) and "
            "2 (SMPL-X) are"
        )
    transl = as_array(content["bodyTranslation"], f"{where}: bodyTranslation").reshape(-1, 3)
    count = len(transl)
    body = as_array(content["bodyPose"], f"{where}: bodyPose").reshape(count, -1)
    values: dict[str, Array] = {
        "global_orient": body[:, :3],
        "body_pose": body[:, 3:],
        "transl": transl,
    }
    for key in ("leftHandPose", "rightHandPose", "expressionParameters"):
        if content.get(key) is not None:
            values[_CODEC[key]] = as_array(content[key], f"{where}: {key}").reshape(count, -1)
    if content.get("headPose") is not None:
        head = as_array(content["headPose"], f"{where}: headPose").reshape(count, 9)
        values |= {"jaw_pose": head[:, :3], "leye_pose": head[:, 3:6], "reye_pose": head[:, 6:]}
    if content.get("shapeParameters") is not None:
        shape = as_array(content["shapeParameters"], f"{where}: shapeParameters").ravel()
        values["betas"] = np.tile(shape, (count, 1))
    name = identity if identity is not None else Path(source).stem
    return BodyTrack(
        "smplcodec",
        name,
        np.arange(count),
        values,
        _SMPL_VERSIONS[version],
        world=True,
        flat_hand_mean=True,
    )


def write_smpl_codec(path: str | Path, track: BodyTrack, *, frame_rate: float = 30.0) -> None:
    """Write a track as a ``.smpl`` file, which smplcodec 2 reads.

    Args:
        path: the file; it has to end in ``.smpl``.
        track: of SMPL, SMPL-H or SMPL-X without gaps; its shape is the mean over the frames.
        frame_rate: frames a second.

    Raises:
        ValueError: on another ending, another body, or frames that are missing.
        OSError: if the file cannot be written.
    """
    if Path(path).suffix.lower() != ".smpl":
        raise ValueError(f"path must end in .smpl, got {str(path)!r}")
    version = next((number for number, name in _SMPL_VERSIONS.items() if name == track.model), None)
    if version is None:
        raise ValueError(f"track: smplcodec has no body {track.model!r}")
    if (np.diff(track.frames) != 1).any():
        raise ValueError("track: frames are missing, which the file cannot say: cut the track at its gaps")
    count, joints = len(track), 24 if track.model == "smpl" else 22
    body = np.concatenate([track.values["global_orient"], track.values["body_pose"]], 1)
    full = np.zeros((count, 3 * joints))
    full[:, : body.shape[1]] = body[:, : 3 * joints]
    arrays: dict[str, Any] = {
        "codecVersion": 2,
        "smplVersion": version,
        "gender": 0,
        "frameCount": count,
        "frameRate": float(frame_rate),
        "bodyTranslation": track.values["transl"],
        "bodyPose": full.reshape(count, joints, 3),
    }
    if "betas" in track.values:
        arrays["shapeParameters"] = track.values["betas"].mean(0)
    for name, key in (("left_hand_pose", "leftHandPose"), ("right_hand_pose", "rightHandPose")):
        if name in track.values and track.model != "smpl":
            arrays[key] = track.values[name].reshape(count, -1, 3)
    face = [track.values.get(name) for name in ("jaw_pose", "leye_pose", "reye_pose")]
    if track.model == "smplx" and any(part is not None for part in face):
        rows = [np.zeros((count, 3)) if part is None else part for part in face]
        arrays["headPose"] = np.stack(rows, 1)
    if "expression" in track.values:
        arrays["expressionParameters"] = track.values["expression"]
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    write_bytes(path, stream.getvalue())


def read_tram_folder(folder: str | Path) -> list[BodyTrack]:
    """Return all people of TRAM's folder ``hps``, in the order of their numbers.

    Raises:
        SourceMissingError: if there is no ``hps_track_*.npy`` in it.
        SourceFormatError: as `read_tram`.
    """
    found = [p for p in Path(folder).glob("hps_track_*.npy") if p.stem.rpartition("_")[2].isdigit()]
    if not found:
        raise SourceMissingError(f"{folder}: no file hps_track_*.npy")
    return [read_tram(path) for path in sorted(found, key=lambda p: int(p.stem.rpartition("_")[2]))]


def _poses(table: Mapping[str, Any], key: str, joints: int, where: str) -> Array:
    value = _rows(table, key, 3 * joints, where)
    axis_angle(value, joints * len(value), f"{where}: {key}")  # degrees and the like
    return value


def _rows(table: Mapping[str, Any], key: str, size: int, where: str, count: int | None = None) -> Array:
    """``(F, size)`` of a dictionary; a single row is repeated where ``count`` says how many are wanted."""
    if table.get(key) is None:
        raise SourceFormatError(f"{where}: {key} is missing; found {_keys(table)}")
    value = as_array(table[key], f"{where}: {key}")
    if value.ndim == 3 and len(value) == 1:
        value = value[0]
    if value.ndim == 1 and count is not None:
        value = np.tile(value, (count, 1))
    if value.ndim != 2 or size not in (-1, value.shape[1]):
        wanted = "any" if size < 0 else str(size)
        raise SourceFormatError(f"{where}: {key} must have shape (F, {wanted}), got {value.shape}")
    if count is not None and len(value) == 1 != count:
        value = np.tile(value, (count, 1))
    return value


def _first_mapping(content: Any, names: Sequence[str]) -> tuple[str, Mapping[str, Any]] | None:
    if isinstance(content, Mapping):
        for name in names:
            if isinstance(content.get(name), Mapping):
                return name, content[name]
    return None


def _keys(content: Any) -> str:
    if not isinstance(content, Mapping):
        return type(content).__name__
    return ", ".join(sorted(map(str, content))[:12]) or "nothing"

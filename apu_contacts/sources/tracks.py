"""One person through the frames of a video: what video estimators give, with identities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.camera import Camera
from apu_contacts.sources.checks import check_in_front
from apu_contacts.sources.conventions import MEAN_PELVIS
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import SourceFormatError

Array = NDArray[np.float64]
_COMMON = ("global_orient", "body_pose", "age")
_NEEDED = {"global_orient": 3, "transl": 3}


@dataclass(frozen=True, eq=False)
class BodyTrack:
    """One person's body parameters in the frames in which they were seen.

    Args:
        estimator: who made it, ``"wham"``.
        identity: who this is in the video: what the file calls the person.
        frames: ``(F,)`` numbers of the video's frames, rising; gaps are frames without this person.
        values: smplx's names -> ``(F, size)``: ``global_orient``, ``body_pose``, ``transl`` (smplx's, added
            after a turn about the pelvis), ``betas``, hands and face where they are there; radians, metres.
        model: ``"smpl"``, ``"smplh"`` or ``"smplx"``.
        camera: one for all frames, one a frame, or None where nobody said.
        world: the frame is the video's world (Y up unless a note says otherwise), not each frame's camera.
        pelvis: ``(3,)`` J0 of this person's shaped body, where the file tells; else the mean shape's.
        flat_hand_mean: as `InitialEstimate` has it.
        vertices: ``(F, V, 3)`` meshes in the same frame, if they are there.
        notes: what was assumed, in words.

    Raises:
        SourceFormatError: if frames are not rising, an array has not one row a frame, or is not finite.
        ConventionError: if the person is behind the camera in most frames.

    Example:
        >>> import numpy as np
        >>> from apu_contacts.sources import BodyTrack
        >>> values = {"global_orient": np.zeros((2, 3)), "body_pose": np.zeros((2, 63)),
        ...           "transl": [[0, 0, 3.0], [0, 0, 3.1]]}
        >>> track = BodyTrack("mine", "1", [10, 12], values, "smplx")
        >>> track.estimate(11) is None, track.estimate(12).joints.round(2).tolist()
        (True, [[0.0, -0.35, 3.11]])
    """

    estimator: str
    identity: str
    frames: NDArray[Any]
    values: Mapping[str, Array]
    model: str
    camera: Camera | tuple[Camera, ...] | None = None
    world: bool = False
    pelvis: Array | None = None
    flat_hand_mean: bool = False
    vertices: Array | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames)
        who = f"{self.estimator}: track {self.identity!r}"
        if frames.ndim != 1 or not len(frames) or (frames != np.round(frames)).any():
            raise SourceFormatError(f"{who}: frames must be whole numbers, one or more, got {frames.shape}")
        if (np.diff(frames) <= 0).any():
            raise SourceFormatError(f"{who}: frames must rise, and each be there once")
        values: dict[str, Array] = {}
        for name, value in self.values.items():
            array = np.asarray(value, dtype=np.float64)
            if array.ndim != 2 or len(array) != len(frames):
                raise SourceFormatError(
                    f"{who}: {name} must have shape ({len(frames)}, size), a row a frame, got {array.shape}"
                )
            if not np.isfinite(array).all():
                raise SourceFormatError(f"{who}: {name} holds a value that is not finite")
            values[name] = array
        for name, size in _NEEDED.items():
            if name not in values or values[name].shape[1] != size:
                raise SourceFormatError(f"{who}: {name} of {size} numbers a frame is needed")
        if self.model not in MEAN_PELVIS:
            raise SourceFormatError(
                f"{who}: model must be one of {', '.join(MEAN_PELVIS)}, got {self.model!r}"
            )
        if isinstance(self.camera, tuple) and len(self.camera) != len(frames):
            raise SourceFormatError(f"{who}: {len(self.camera)} cameras for {len(frames)} frames")
        if not self.world:
            rest = MEAN_PELVIS[self.model] if self.pelvis is None else self.pelvis
            check_in_front(values["transl"][:, 2] + rest[2], who)
        object.__setattr__(self, "frames", frames.astype(np.int64))
        object.__setattr__(self, "values", MappingProxyType(values))
        object.__setattr__(self, "notes", tuple(self.notes))

    def __len__(self) -> int:
        return len(self.frames)

    def estimate(self, frame: int) -> InitialEstimate | None:
        """Return the person in one frame of the video, None where they are not seen.

        The estimate has the pelvis alone for a joint; `apu_losses.fitting.posed_estimate` gives the others.
        """
        row = int(np.searchsorted(self.frames, frame))
        if row >= len(self.frames) or self.frames[row] != frame:
            return None
        rest = MEAN_PELVIS[self.model] if self.pelvis is None else self.pelvis
        values = {name: value[row] for name, value in self.values.items()}
        camera = self.camera[row] if isinstance(self.camera, tuple) else self.camera
        notes = list(self.notes)
        if self.pelvis is None:
            notes.append("its pelvis is taken to be that of the mean shape, a few cm from its own")
        return InitialEstimate(
            estimator=self.estimator,
            parameters={name: value[:63] for name, value in values.items() if name in _COMMON},
            joint_names=("pelvis",),
            joints=(values["transl"] + rest)[None],
            model=self.model,
            own={name: value for name, value in values.items() if name not in _COMMON},
            camera=None if self.world else camera,
            vertices=None if self.vertices is None else np.asarray(self.vertices[row], dtype=np.float64),
            notes=tuple(notes),
            flat_hand_mean=self.flat_hand_mean,
        )

    def cut(self, start: int, stop: int) -> BodyTrack | None:
        """Return what of this track lies in frames ``start`` to ``stop - 1``; None if nothing does."""
        rows = np.flatnonzero((self.frames >= start) & (self.frames < stop))
        if not len(rows):
            return None
        camera = tuple(self.camera[i] for i in rows) if isinstance(self.camera, tuple) else self.camera
        return BodyTrack(
            self.estimator,
            self.identity,
            self.frames[rows],
            {name: value[rows] for name, value in self.values.items()},
            self.model,
            camera,
            self.world,
            self.pelvis,
            self.flat_hand_mean,
            None if self.vertices is None else self.vertices[rows],
            self.notes,
        )


def people_in_frame(tracks: Iterable[BodyTrack], frame: int) -> dict[str, InitialEstimate]:
    """Return who is seen in one frame of a video, by identity.

    Example:
        >>> from apu_contacts.sources import people_in_frame
        >>> people_in_frame([], 7)
        {}
    """
    found = ((track.identity, track.estimate(frame)) for track in tracks)
    return {identity: estimate for identity, estimate in found if estimate is not None}


def frames_together(a: BodyTrack, b: BodyTrack) -> NDArray[np.int64]:
    """``(K,)`` the frames in which both people are seen."""
    both: NDArray[np.int64] = np.intersect1d(a.frames, b.frames)
    return both


def cameras_of(matrices: ArrayLike, rows: int, where: str) -> Camera | tuple[Camera, ...]:
    """Return the camera of ``(3, 3)`` or ``(F, 3, 3)`` intrinsics; a single one where all are the same.

    Raises:
        SourceFormatError: on another shape, or matrices that are no intrinsics.
    """
    k = np.asarray(matrices, dtype=np.float64)
    if k.shape not in ((3, 3), (rows, 3, 3)):
        raise SourceFormatError(
            f"{where}: intrinsics must have shape (3, 3) or ({rows}, 3, 3), got {k.shape}"
        )
    k = k.reshape(-1, 3, 3)
    if (k == k[:1]).all():
        return camera_of_matrix(k[0], where)
    return tuple(camera_of_matrix(one, where) for one in k)


def camera_of_matrix(matrix: Array, where: str) -> Camera:
    """Return the camera of intrinsics ``(3, 3)``; its focal length is the mean of both axes'.

    Raises:
        SourceFormatError: if a focal length is not positive, or the two differ by more than 2 %.
    """
    fx, fy = float(matrix[0, 0]), float(matrix[1, 1])
    if not (fx > 0 and fy > 0 and abs(fx / fy - 1) < 0.02):
        raise SourceFormatError(
            f"{where}: intrinsics must have one positive focal length for x and y, got {fx:g} and {fy:g}"
        )
    return Camera((fx + fy) / 2, (float(matrix[0, 2]), float(matrix[1, 2])))

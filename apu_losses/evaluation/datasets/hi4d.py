"""Hi4D: the frames with contact, seen by one camera.

.. code-block:: text

    DATA/pair00/dance00/meta.npz                 frames with contact
    DATA/pair00/dance00/cameras/rgb_cameras.npz
    DATA/pair00/dance00/smpl/000012.npz          SMPL meshes and joints of both people
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from apu_contacts.sources import Hi4dCamera, read_hi4d_cameras, read_hi4d_frame, read_hi4d_meta
from apu_contacts.sources.names import SMPL_OUTPUT_JOINTS
from apu_losses.evaluation.datasets.folders import data_folder, needed_file, others, trimmed
from apu_losses.evaluation.frames import FloatArray, TruthFrame, TruthSet, box_around
from apu_losses.evaluation.smpl_mesh import SMPL_HEAD_TOP, SmplToBody

CAMERA = 4
"""The camera of the paper's table."""
EVERY = 5
"""Every fifth contact frame, from the first, as BUDDI's evaluation takes them."""


def hi4d_frames(
    data: str | Path,
    *,
    pairs: Sequence[str] | None = None,
    camera: int | None = CAMERA,
    every: int = EVERY,
    to_body: SmplToBody | None = None,
) -> TruthSet:
    """Frames of Hi4D in the frame of a camera.

    Frames are called ``PAIR_ACTION_CAMERA_FRAME``, ``"00_dance00_4_000012"``, as BUDDI calls them.

    Args:
        data: the folder with ``pair00``, ``pair01``, ...
        pairs: which, such as ``["00", "12"]``; all that are there where it is None.
        camera: its number; None: each recording's ``mono_cam``.
        every: take every so many contact frames.
        to_body: gives the truth the mesh of the fits; without it, it has SMPL's joints only.

    Raises:
        FileNotFoundError: a file or folder is missing; it is named.
        ValueError: a file is something else, or the people are not in front of the camera.
    """
    root = data_folder(data, "Hi4D, with pair00/")
    there = sorted(item.name for item in root.glob("pair*") if item.is_dir())
    wanted = there if pairs is None else [f"pair{str(name).removeprefix('pair')}" for name in pairs]
    missing = [name for name in wanted if name not in there]
    if missing or not there:
        which, found = missing[0] if missing else "pair00", ", ".join(there[:6]) or others(root)
        raise FileNotFoundError(
            f"{root}: expected {which}/, found {found}; --data names the folder that holds the pairs"
        )
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    frames: list[TruthFrame] = []
    empty = []
    for pair in wanted:
        for folder in sorted(item for item in (root / pair).iterdir() if item.is_dir()):
            own = _recording(folder, pair.removeprefix("pair"), camera, every, to_body)
            frames += own
            if not own:
                empty.append(f"{pair}/{folder.name}")
    route = "as vertices of the fits' mesh" if to_body is not None else "as SMPL's joints"
    notes = [
        f"{len(wanted)} pairs, {'each mono camera' if camera is None else f'camera {camera}'}, one of "
        f"{every} contact frames: {len(frames)} frames; the truth, SMPL, {route}",
        "extrinsics are read as x = R X + t, which the data set's page leaves open",
    ]
    if empty:
        notes.append(f"recordings without a contact frame: {', '.join(empty)}")
    return TruthSet("Hi4D", frames, tuple(notes))


def _recording(
    folder: Path, pair: str, camera: int | None, every: int, to_body: SmplToBody | None
) -> list[TruthFrame]:
    meta = read_hi4d_meta(needed_file(folder / "meta.npz", "what a recording of Hi4D is"))
    path = needed_file(folder / "cameras" / "rgb_cameras.npz", "the cameras")
    cameras = read_hi4d_cameras(path)
    number = meta.mono_camera if camera is None else camera
    if number not in cameras:
        raise ValueError(f"{path}: there is no camera {number}, found {', '.join(map(str, sorted(cameras)))}")
    frames = []
    for frame in meta.contact_frames[::every]:
        file = needed_file(folder / "smpl" / f"{frame:06d}.npz", "the people of a contact frame")
        truth = read_hi4d_frame(file)
        vertices, joints = (_seen(points, cameras[number]) for points in (truth.vertices, truth.joints))
        if joints[..., 2].min() <= 0:
            raise ValueError(
                f"{file}: a person is behind camera {number}: its extrinsics are not x = R X + t in metres"
            )
        points = {
            name: joints[:, place] for place, name in enumerate(SMPL_OUTPUT_JOINTS[:24]) if name is not None
        }
        points["head_top"] = vertices[:, SMPL_HEAD_TOP]
        frames.append(
            TruthFrame(
                key=f"{pair}_{folder.name}_{number}_{frame:06d}",
                group=trimmed(folder.name),
                cluster=f"{pair}_{folder.name}",
                points=points,
                vertices=None if to_body is None else to_body(vertices),
                picture=f"{pair}_{folder.name}_{number}_{frame:06d}",
                boxes=box_around(_pixels(vertices, cameras[number])),
            )
        )
    return frames


def _seen(points: FloatArray, camera: Hi4dCamera) -> FloatArray:
    seen: FloatArray = points @ camera.rotation.T + camera.translation
    return seen


def _pixels(seen: FloatArray, camera: Hi4dCamera) -> FloatArray:
    image = seen @ camera.intrinsics.T
    pixels: FloatArray = image[..., :2] / image[..., 2:]
    return pixels

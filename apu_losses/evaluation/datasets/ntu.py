"""NTU RGB+D 120: frames of two people in contact, with Kinect's joints as truth.

.. code-block:: text

    DATA/nturgb+d_skeletons/S001C002P003R002A055.skeleton     or the .skeleton files in DATA itself
    DATA/keypoints/S001C002P003R002A055_0042_keypoints.json   OpenPose's layout; may be absent
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from apu_contacts.keypoints import Keypoints2D
from apu_contacts.sources import NTU_JOINTS, NtuBody, NtuRecording, ntu_name, read_ntu_skeleton, read_openpose
from apu_losses.evaluation.datasets.folders import data_folder, frame_list, others
from apu_losses.evaluation.datasets.ntu_selection import (
    Chosen,
    ContactRule,
    contact_frames,
    joint_distance,
    two_people,
)
from apu_losses.evaluation.frames import FloatArray, TruthFrame, TruthSet, box_around
from apu_losses.evaluation.handedness import handedness, sides_exchanged
from apu_losses.evaluation.joint_sets import LIMBS

CLASSES: Mapping[int, str] = MappingProxyType(
    {
        50: "punch/slap",
        51: "kicking",
        53: "pat on back",
        55: "hugging",
        58: "handshake",
        108: "knock over",
        109: "grab stuff",
        111: "step on foot",
        112: "high-five",
        117: "whisper",
        119: "support",
    }
)
"""The paper's 11 classes of two people in contact, by the number in the data set."""

TABLE_CLASSES = (
    "pat on back",
    "handshake",
    "knock over",
    "grab stuff",
    "step on foot",
    "high-five",
    "whisper",
    "support",
)
"""The eight classes of the paper's table."""

# fmt: off
TRAINING_PERFORMERS = frozenset({
    1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34,
    35, 38, 45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78,
    80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103,
})
# fmt: on
"""The 53 performers of the cross-subject training set; the other 53 are its test set."""

JOINTS: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in LIMBS},
        "pelvis": "base_of_spine",
        "neck": "spine_shoulder",
        "head": "head",
    }
)
"""Our joint -> Kinect's. The twelve limb joints mean the same place; the other three do so within some
centimetres, and `apu evaluate` leaves them out. Kinect's hips lie nearer to each other than a body's."""

_FOLDERS = (
    "nturgb+d_skeletons",
    "nturgb+d_skeletons120",
    "nturgb+d_skeletons_s018_to_s032",
    "skeletons",
    ".",
)
_MISSING = ("NTU_RGBD120_samples_with_missing_skeletons.txt", "NTU_RGBD_samples_with_missing_skeletons.txt")


def ntu_frames(
    data: str | Path,
    *,
    split: str = "subject",
    classes: Sequence[str] = TABLE_CLASSES,
    contact_rule: ContactRule | None = None,
    frames: str | Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> TruthSet:
    """Frames of two people in contact, in the axes of the colour picture.

    Frames are called ``RECORDING_FRAME``, ``"S001C002P003R002A055_0042"``, frames counted from 0.

    Kinect's x axis and its left and right are not taken on trust: which way x and y run follows from the
    places in the colour picture, and whether the skeletons are people or their mirror images in these axes
    from where their toes point. The notes say what was found.

    Args:
        data: the folder.
        split: ``"subject"`` (the cross-subject test set), ``"setup"`` (odd setups) or ``"all"``.
        classes: which, see `CLASSES`.
        contact_rule: when two people are in contact.
        frames: a file that names the frames instead, one ``RECORDING_FRAME`` a line; split, classes and
            then do not count.
        progress: is told the share that is done, and what.

    Raises:
        FileNotFoundError: the folder, the files or a frame of the list is missing.
        ValueError: a file is something else, or an unknown split or class.
    """
    if split not in ("subject", "setup", "all"):
        raise ValueError(f"split must be 'subject', 'setup' or 'all', got {split!r}")
    unknown = [name for name in classes if name not in CLASSES.values()]
    if unknown:
        raise ValueError(f"classes must be of {', '.join(CLASSES.values())}, got {unknown[0]!r}")
    root = data_folder(data, "NTU RGB+D 120, with nturgb+d_skeletons/")
    files = _skeleton_files(root)
    tell = progress or (lambda share, doing: None)
    if frames is not None:
        chosen, notes = _listed(files, frame_list(frames), frames, tell)
    else:
        wanted = {number for number, name in CLASSES.items() if name in classes}
        chosen, notes = _selected(root, files, split, wanted, contact_rule or ContactRule(), tell)
    if not chosen:
        raise ValueError(f"{root}: no frame was chosen: {'; '.join(notes)}")
    axes = np.median([_axes(recording) for recording, _ in chosen], axis=0)
    axes = np.where(axes < 0, -1.0, 1.0)
    points = [_points(each.people, axes) for _, each in chosen]
    mirrored, said = _mirrored(points, axes)
    truth = []
    for (recording, each), own in zip(chosen, points, strict=True):
        named = sides_exchanged(own) if mirrored else own
        truth.append(
            TruthFrame(
                key=f"{recording.name}_{each.number:04d}",
                group=CLASSES.get(recording.action, f"A{recording.action:03d}"),
                cluster=recording.name,
                points={name: named[kinect] for name, kinect in JOINTS.items()},
                picture=f"{recording.name}_{each.number:04d}",
                boxes=box_around(np.stack([body.color for body in each.people])),
            )
        )
    order = {name: place for place, name in enumerate(CLASSES.values())}
    truth.sort(key=lambda frame: (order.get(frame.group, len(order)), frame.key))
    notes = [*notes, said, "the truth is in the axes of the colour camera, from the depth camera's origin"]
    return TruthSet("NTU RGB+D 120", truth, tuple(notes))


def _skeleton_files(root: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for name in _FOLDERS:
        if (root / name).is_dir():
            files.update({path.stem: path for path in sorted((root / name).glob("S*.skeleton"))})
    if not files:
        raise FileNotFoundError(
            f"{root}: expected files such as nturgb+d_skeletons/S001C001P001R001A055.skeleton, found "
            f"{others(root)}"
        )
    return files


def _selected(
    root: Path,
    files: Mapping[str, Path],
    split: str,
    wanted: set[int],
    contact_rule: ContactRule,
    tell: Callable[[float, str], None],
) -> tuple[list[tuple[NtuRecording, Chosen]], list[str]]:
    left_out = _incomplete(root)
    names = [name for name in files if _in_split(name, split, wanted)]
    usable = [name for name in names if name not in left_out]
    finder = _Keypoints(root / "keypoints")
    chosen = []
    without = 0
    for number, name in enumerate(usable):
        tell(number / len(usable), f"choosing frames: {name}")
        recording = read_ntu_skeleton(files[name])
        found = contact_frames(recording, contact_rule, finder)
        without += not found
        chosen += [(recording, each) for each in found]
    notes = [
        f"{len(usable)} recordings of the split {split!r}, {len(chosen)} frames by the rule "
        f"(joints within {100 * contact_rule.max_distance:.0f} cm), {without} recordings without contact",
        _beside_the_paper(chosen),
        f"2D keypoints of an estimator for {finder.found} of {finder.asked} looked-at frames, "
        "Kinect's own places in the picture for the others",
    ]
    if len(names) > len(usable):
        notes.append(f"{len(names) - len(usable)} recordings with missing skeletons left out")
    return chosen, notes


def _beside_the_paper(chosen: Sequence[tuple[NtuRecording, Chosen]]) -> str:
    """How many frames a class, beside the paper's number: it looked at each frame, a rule does not."""
    counts = list(Counter(recording.action for recording, _ in chosen).values())
    spread = np.std(counts, ddof=1) if len(counts) > 1 else 0.0
    mean = np.mean(counts) if counts else 0.0
    return (
        f"{len(counts)} classes with {mean:.1f} (SD {spread:.1f}) frames; the paper's 309 frames, looked at "
        "by hand, are 8 classes with 38.6 (SD 16.3): not the same frames"
    )


def _listed(
    files: Mapping[str, Path], names: Sequence[str], where: str | Path, tell: Callable[[float, str], None]
) -> tuple[list[tuple[NtuRecording, Chosen]], list[str]]:
    chosen = []
    for number, line in enumerate(names):
        tell(number / len(names), f"reading frames: {line}")
        name, _, frame = line.replace(",", " ").replace("_", " ").partition(" ")
        if not frame.strip().isdigit():
            raise ValueError(
                f"{where}: expected RECORDING_FRAME, such as S001C002P003R002A055_0042, got {line!r}"
            )
        if name not in files:
            raise FileNotFoundError(f"{where}: there is no {name}.skeleton for {line!r}")
        recording = read_ntu_skeleton(files[name])
        people = dict(two_people(recording)).get(int(frame))
        if people is None:
            raise ValueError(f"{where}: {line}: the frame does not show the recording's two people")
        chosen.append((recording, Chosen(int(frame), people, joint_distance(people))))
    return chosen, [f"{len(chosen)} frames by {Path(where).name}"]


def _in_split(name: str, split: str, wanted: set[int]) -> bool:
    setup, _, performer, _, action = ntu_name(name)
    held_out = {"subject": performer not in TRAINING_PERFORMERS, "setup": setup % 2 == 1, "all": True}
    return action in wanted and held_out[split]


def _incomplete(root: Path) -> set[str]:
    """Return recordings that the data set's authors list as incomplete, where their list is there."""
    from apu_contacts.reading import read_text

    found: set[str] = set()
    for name in _MISSING:
        if (root / name).is_file():
            found.update(read_text(root / name).split())
    return found


class _Keypoints:
    """An estimator's keypoints by recording and frame, where the folder has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder if folder.is_dir() else None
        self.asked = self.found = 0

    def __call__(self, name: str, frame: int) -> list[Keypoints2D] | None:
        self.asked += 1
        path = None if self.folder is None else self.folder / f"{name}_{frame:04d}_keypoints.json"
        if path is None or not path.is_file():
            return None
        self.found += 1
        return read_openpose(path, allow_empty=True)


def _axes(recording: NtuRecording) -> FloatArray:
    """``(2,)`` correlation of x and y in space with columns and rows of the colour picture."""
    bodies = [body for frame in recording.frames for body in frame]
    space = np.concatenate([body.joints[:, :2] / body.joints[:, 2:] for body in bodies])
    color = np.concatenate([body.color for body in bodies])
    good = np.isfinite(space).all(1) & np.isfinite(color).all(1)
    if good.sum() < 3:
        return np.array([1.0, -1.0])
    x, y = space[good] - space[good].mean(0), color[good] - color[good].mean(0)
    axes: FloatArray = (x * y).sum(0) / np.sqrt((x * x).sum(0) * (y * y).sum(0) + 1e-12)
    return axes


def _points(people: tuple[NtuBody, NtuBody], axes: FloatArray) -> dict[str, FloatArray]:
    """``(2, 3)`` Kinect's joints by name, x and y along the picture's columns and rows."""
    joints = np.stack([body.joints for body in people]) * np.append(axes, 1.0)
    return {name: joints[:, place] for place, name in enumerate(NTU_JOINTS)}


def _mirrored(points: Sequence[Mapping[str, FloatArray]], axes: FloatArray) -> tuple[bool, str]:
    votes = [handedness(each) for each in points]
    total = float(np.sum(votes))
    mirrored = total < 0
    agree = sum((vote < 0) == mirrored for vote in votes)
    runs = f"x runs {'with' if axes[0] > 0 else 'against'} the picture's columns"
    sides = (
        "left and right are exchanged, for they are those of a mirror image"
        if mirrored
        else "sides are as told"
    )
    return mirrored, f"{runs}; {sides} (toes and shoulders agree in {agree} of {len(votes)} frames)"

"""Kinect skeletons of NTU RGB+D and NTU RGB+D 120: one ``.skeleton`` text file a recording."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apu_contacts import reading
from apu_contacts.sources._json import checked_file
from apu_contacts.sources.errors import SourceFormatError

NTU_JOINTS = (
    "base_of_spine",
    "middle_of_spine",
    "neck",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "left_hand",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "right_hand",
    "left_hip",
    "left_knee",
    "left_ankle",
    "left_foot",
    "right_hip",
    "right_knee",
    "right_ankle",
    "right_foot",
    "spine_shoulder",
    "left_hand_tip",
    "left_thumb",
    "right_hand_tip",
    "right_thumb",
)
"""The 25 joints of Kinect 2, in the order of the files."""

MAX_BODIES = 6
"""Kinect 2 follows at most six people."""
_BODY_VALUES, _JOINT_VALUES = 10, 12
_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")


@dataclass(frozen=True, eq=False)
class NtuBody:
    """One tracked person in one frame.

    Args:
        identity: Kinect's tracking number; the same person keeps it while they are tracked.
        joints: ``(25, 3)`` metres in Kinect's camera space: y up, z away from the sensor, x along the columns
            of the depth picture.
        color: ``(25, 2)`` pixels of the 1920 x 1080 picture.
        depth: ``(25, 2)`` pixels of the 512 x 424 depth picture.
        tracking: ``(25,)`` 0 not tracked, 1 inferred, 2 tracked.
    """

    identity: int
    joints: NDArray[np.float64]
    color: NDArray[np.float64]
    depth: NDArray[np.float64]
    tracking: NDArray[np.int64]


@dataclass(frozen=True)
class NtuRecording:
    """One recording.

    Args:
        name: such as ``"S001C002P003R002A055"``.
        setup, camera, performer, replication, action: the numbers in the name.
        frames: the people of each frame.
    """

    name: str
    setup: int
    camera: int
    performer: int
    replication: int
    action: int
    frames: tuple[tuple[NtuBody, ...], ...]


def ntu_name(name: str) -> tuple[int, int, int, int, int]:
    """Return setup, camera, performer, replication and action of a name such as ``"S001C002P003R002A055"``.

    Raises:
        SourceFormatError: on another name.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise SourceFormatError(f"{name}: expected a name such as S001C002P003R002A055")
    setup, camera, performer, replication, action = map(int, found.groups())
    return setup, camera, performer, replication, action


def read_ntu_skeleton(path: str | Path) -> NtuRecording:
    """Return the people of every frame of a ``.skeleton`` file.

    The file is a list of numbers: how many frames; of each frame how many bodies; of each body ten numbers
    (tracking number, clipped edges, confidence and state of both hands, restricted, two of the lean, tracking
    state), how many joints, and of each joint twelve: x y z in metres, column and row in the depth picture
    and in the colour picture, four of the orientation, tracking state.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: if the file is something else or ends early; the frame is named.
    """
    file = checked_file(path)
    numbers = ntu_name(file.stem)
    words = reading.read_text(file, SourceFormatError).split()
    return NtuRecording(file.stem, *numbers, frames=_Words(words, str(file)).frames())


class _Words:
    """The numbers of a file, taken from the front."""

    def __init__(self, words: list[str], where: str) -> None:
        self.words, self.where, self.place = words, where, 0

    def frames(self) -> tuple[tuple[NtuBody, ...], ...]:
        count = self.count("the number of frames", len(self.words))
        frames = []
        for number in range(count):
            where = f"frame {number}"
            bodies = self.count(f"{where}: the number of bodies", MAX_BODIES)
            frames.append(tuple(self.body(f"{where}, body {body}") for body in range(bodies)))
        if self.place != len(self.words):
            left = len(self.words) - self.place
            raise SourceFormatError(f"{self.where}: {left} numbers stand behind the last of {count} frames")
        return tuple(frames)

    def body(self, where: str) -> NtuBody:
        identity = self.take(1, where)[0]
        if not identity.isdigit():
            raise SourceFormatError(
                f"{self.where}: {where}: expected a tracking number, got {identity[:40]!r}"
            )
        self.values(_BODY_VALUES - 1, where)
        joints = self.count(f"{where}: the number of joints", len(NTU_JOINTS))
        if joints != len(NTU_JOINTS):
            raise SourceFormatError(f"{self.where}: {where}: expected {len(NTU_JOINTS)} joints, got {joints}")
        table = self.values(joints * _JOINT_VALUES, where).reshape(joints, _JOINT_VALUES)
        # Kinect writes nan pixels for joints that its colour camera does not see
        return NtuBody(
            int(identity), table[:, :3], table[:, 5:7], table[:, 3:5], table[:, 11].astype(np.int64)
        )

    def take(self, count: int, where: str) -> list[str]:
        taken = self.words[self.place : self.place + count]
        if len(taken) < count:
            raise SourceFormatError(f"{self.where}: the file ends in {where}: is the download complete?")
        self.place += count
        return taken

    def count(self, what: str, largest: int) -> int:
        word = self.take(1, what)[0]
        if not (word.isascii() and word.isdigit()) or len(word) > 9 or int(word) > largest:
            raise SourceFormatError(
                f"{self.where}: expected {what}, at most {largest}, got {word[:40]!r}: "
                "is it a .skeleton file of NTU RGB+D?"
            )
        return int(word)

    def values(self, count: int, where: str) -> NDArray[np.float64]:
        words = self.take(count, where)
        try:
            values = np.array(words, dtype=np.float64)
        except ValueError as error:
            raise SourceFormatError(f"{self.where}: {where}: expected numbers: {error}") from None
        tracking = values[11::_JOINT_VALUES] if count > _BODY_VALUES else values[:0]
        if not np.isin(tracking, (0, 1, 2)).all():
            raise SourceFormatError(
                f"{self.where}: {where}: tracking states must be 0, 1 or 2, got {tracking[:5].tolist()}"
            )
        return values

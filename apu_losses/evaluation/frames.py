"""What is known of two people in one frame of a data set, and of the data set as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from apu_contacts.contacts import ContactMap

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TruthFrame:
    """Two people whose truth is known. Lengths in metres; ``None`` where the data set does not say.

    Args:
        key: name of the frame; a fit is looked for under it.
        group: class of the interaction, such as ``"handshake"``.
        cluster: frames of one cluster (a recording) are alike; the bootstrap draws whole clusters.
        points: ``(2, 3)`` joints by name, such as ``"left_wrist"``.
        vertices: ``(2, V, 3)`` meshes.
        contacts: annotated region pairs, person 0 first.
        aliases: other names under which a fit may lie.
        picture: name of the picture, under which a file may lie that holds everybody in it.
        boxes: ``(2, 4)`` x0, y0, x1, y1 in pixels of the picture: who of them the two people are.
    """

    key: str
    group: str
    cluster: str
    points: Mapping[str, FloatArray] = field(default_factory=dict)
    vertices: FloatArray | None = None
    contacts: ContactMap | None = None
    aliases: tuple[str, ...] = ()
    picture: str = ""
    boxes: FloatArray | None = None

    def __post_init__(self) -> None:
        for name, value in self.points.items():
            if value.shape != (2, 3):
                raise ValueError(f"points[{name!r}] must have shape (2, 3), got {value.shape}")
        if self.vertices is not None and (self.vertices.ndim != 3 or self.vertices.shape[::2] != (2, 3)):
            raise ValueError(f"vertices must have shape (2, V, 3), got {self.vertices.shape}")
        if self.boxes is not None and self.boxes.shape != (2, 4):
            raise ValueError(f"boxes must have shape (2, 4), got {self.boxes.shape}")


@dataclass(frozen=True)
class TruthSet:
    """The frames of a protocol.

    Args:
        name: of the data set.
        frames: in the order of the files; their keys differ.
        notes: what a reader of the figures must know: how frames were chosen, what was left out.
    """

    name: str
    frames: Sequence[TruthFrame]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        doubled = [key for key, count in Counter(frame.key for frame in self.frames).items() if count > 1]
        if doubled:
            raise ValueError(f"{self.name}: the frame {doubled[0]!r} is there twice")

    @property
    def groups(self) -> dict[str, int]:
        """Number of frames of each class, in the order in which classes appear."""
        return dict(Counter(frame.group for frame in self.frames))


@dataclass(frozen=True, eq=False)
class FittedPair:
    """What a method says of the two people of a frame: a mesh, joints, or both.

    Args:
        points: ``(2, 3)`` joints by name.
        vertices: ``(2, V, 3)`` metres; None where the method gives joints only.
        lsp_joints: ``(2, 14, 3)`` LSP's joints as the method's own file has them, regressed from its mesh;
            they go before joints regressed here.
    """

    points: Mapping[str, FloatArray]
    vertices: FloatArray | None = None
    lsp_joints: FloatArray | None = None

    @property
    def finite(self) -> bool:
        """Whether every number is one; what is not counts as not solved."""
        arrays = [*self.points.values(), self.vertices, self.lsp_joints]
        return all(bool(np.isfinite(array).all()) for array in arrays if array is not None)

    def exchanged(self) -> FittedPair:
        """Return the two people in the other order."""
        vertices, lsp = (
            None if array is None else array[::-1].copy() for array in (self.vertices, self.lsp_joints)
        )
        return FittedPair({name: value[::-1].copy() for name, value in self.points.items()}, vertices, lsp)


def box_around(pixels: FloatArray) -> FloatArray | None:
    """``(P, N, 2)`` pixels -> ``(P, 4)`` x0, y0, x1, y1 around those that are finite; None where a person has
    none.
    """
    boxes = []
    for points in pixels:
        good = points[np.isfinite(points).all(1)]
        if not len(good):
            return None
        boxes.append(np.concatenate([good.min(0), good.max(0)]))
    return np.stack(boxes)

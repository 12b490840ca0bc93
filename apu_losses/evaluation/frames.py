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
    """

    key: str
    group: str
    cluster: str
    points: Mapping[str, FloatArray] = field(default_factory=dict)
    vertices: FloatArray | None = None
    contacts: ContactMap | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in self.points.items():
            if value.shape != (2, 3):
                raise ValueError(f"points[{name!r}] must have shape (2, 3), got {value.shape}")
        if self.vertices is not None and (self.vertices.ndim != 3 or self.vertices.shape[::2] != (2, 3)):
            raise ValueError(f"vertices must have shape (2, V, 3), got {self.vertices.shape}")


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
    """

    points: Mapping[str, FloatArray]
    vertices: FloatArray | None = None

    @property
    def finite(self) -> bool:
        """Whether every number is one; what is not counts as not solved."""
        arrays = [*self.points.values(), *([] if self.vertices is None else [self.vertices])]
        return all(bool(np.isfinite(array).all()) for array in arrays)

    def exchanged(self) -> FittedPair:
        """Return the two people in the other order."""
        vertices = None if self.vertices is None else self.vertices[::-1].copy()
        return FittedPair({name: value[::-1].copy() for name, value in self.points.items()}, vertices)

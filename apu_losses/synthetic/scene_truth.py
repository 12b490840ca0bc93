"""What is known about a synthetic scene: two people, where they touch, how deep their meshes overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class IntendedContact:
    """Where an interaction means two people to touch, in the scene's own words (`synthetic.places`).

    Args:
        place_a: a place on person 0, such as ``"left palm"`` or ``"upper back"``; not a name of the fitter's.
        place_b: a place on person 1.
        vertex_a: vertex of person 0 at that place that touches.
        vertex_b: vertex of person 1.
    """

    place_a: str
    place_b: str
    vertex_a: int
    vertex_b: int


@dataclass(frozen=True, eq=False)
class TruthScene:
    """Two people with known meshes; person 0 is the ``a`` of the interaction, person 1 its ``b``.

    World frame: metres, +Y up, the floor at y = 0 (a person may be carried), free body topology.

    Args:
        name: such as ``"hug-0003"``.
        interaction: a key of ``INTERACTIONS``, such as ``"hug"``.
        seed: from which the scene was drawn.
        parameters: ``(2, size)`` per parameter by smplx's names, with both hand poses and ``age``.
        extra_shape: ``(2, E)`` coefficients of shape directions that the fitter's body does not have.
        vertices: ``(2, V, 3)`` float32.
        joints: ``(2, 55, 3)`` float32.
        intended: what the interaction means to touch; empty where it means no contact.
        contact_regions: pairs of the 75 regions of person 0 and person 1 that come nearer than 1 cm on these
            meshes, intended or not, ascending.
        deepest: metres, the deepest point of either mesh inside the other, by an independent library.
    """

    name: str
    interaction: str
    seed: int
    parameters: Mapping[str, FloatArray]
    extra_shape: FloatArray
    vertices: FloatArray
    joints: FloatArray
    intended: tuple[IntendedContact, ...]
    contact_regions: tuple[tuple[int, int], ...]
    deepest: float


@dataclass(frozen=True)
class Rejected:
    """A drawn scene that did not come out: why, and what was measured.

    Args:
        interaction: which type it was.
        seed: from which it was drawn.
        reason: in words.
        touch: metres, the largest distance between two surfaces that were meant to touch.
        deepest: metres, the deepest point of either mesh inside the other.
    """

    interaction: str
    seed: int
    reason: str
    touch: float
    deepest: float

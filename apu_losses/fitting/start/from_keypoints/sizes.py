"""How large the people of one picture are: a body of mean size fits every picture, nearer or farther.

Somebody taller by a tenth stands farther away by a tenth, and looks the same. What the people of one picture
share tells them apart: the floor under their feet, and who hides whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from apu_contacts.keypoints.types import Keypoints2D
from apu_losses.fitting.start.from_keypoints.options import KeypointStartOptions
from apu_losses.fitting.start.from_keypoints.touching import DepthLink

Array = NDArray[np.float64]

_SEEN = 0.3
"""Confidence of an ankle from which it tells where the floor is."""
_SOLE = 0.08
"""Metres from the ankle down to the floor."""
_LEVEL = 0.05
"""Radians by which cameras look down in the mean."""
_MORE_THAN = 0.05
"""Metres of depth by which somebody who hides another is nearer at least."""


_TALLER_BY, _TALLER_SIGMA = 0.02, 0.04
"""Relative; somebody who is called taller is so by this much at least, and how firmly. Not tuned."""


class Sizes(NamedTuple):
    """Of the people of one picture.

    Attributes:
        factor: ``(P,)`` true size of each over that of the body that was fitted.
        sigma: ``(P,)`` how far off that may be, relative.
        height: metres of the camera above the floor; None where no two people show their feet.
        pitch: radians by which the camera looks down.
    """

    factor: Array
    sigma: Array
    height: float | None
    pitch: float


def settle_sizes(
    ankles: Sequence[tuple[Array, Array]],
    depths: Array,
    order: Sequence[tuple[int, int]],
    options: KeypointStartOptions,
    *,
    near: Sequence[tuple[int, int]] = (),
    links: Sequence[DepthLink] = (),
    taller: Sequence[tuple[int, int]] = (),
    statures: Array | None = None,
) -> Sizes:
    """Return the sizes that put everybody's feet on one floor, who hides another before them, people who
    overlap near each other, and parts that touch at one depth.

    Args:
        ankles: of each person, ``(2, 3)`` metres in the camera frame, and ``(2,)`` confidences of their
            keypoints.
        depths: ``(P,)`` metres, of bodies of mean size.
        order: pairs ``(nearer, farther)``.
        near: pairs who are about equally far away; see `overlapping`.
        links: parts that touch; see `depth_links`.
        taller: pairs ``(taller, shorter)``, where somebody said so.
        statures: ``(P,)`` of the bodies, relative; 1 for everybody if None.
    """
    count = len(depths)
    feet = [_lowest(*seen) for seen in ankles]
    standing = [i for i, foot in enumerate(feet) if foot is not None]
    log_stature = np.zeros(count) if statures is None else np.log(statures)
    if len(standing) < 2 and not (order or near or links or taller):
        alone = np.full(count, options.stature_sigma)
        return Sizes(np.ones(count), alone, None, _LEVEL)

    def residuals(x: Array) -> Array:
        size, pitch, height = x[:count], x[count], x[count + 1]
        down = np.array([0.0, np.cos(pitch), np.sin(pitch)])
        found = [*(size / options.stature_sigma), (pitch - _LEVEL) / options.pitch_sigma]
        for person in standing if len(standing) > 1 else ():
            foot = feet[person]
            assert foot is not None
            above = (height - down @ foot * np.exp(size[person]) - _SOLE) / options.floor_sigma
            # a foot that is lifted is let go
            found.append(above / np.sqrt(1 + (above * options.floor_sigma / options.lifted) ** 2))
        for front, back in order:
            behind = depths[back] * np.exp(size[back]) - depths[front] * np.exp(size[front])
            missing = max(0.0, _MORE_THAN - behind)
            found.append(missing / options.order_sigma / np.sqrt(1 + (missing / options.order_reach) ** 2))
        for one, other in near:
            apart = depths[one] * np.exp(size[one]) - depths[other] * np.exp(size[other])
            found.append(apart / options.near_sigma)
        for link in links:
            apart = link.depths[0] * np.exp(size[link.first]) - link.depths[1] * np.exp(size[link.second])
            apart = np.sign(apart) * max(0.0, abs(apart) - options.touch_slack)
            doubt = np.sqrt(1 + (apart / options.touch_reach) ** 2)
            trust = np.sqrt(min(1.0, link.weight / options.touch_weight))
            found.append(trust * apart / options.touch_sigma / doubt)
        for tall, short in taller:
            less = log_stature[short] + size[short] - log_stature[tall] - size[tall]
            found.append(max(0.0, _TALLER_BY + less) / _TALLER_SIGMA)
        return np.array(found)

    lowest = [float(foot[1]) for foot in feet if foot is not None]
    start = np.array([*np.zeros(count), _LEVEL, max(lowest, default=1.0) + _SOLE])
    solved = least_squares(residuals, start, xtol=1e-8, ftol=1e-10)
    size = np.clip(solved.x[:count], -2.5 * options.stature_sigma, 2.5 * options.stature_sigma)
    curve = solved.jac.T @ solved.jac + 1e-9 * np.eye(count + 2)
    sigma = np.sqrt(np.diag(np.linalg.inv(curve))[:count])
    known = float(solved.x[count + 1]) if len(standing) > 1 else None
    return Sizes(np.exp(size), np.minimum(sigma, options.stature_sigma), known, float(solved.x[count]))


def ankles_of(keypoints: Keypoints2D, joints: Array, joint_names: Sequence[str]) -> tuple[Array, Array]:
    """Return what `settle_sizes` takes of a person.

    Args:
        keypoints: in BODY_25 order.
        joints: ``(J, 3)`` of the body that was fitted, metres.
    """
    from apu_contacts.keypoints import SKELETONS

    names = ("left_ankle", "right_ankle")
    index = SKELETONS[keypoints.skeleton].index
    places = np.array([joints[joint_names.index(name)] for name in names])
    return places, np.array([keypoints.confidence[index[name]] for name in names])


def _lowest(places: Array, confidence: Array) -> Array | None:
    seen = places[confidence > _SEEN]
    return seen[seen[:, 1].argmax()] if len(seen) else None

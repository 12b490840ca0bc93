"""What speaks against a fit, by name and each with its number: a verdict that looks at more than keypoints.

The paper's filter (`apu_losses.fitting.result.verdict.judge`) sees keypoints only. It keeps a handshake whose
hands are a metre apart and bodies of skin and bone, and rejects good fits over one bad ankle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from apu_losses.fitting.result.measures import SceneMetrics, number_or_nan
from apu_losses.fitting.result.verdict import held_share
from apu_losses.fitting.scene.types import Scene

TOUCHING = 0.02
"""Metres within which a contact is held."""


@dataclass(frozen=True)
class Limits:
    """How far each measure may go: what a person would call wrong, in units of people.

    Set before any fit was judged by eye, but for ``size``: of sixteen fits of eight photographs they keep
    what is good and nothing that is bad (docs/measurements/photographs.md).

    Args:
        keypoints: pixels at 512 scale, of the worst person, over confident joints without the worst tenth.
        contacts: least share of the weight of the contacts that ends within 2 cm.
        penetration: metres, the deepest point of a person inside another.
        volume: share of a person's volume won or lost from the start.
        thickness: share of the thickness of a person's part won or lost from the start.
        stature: metres won or lost from the start.
        pose: degrees that a joint turned from the start.
        spine: degrees that a joint of the spine turned from the start.
        depth_order: metres by which the one who is said to be nearer is farther away.
        size: share by which somebody starts farther away than one whom they touch: a child in contact who is
            taken for an adult, or the reverse. On photographs sound fits start up to 0.47, and a child far
            away at 1.03.
    """

    keypoints: float = 20.0
    contacts: float = 0.5
    penetration: float = 0.04
    volume: float = 0.15
    thickness: float = 0.10
    stature: float = 0.10
    pose: float = 120.0
    spine: float = 45.0
    depth_order: float = 0.10
    size: float = 0.60


@dataclass(frozen=True)
class Finding:
    """One look at a fit.

    Attributes:
        name: of the measure, as `Limits` calls it.
        value: what was measured; NaN could not be measured and is not right.
        limit: what it is held against.
        right: whether it is within.
    """

    name: str
    value: float
    limit: float
    right: bool

    @property
    def said(self) -> str:
        """In words: ``"thickness 0.23, not under 0.1"``."""
        way = ("at least", "less than") if self.name == "contacts" else ("under", "not under")
        return f"{self.name} {self.value:.3g}, {way[0] if self.right else way[1]} {self.limit:g}"

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """Return the inverse of `to_dict`; ``null`` becomes NaN."""
        return cls(data["name"], number_or_nan(data["value"]), float(data["limit"]), bool(data["right"]))


def look_at(
    scene: Scene,
    metrics: SceneMetrics,
    limits: Limits | None = None,
    *,
    before: SceneMetrics | None = None,
) -> tuple[Finding, ...]:
    """Look at a fit from every side.

    Args:
        scene: what was fitted.
        metrics: `FitResult.after`.
        limits: those above by default.
        before: `FitResult.before`.

    Returns:
        one finding a measure; that of contacts only where the scene has contacts of any weight, that of
        the depth order only where the scene says who is in front, and that of size only where two people
        touch and ``before`` is given.

    Example:
        >>> [f.said for f in look_at(scene, result.after) if not f.right]  # doctest: +SKIP
        ['thickness 0.23, not under 0.1']
    """
    limits = limits or Limits()
    measured = {
        "keypoints": _largest(metrics.robust_keypoint_error),
        "penetration": metrics.depth_max,
        "volume": _largest(metrics.volume_change),
        "thickness": _largest(metrics.thickness_change),
        "stature": _largest(metrics.stature_change),
        "pose": _largest(metrics.pose_change_max),
        "spine": _largest(metrics.spine_change_max),
    }
    if scene.depth_order:
        measured["depth_order"] = metrics.depth_order_wrong
    if before is not None:
        apart = _apart(scene, before)
        if apart is not None:
            measured["size"] = apart
    found = [
        Finding(name, value, getattr(limits, name), value < getattr(limits, name))
        for name, value in measured.items()
    ]
    held = held_share(scene, metrics, TOUCHING)
    if scene.contacts and not np.isnan(held):
        found.insert(1, Finding("contacts", held, limits.contacts, held >= limits.contacts))
    return tuple(found)


def _apart(scene: Scene, before: SceneMetrics) -> float | None:
    """Return by what share the farther one of two people who touch starts behind the nearer one, of the pair
    where it is most; None where no two people touch, or nothing is known of where they start.
    """
    pairs = {(c.person_a, c.person_b) for c in scene.contacts if c.person_a != c.person_b and len(c.contacts)}
    if not pairs or len(before.depth) != len(scene.people):
        return None
    shares = []
    for a, b in sorted(pairs):
        near, far = sorted((before.depth[a], before.depth[b]))
        shares.append(far / near - 1 if near > 0 else float("nan"))
    return float(np.max(shares))


def _largest(values: tuple[float, ...]) -> float:
    """Return the largest in size; NaN if one is, and 0 of nobody."""
    return float(np.max(np.abs(values))) if values else 0.0

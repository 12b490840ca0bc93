"""How far a model's left and right are believed, and how likely keypoints of touching parts lie where."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from apu_contacts.contacts import PartContact
from apu_contacts.keypoints.parts import MIDLINE_PARTS
from apu_contacts.sides.pair_keypoints import Gaps, Sides

Array = NDArray[np.float64]
FLIP = {"left": "right", "right": "left"}

_RATES = 8
"""Shares of exchanged contacts that are tried."""
_OFFSETS = np.linspace(-2.0, 2.0, 9)
"""Standard deviations at which the unknown relative depth of two people is tried."""


@dataclass(frozen=True)
class SideBelief:
    """How far a model's stated sides are believed, before any keypoint is looked at.

    The three ways of being wrong are not alike: models exchange left and right of both people together more
    often than of one (paper, section 3.1). ``kept + together + 2 * alone`` must be 1.

    Exchanging both is a habit of an answer: one is written in the left and right of the picture, the next in
    those of the body. So the share of an answer's contacts that are exchanged has a Beta distribution with
    mean ``together / (kept + together)``, and the contacts of an answer tell about each other.

    The defaults were chosen on the synthetic development types (docs/measurements/method_table.md).

    Args:
        kept: both sides are right.
        together: both are flipped.
        alone: only the first is flipped; and the same for the second.
        concentration: a + b of that Beta distribution. Near 0: an answer is exchanged as a whole or not at
            all; infinite: every contact is decided by itself.

    Raises:
        ValueError: if one is negative, the shares do not add up to 1, or the concentration is not above 0.
    """

    kept: float = 0.56
    together: float = 0.2
    alone: float = 0.12
    concentration: float = 1.1

    def __post_init__(self) -> None:
        total = self.kept + self.together + 2 * self.alone
        if min(self.kept, self.together, self.alone) < 0 or abs(total - 1) > 1e-6:
            raise ValueError(
                f"kept + together + 2 * alone must be 1 and none negative, got {self}, sum {total:g}"
            )
        if not self.concentration > 0:
            raise ValueError(f"concentration must be above 0, got {self.concentration}")

    @property
    def rate(self) -> float:
        """Mean share of contacts that are exchanged, of those with both sides right or both wrong."""
        whole = self.kept + self.together
        return self.together / whole if whole > 0 else 0.0

    def rates(self) -> Array:
        """``(R,)`` equally likely shares of exchanged contacts that an answer may have."""
        return _rates(self.rate, self.concentration)


@lru_cache(maxsize=64)
def _rates(mean: float, concentration: float) -> Array:
    if math.isinf(concentration) or mean in (0.0, 1.0):
        return np.array([mean])
    from scipy.special import betainc, betaincinv

    # means of the eighths of the distribution, so that their mean is that of the whole
    a, b = mean * concentration, (1 - mean) * concentration
    below = betainc(a + 1, b, betaincinv(a, b, np.linspace(0, 1, _RATES + 1)))
    rates: Array = mean * _RATES * np.diff(below)
    return rates


@dataclass(frozen=True)
class DistanceModel:
    """How likely a keypoint distance is between two parts that touch, up to a factor.

    ``outlier + (1 - outlier) * exp(-d / sqrt(scale^2 + (error / c)^2))``, d in fractions of the people's size
    and c the lower confidence of the two keypoints: a doubtful keypoint tells less. The constant is what
    keeps one wrong keypoint from deciding everything.

    Where bodies were estimated, the exponent also has ``-((z - o) / depth_scale)^2 / 2``: z is the estimated
    difference in depth of the two keypoints, and o by how much the estimator misplaced one person behind the
    other. That is not known but the same for all contacts: it is normal with ``depth_offset``, and averaged
    over.

    Args:
        scale: mean distance between the keypoints of parts that touch; the keypoints lie inside of the body.
        error: standard error of a keypoint of confidence 1.
        outlier: floor of the likelihood.
        depth_scale: metres; standard error of a keypoint's depth within its body, and the parts' thickness.
        depth_offset: metres; standard error of the depth of one person relative to the other.

    Raises:
        ValueError: if a value is out of range.
    """

    scale: float = 0.06
    error: float = 0.01
    outlier: float = 0.001
    depth_scale: float = 0.3
    depth_offset: float = 0.23

    def __post_init__(self) -> None:
        if not (self.scale > 0 and self.error >= 0 and 0 < self.outlier < 1):
            raise ValueError(f"scale must be above 0, error at least 0, outlier between 0 and 1, got {self}")
        if not (self.depth_scale > 0 and self.depth_offset >= 0):
            raise ValueError(f"depth_scale must be above 0 and depth_offset at least 0, got {self}")

    def likelihood(self, distance: float, confidence: float) -> float:
        """Of one distance in the picture; NaN for a distance that is not known."""
        if math.isnan(distance):
            return math.nan
        spread = math.hypot(self.scale, self.error / confidence)
        return self.outlier + (1 - self.outlier) * math.exp(-distance / spread)

    def offsets(self) -> tuple[Array, Array]:
        """``(D,)`` relative depths that are tried, metres, and their shares."""
        shares = np.exp(-(_OFFSETS**2) / 2)
        return self.depth_offset * _OFFSETS, shares / shares.sum()

    def of_gaps(self, gaps: Gaps, offsets: Array) -> Array:
        """``(D,)`` likelihood of the nearest pair of keypoints, for each relative depth of the people.

        Depths that are not known are left out. NaN where there are no keypoints.
        """
        if not len(gaps.distance):
            return np.full(len(offsets), math.nan)
        spread = np.hypot(self.scale, self.error / gaps.confidence)
        cost = np.broadcast_to(gaps.distance / spread, (len(offsets), len(spread)))
        if not np.isnan(gaps.depth).any():
            cost = cost + ((gaps.depth - offsets[:, None]) / self.depth_scale) ** 2 / 2
        likelihood: Array = self.outlier + (1 - self.outlier) * np.exp(-cost.min(1))
        return likelihood


def has_side(contact: PartContact, person: int) -> bool:
    """Whether the part of person 0 or 1 has keypoints of its own on either side."""
    parts = (
        (contact.part_a, *contact.alternatives_a)
        if person == 0
        else (contact.part_b, *contact.alternatives_b)
    )
    return not MIDLINE_PARTS.issuperset(parts)


def side_prior(contact: PartContact, belief: SideBelief, rate: float | None = None) -> dict[Sides, float]:
    """Belief in each combination of sides before keypoints are looked at; adds up to 1.

    Args:
        contact: its ``sides``, where it has them (a fused contact), is a distribution of the stated sides.
        belief: how far stated sides are believed.
        rate: share of exchanged contacts in this answer; the mean of the belief if None.
    """
    rate = belief.rate if rate is None else rate
    told: Mapping[Sides, float] = getattr(contact, "sides", None) or {(contact.side_a, contact.side_b): 1.0}
    prior: dict[Sides, float] = {}
    for stated, share in told.items():
        for sides, p in _flips(contact, stated, belief, rate).items():
            prior[sides] = prior.get(sides, 0.0) + share * p
    total = sum(prior.values())
    return {sides: p / total for sides, p in prior.items() if p > 0}


def _flips(contact: PartContact, stated: Sides, belief: SideBelief, rate: float) -> dict[Sides, float]:
    """Return the combinations that may be meant by one, with their shares."""
    limbs = has_side(contact, 0), has_side(contact, 1)
    whole = belief.kept + belief.together
    if all(side in FLIP for side in stated):
        a, b = stated
        return {
            (a, b): (1 - rate) * whole,
            (FLIP[a], FLIP[b]): rate * whole,
            **({(FLIP[a], b): belief.alone} if limbs[0] else {}),
            **({(a, FLIP[b]): belief.alone} if limbs[1] else {}),
        }
    flipped = rate * whole + belief.alone
    options: list[dict[str, float]] = []
    for side, limb in zip(stated, limbs, strict=True):
        if side in FLIP and limb:
            options.append({side: 1 - flipped, FLIP[side]: flipped})
        elif side == "none" and limb:
            options.append({"left": 0.5, "right": 0.5})
        else:
            options.append({side: 1.0})
    return {(a, b): p * q for (a, p), (b, q) in itertools.product(options[0].items(), options[1].items())}

"""The dials of a start from keypoints."""

from __future__ import annotations

from dataclasses import dataclass

from apu_losses.fitting.solve.stage import Preset, Stage

_MOVES = ("global_orient", "body_pose", "transl")
_FIRST = {"keypoints": 0.02, "orientation": 40.0}
_WEIGHTS = {**_FIRST, "pose_prior": 4.0, "initial_pose": 18.0}
_TERMS: dict[str, dict[str, object]] = {
    "keypoints": {"confidence_power": 1.0, "hands": 0.0},
    "pose_prior": {},
    # what no keypoint shows stays with the hypothesis
    "initial_pose": {"spine": 3.0, "collars": 2.0},
    "orientation": {},
}


def _second_order(name: str, steps: int) -> Stage:
    return Stage(
        name, _WEIGHTS, _MOVES, 0.0, steps, relative_slope=1e-3, optimizer="levenberg_marquardt", damping=0.01
    )


HEADINGS_RECIPE = Preset(
    "start from keypoints",
    _TERMS,
    (
        Stage("place", _FIRST, ("global_orient", "transl"), 0.05, 40, relative_slope=None),
        Stage("pose", _WEIGHTS, _MOVES, 0.04, 60, relative_slope=None),
        _second_order("refine", 20),
    ),
    description="Of one person from keypoints alone: the place and heading first, then the pose, which is held "
    "to the hypothesis that it started from. Tuned on 26 photographs by eye.",
)
"""How every heading is fitted."""

FLIPS_RECIPE = Preset(
    "limbs mirrored in depth",
    _TERMS,
    (_second_order("refine", 8),),
    description="A mirrored limb has the same keypoints but for perspective: a few steps settle it.",
)


@dataclass(frozen=True)
class KeypointStartOptions:
    """How a start is found from keypoints alone.

    Args:
        headings: the recipe by which every hypothesis is fitted; terms of joints and keypoints only.
        flips: the recipe by which limbs mirrored in depth are settled.
        alternatives: at most so many hypotheses are kept besides the best.
        apart: metres; two hypotheses whose joints differ by less in the mean are one.
        temperature: of the loss: a hypothesis that is worse by this is e times less likely.
        stature_sigma: relative; adults differ by so much in stature.
    """

    headings: Preset = HEADINGS_RECIPE
    flips: Preset = FLIPS_RECIPE
    alternatives: int = 3
    apart: float = 0.06
    temperature: float = 6.0
    stature_sigma: float = 0.05

    def __post_init__(self) -> None:
        if self.alternatives < 0:
            raise ValueError(f"alternatives must be at least 0, got {self.alternatives}")
        for name in ("apart", "temperature", "stature_sigma"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")

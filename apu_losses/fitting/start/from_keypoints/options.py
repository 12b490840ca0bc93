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


HEADINGS_PRESET = Preset(
    "start from keypoints",
    _TERMS,
    (
        Stage("place", _FIRST, ("global_orient", "transl"), 0.05, 40, relative_slope=None),
        Stage("pose", _WEIGHTS, _MOVES, 0.04, 60, relative_slope=None),
        _second_order("refine", 20),
    ),
    description="Of one person from keypoints alone: the place and heading first, then the pose, which is "
    "held to the hypothesis that it started from. Tuned on 26 photographs by eye.",
)
"""How every heading is fitted."""

SETTLE_PRESET = Preset(
    "start from keypoints, settled",
    _TERMS,
    (_second_order("refine", 8),),
    description="A mirrored limb, or a body of another size, has the same keypoints but for perspective: "
    "a few steps settle it.",
)
"""How what was changed by hand is fitted again."""

_HELD = {"pose_prior": 1.0, "initial_pose": 100.0}
PROPOSED_PRESET = HEADINGS_PRESET.weighted(**_HELD)
"""How the network's poses are fitted: they are worth more than any pose that a heading starts from, so they
are held more firmly. Of 18, 36 and 100 the last was best (20 scenes of the development types, whose poses the
network had not seen)."""
PROPOSED_SETTLE_PRESET = SETTLE_PRESET.weighted(**_HELD)
"""How they are fitted again."""


@dataclass(frozen=True)
class KeypointStartOptions:
    """How a start is found from keypoints alone.

    Args:
        headings: the preset by which every hypothesis is fitted, where the network is not asked; terms of
            joints and keypoints only.
        settle: the preset by which mirrored limbs and bodies of another size are fitted again.
        proposed, proposed_settle: the same of the poses that the network proposes.
        alternatives: at most so many hypotheses are kept besides the best.
        apart: metres; two hypotheses of which no joint of a limb differs by more are one.
        temperature: of the loss: a hypothesis that is worse by this is e times less likely.
        against_flips: of the loss; so much likelier an arm or leg is as it was found than mirrored in depth.
            Of mirrored limbs with a lower loss one in three is right (development types).
        network: weight of what the pose network holds against a hypothesis (`PoseProposal.held_against`);
            0: it is not asked, and headings are tried instead of its poses. From 5 to 40 all are about as
            good (30 scenes of the development types, whose poses the network had not seen).
        stature_sigma: relative; how far people differ in stature. More than adults do (0.04), since pose and
            camera are not known either.
        floor_sigma: metres; how far feet lie from the floor that all stand on.
        lifted: metres above the floor from which a foot is let go.
        pitch_sigma: radians; how far cameras look up or down.
        order_sigma: metres; how firmly who hides another is put before them.
        order_reach: metres; an order that is further than this from what is seen is doubted.

        near_overlap: people whose boxes overlap by this share of the smaller one are equally far away,
        near_sigma: to about so many metres.
        touch_sigma: metres; how firmly parts that touch are put at one depth.
        touch_slack: metres by which the middles of such parts may differ, being under the skin.
        touch_reach: metres; a contact that is further than this from what is seen is doubted.
        touch_weight: of a contact, from which it counts in full; answers of a model have about half of it.

    From ``stature_sigma`` on these were tuned on the development types of the synthetic world.
    """

    headings: Preset = HEADINGS_PRESET
    settle: Preset = SETTLE_PRESET
    proposed: Preset = PROPOSED_PRESET
    proposed_settle: Preset = PROPOSED_SETTLE_PRESET
    alternatives: int = 3
    apart: float = 0.1
    temperature: float = 15.0
    against_flips: float = 15.0
    network: float = 10.0
    stature_sigma: float = 0.08
    floor_sigma: float = 0.04
    lifted: float = 0.15
    pitch_sigma: float = 0.1
    order_sigma: float = 0.15
    order_reach: float = 0.3
    near_overlap: float = 0.5
    near_sigma: float = 0.3
    touch_sigma: float = 0.1
    touch_slack: float = 0.05
    touch_reach: float = 0.3
    touch_weight: float = 0.04

    def __post_init__(self) -> None:
        if self.alternatives < 0:
            raise ValueError(f"alternatives must be at least 0, got {self.alternatives}")
        if not 0 <= self.network < float("inf"):
            raise ValueError(f"network must be finite and at least 0, got {self.network}; 0 leaves it out")
        numbers = ("apart", "temperature", "stature_sigma", "floor_sigma", "lifted", "pitch_sigma")
        more = ("order_sigma", "order_reach", "near_overlap", "near_sigma", "touch_sigma", "touch_reach")
        for name in (*numbers, *more, "touch_weight"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")

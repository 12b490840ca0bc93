"""The geometric rules that cut a folded body into regions; heights and widths are those of
``docs/regions.md``.

Each rule returns the ids of left regions (50 for the pelvis) for the vertices of its zone. Heights ("front
cuts") are fractions of the reference body's stature, read off annotated vertices and silhouettes of the
official regions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.regions.segment.frame import Frame, profile, sweep
from apu_contacts.regions.segment.mesh import Floats, Ints, smooth_field
from apu_contacts.regions.table import region

Mask = NDArray[np.bool_]

FINGERS = ("index", "middle", "ring", "pinky", "thumb")
_LONG_FINGERS = FINGERS[:4]
HAND_JOINTS = ("wrist", *(f"{finger}{i}" for finger in FINGERS for i in (1, 2, 3)))
_EYES = ("eye_smplhf",)

# Where the arm's regions meet, as fractions of the way from joint to joint.
ARM_FROM_SHOULDER = 0.19
ELBOW_FROM_SHOULDER = 0.815
FOREARM_FROM_ELBOW = 0.352
HAND_FROM_ELBOW = 1.02


def _left(name: str) -> int:
    return region(f"left {name}").id


def label_folded(frame: Frame, adjacency: Any) -> Ints:
    """``(V,)`` region id of each vertex as if it lay on the left side."""
    labels = np.full(len(frame.points), -1, dtype=np.int64)
    arm, head = _arm_zone(frame), _head_zone(frame)
    neck = ~head & _neck_zone(frame, head)
    leg = ~arm & ~head & ~neck & (frame.height < 0.556)
    trunk = ~(arm | head | neck | leg)
    side = _side_of_trunk(frame)
    for mask, rule in (
        (trunk, _trunk(frame, side, _neck_half_width(frame, head))),
        (leg, _leg(frame, leg, side, adjacency)),
        (neck, _neck(frame, neck)),
        (head, _head(frame, head)),
        (arm, _arm(frame, arm, adjacency)),
    ):
        labels[mask] = rule[mask]
    return labels


def _arm_progress(frame: Frame) -> tuple[Floats, Floats]:
    """Fractions of the way from shoulder to elbow and from elbow to wrist, along x, on which the arm lies."""
    x = frame.points[:, 0]
    shoulder, elbow, wrist = (frame.joints[name][0] for name in ("shoulder", "elbow", "wrist"))
    return (x - shoulder) / (elbow - shoulder), (x - elbow) / (wrist - elbow)


def _arm_zone(frame: Frame) -> Mask:
    upper, _ = _arm_progress(frame)
    limb = frame.weight("shoulder", "elbow", *HAND_JOINTS)
    return (limb > 0.35) & (upper > ARM_FROM_SHOULDER)


def _head_zone(frame: Frame) -> Mask:
    eyes = [name for name in _EYES if name in frame.share]
    return frame.weight("head", "jaw", *eyes) > 0.5


def _neck_zone(frame: Frame, head: Mask) -> Mask:
    """Between the head and a plane that falls from the nape to the pit of the throat."""
    x, y, z = frame.points.T
    chin = _chin(frame, head)
    middle = head & (frame.across < 0.02)
    hind = z[middle].min() + 0.2 * np.ptp(z[middle])
    skull_base = y[middle & (z < hind)].min()
    head_height = 1.0 - chin
    throat, nape = chin - 0.29 * head_height, skull_base - 0.47 * head_height
    around = ~head & (frame.across < 0.05) & (np.abs(y - 0.5 * (chin + nape)) < 0.3 * head_height)
    forward = np.interp(z, [z[around].min(), z[around].max()], [0.0, 1.0])
    neck: Mask = (y > nape + forward * (throat - nape)) & (x < _neck_half_width(frame, head))
    return neck


def _chin(frame: Frame, head: Mask) -> float:
    _, y, z = frame.points.T
    middle = head & (frame.across < 0.02)
    return float(y[middle & (z > np.median(z[middle]))].min())


def _neck_half_width(frame: Frame, head: Mask) -> float:
    """Where the neck ends and the shoulders begin; it goes with the head's height, so that infants fit."""
    return 0.36 * (1.0 - _chin(frame, head))


def _side_of_trunk(frame: Frame) -> Floats:
    """z that parts the trunk's front from its back: the side of the body, and the ridge of the shoulders."""
    x, y, z = frame.points.T
    shoulder = frame.joints["shoulder"]
    body = (y < shoulder[1]) & (frame.weight("shoulder", "elbow", *HAND_JOINTS) < 0.3)
    centres, slices = sweep(y, body, frame.joints["hip"][1] - 0.06, shoulder[1], 0.02)
    middle = []
    for chosen in slices:
        strip = chosen & (x > 0.93 * x[chosen].max(initial=0.0))
        middle.append(0.5 * (z[strip].min() + z[strip].max()) if strip.any() else np.nan)
    below = np.interp(y, *profile(centres, middle))
    centres, ridge, _ = _ridge(frame)
    above = np.interp(x, centres, ridge)
    share = np.clip((frame.height - 0.76) / 0.03, 0.0, 1.0)
    line: Floats = below + share * (above - below)
    return line


def _ridge(frame: Frame) -> tuple[Floats, Floats, Floats]:
    """Return the top line of the shoulder from the neck outwards: distances from the midline, depths and
    heights.
    """
    x, y, z = frame.points.T
    shoulder = frame.joints["shoulder"]
    top = ~_head_zone(frame) & (y > shoulder[1] - 0.02)
    unit = shoulder[0] / 0.089
    centres, slices = sweep(x, top, 0.047 * unit, 0.13 * unit, 0.012, steps=30)
    depth, height = [], []
    for chosen in slices:
        crest = chosen & (y > y[chosen].max(initial=0.0) - 0.008)
        depth.append(float(z[crest].mean()) if crest.any() else np.nan)
        height.append(float(y[crest].max()) if crest.any() else np.nan)
    return centres, profile(centres, depth)[1], profile(centres, height)[1]


def _trunk(frame: Frame, side: Floats, neck: float) -> Ints:
    height, across, (x, y, z) = frame.height, frame.across, frame.points.T
    front = z > side
    # The ribs' lower edge rises towards the midline.
    ribs = 0.718 - 0.022 * np.minimum(across / 0.09, 1.0)
    labels = np.select(
        [
            front & (height > 0.782),
            front & (height > ribs),
            front & (height > 0.618),
            front,
            height > 0.72,
            height > 0.68,
            height > 0.618,
        ],
        [_left(name) for name in ("upper chest", "lower chest", "upper belly", "lower belly")]
        + [_left(name) for name in ("upper back", "middle back", "lower middle back")],
        _left("lower back"),
    )
    centres, _, crest = _ridge(frame)
    below_crest = np.interp(x, centres, crest) - y
    labels[front & (x > neck) & (below_crest < 0.027)] = _left("front shoulder")
    # The inner lower corner is rounded off.
    corner = 0.03 * np.clip((0.117 - across) / 0.072, 0.0, 1.0) ** 3
    labels[~front & (x > neck) & (height > 0.79 + corner)] = _left("back shoulder")
    return np.asarray(labels, dtype=np.int64)


def _leg(frame: Frame, leg: Mask, trunk_side: Floats, adjacency: Any) -> Ints:
    height, across, (_, y, z) = frame.height, frame.across, frame.points.T
    ankle, top = frame.joints["ankle"][1], frame.joints["hip"][1]
    centres, slices = sweep(y, leg, ankle, top - 0.03, 0.018)
    middle = [0.5 * (z[s].min() + z[s].max()) if s.any() else np.nan for s in slices]
    middle_of_leg = np.interp(y, *profile(centres, middle))
    into_trunk = np.clip((height - 0.44) / 0.08, 0.0, 1.0)
    front = z > middle_of_leg + into_trunk * (trunk_side - middle_of_leg)
    groin = 0.476 + (0.548 - 0.476) * across / 0.105
    labels = np.select(
        [
            front & (height > groin) & (across < 0.105),
            front & (height > 0.356),
            front & (height > 0.298),
            front & (height > 0.229),
            front & (height > 0.130),
            front,
            height > 0.470,
            height > 0.376,
            height > 0.298,
            height > 0.229,
            height > 0.130,
        ],
        [50]
        + [
            _left(f"front {name}")
            for name in ("upper thigh", "lower thigh", "knee", "upper shin", "lower shin")
        ]
        + [
            _left(name)
            for name in ("buttock", "back upper thigh", "back lower thigh", "back knee", "back calf")
        ],
        _left("back ankle"),
    )
    labels = np.where(_foot_zone(frame, leg), _foot(frame, adjacency), labels)
    return np.asarray(labels, dtype=np.int64)


def _foot_zone(frame: Frame, leg: Mask) -> Mask:
    return leg & (frame.height < 0.059)


def _foot(frame: Frame, adjacency: Any) -> Ints:
    # Facing down and near the ground, both smoothed so that the hollow of the foot and the toes' gaps follow.
    facing = -frame.normals[:, 1] - 0.45
    ground = 1.0 - frame.points[:, 1] / 0.012
    sole = smooth_field(np.minimum(facing, 0.5) + 0.5 * np.clip(ground, -2.0, 1.0), adjacency, 1) > 0
    return np.where(sole, _left("foot sole"), _left("foot top"))


def _neck(frame: Frame, neck: Mask) -> Ints:
    _, y, z = frame.points.T
    centres, slices = sweep(y, neck, float(y[neck].min()), float(y[neck].max()), 0.012)
    middle = [0.5 * (z[s].min() + z[s].max()) if s.any() else np.nan for s in slices]
    front = z > np.interp(y, *profile(centres, middle))
    return np.where(front, _left("front neck"), _left("back neck"))


def _head(frame: Frame, head: Mask) -> Ints:
    x, _, z = frame.points.T
    ear = head & (x > 0.93 * x[head].max())
    behind_ear = z[ear].min() - 0.004
    return np.where(z > behind_ear, _left("face"), _left("back of head"))


def _arm(frame: Frame, arm: Mask, adjacency: Any) -> Ints:
    x, _, z = frame.points.T
    upper, lower = _arm_progress(frame)
    hand = (lower > HAND_FROM_ELBOW) & (frame.weight(*HAND_JOINTS) > 0.3)
    limb = arm & ~hand
    centres, slices = sweep(x, limb, float(x[limb].min()), float(x[limb].max()), 0.015)
    middle = [0.5 * (z[s].min() + z[s].max()) if s.any() else np.nan for s in slices]
    front = z > np.interp(x, *profile(centres, middle))
    elbow, forearm = upper > ELBOW_FROM_SHOULDER, lower > FOREARM_FROM_ELBOW
    labels = np.select(
        [forearm & front, forearm, elbow & front, elbow, front],
        [
            _left(name)
            for name in ("front forearm", "back forearm", "front elbow", "back elbow", "front upper arm")
        ],
        _left("back upper arm"),
    )
    return np.where(hand, _hand(frame, hand, adjacency), labels).astype(np.int64)


def _hand(frame: Frame, hand: Mask, adjacency: Any) -> Ints:
    joints, points, normals = frame.joints, frame.points, frame.normals
    along = _unit(np.mean([joints[f"{finger}1"] for finger in _LONG_FINGERS], axis=0) - joints["wrist"])
    towards_thumb = joints["index1"] - joints["pinky1"]
    towards_thumb = _unit(towards_thumb - along * (towards_thumb @ along))
    # On the folded left hand this points out of the palm: down, in T-pose.
    palm_normal = np.cross(towards_thumb, along)
    palm_normal = palm_normal * np.sign(-palm_normal[1]) if abs(palm_normal[1]) > 0.2 else palm_normal
    scale = float(np.linalg.norm(joints["middle1"] - joints["wrist"]))
    facing_palm = normals @ palm_normal
    # Distance from the hand's middle surface steadies the normals at the edges of the hand.
    middle = 0.5 * (joints["wrist"] + np.mean([joints[f"{finger}1"] for finger in _LONG_FINGERS], axis=0))
    palm = smooth_field(facing_palm + ((points - middle) @ palm_normal) / (0.22 * scale), adjacency, 1) > 0
    labels = np.where(palm, _left("palm"), _left("back of hand"))
    # The thumb's nail turns with the thumb in the plane of the palm, and leans to the back of the hand.
    around = np.cross(along, towards_thumb)
    thumb = _Digit(
        frame, "thumb1", "thumb2", lambda direction: -np.cross(around, direction) + 0.6 * palm_normal
    )
    on_pad = thumb.faces_pad(scale, adjacency)
    labels = np.where(thumb.owns("thumb1"), np.where(on_pad, _left("palm"), _left("back of hand")), labels)
    for finger in FINGERS:
        if finger == "thumb":
            digit = replace(thumb, start="thumb2", end="thumb3")
            owned = digit.owns("thumb2", "thumb3")
        else:
            digit = _Digit(frame, f"{finger}1", f"{finger}3", lambda direction: palm_normal)
            owned = digit.owns(*(f"{finger}{i}" for i in (1, 2, 3)))
        on_pad = digit.faces_pad(scale, adjacency)
        sides = np.where(on_pad, _left("fingers (palm side)"), _left("fingers (back side)"))
        labels = np.where(hand & owned, sides, labels)
    return np.asarray(labels, dtype=np.int64)


@dataclass(frozen=True)
class _Digit:
    """A finger, the thumb or its metacarpal: an axis between two joints, and the way that its pad faces."""

    frame: Frame
    start: str
    end: str
    pad: Callable[[Floats], Floats]

    def owns(self, *joints: str) -> Mask:
        return np.asarray(self.frame.weight(*joints) > 0.5)

    def faces_pad(self, scale: float, adjacency: Any) -> Mask:
        start, points = self.frame.joints[self.start], self.frame.points
        direction = _unit(self.frame.joints[self.end] - start)
        pad = self.pad(direction)
        pad = _unit(pad - direction * (pad @ direction))
        axis = start + ((points - start) @ direction)[:, None] * direction
        field = ((points - axis) @ pad) / (0.07 * scale) + self.frame.normals @ pad
        return np.asarray(smooth_field(field, adjacency, 1) > 0)


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / np.linalg.norm(vector)
    return unit

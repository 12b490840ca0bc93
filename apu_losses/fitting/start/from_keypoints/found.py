"""What is kept of a start from keypoints: hypotheses, and how sure each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apu_losses.fitting.scene.types import InitialBody, Joints3D
from apu_losses.fitting.start.joint_trust import JOINT_TRUST

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StartHypothesis:
    """One body that explains the keypoints.

    Args:
        parameters: body parameters by their smplx names.
        loss: what the fit to the keypoints ended at, priors included; lower is likelier.
        share: how likely it is among the hypotheses that were kept, 0 to 1.
        joints: ``(J, 3)`` the body's joints, metres, camera frame.
    """

    parameters: Mapping[str, Array]
    loss: float
    share: float
    joints: Array


@dataclass(frozen=True, eq=False)
class KeypointStart:
    """Where one person starts who has keypoints and no estimate, and how sure that is.

    Args:
        hypotheses: the likeliest first; what differs by less than `KeypointStartOptions.apart` is one.
        joint_names: of the body.
        joint_sigma: ``(J,)`` metres; how far each joint may lie from where it should, relative to the pelvis:
            the spread of the hypotheses.
        heading_sigma: radians; likewise of the direction that the person faces.
        depth_sigma: metres; how far the whole person may lie along the line of sight, since nobody knows how
            tall they are.
        notes: what was seen too little to tell, in words.
    """

    hypotheses: tuple[StartHypothesis, ...]
    joint_names: tuple[str, ...]
    joint_sigma: Array
    heading_sigma: float
    depth_sigma: float
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> StartHypothesis:
        """The likeliest hypothesis."""
        return self.hypotheses[0]

    def initial(self, which: int = 0) -> InitialBody:
        """Return what a `ScenePerson` starts from: hypothesis number ``which``.

        The joints stand beside the parameters, so that any other body is put on them, too.
        """
        chosen = self.hypotheses[which]
        known = [i for i, name in enumerate(self.joint_names) if name in JOINT_TRUST]
        names = tuple(self.joint_names[i] for i in known)
        trust = np.array([JOINT_TRUST[name] for name in names])
        return InitialBody(dict(chosen.parameters), Joints3D(names, chosen.joints[known], trust))

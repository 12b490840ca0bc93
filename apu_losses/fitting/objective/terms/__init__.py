"""The terms that a preset can name: the losses of `apu_losses.functional`, wired to the state of a fit.

Each is a small frozen dataclass of options with ``__call__(state) -> (S,)``. Names and options are what a
preset's ``terms`` hold; `apu_losses.fitting.solve.registry.BUILT_IN` lists them.
"""

from apu_losses.fitting.objective.terms.contact import ContactTerm, FacingTerm, MinimumDistanceTerm
from apu_losses.fitting.objective.terms.dense import DenseContact, DenseContactTerm
from apu_losses.fitting.objective.terms.feet import FootLockTerm
from apu_losses.fitting.objective.terms.keypoints import KeypointTerm
from apu_losses.fitting.objective.terms.motion import SmoothnessTerm
from apu_losses.fitting.objective.terms.penetration import PenetrationTerm, SelfPenetrationTerm
from apu_losses.fitting.objective.terms.place import DepthOrderTerm, GroundTerm, InitialPlaceTerm
from apu_losses.fitting.objective.terms.pose import (
    HandPoseTerm,
    InitialPoseTerm,
    OrientationTerm,
    PosePriorTerm,
)
from apu_losses.fitting.objective.terms.prior import PriorTerm, PriorVertexTerm
from apu_losses.fitting.objective.terms.shape import AgeTerm, ShapeTerm, StatureTerm

__all__ = [
    "AgeTerm",
    "ContactTerm",
    "DenseContact",
    "DenseContactTerm",
    "DepthOrderTerm",
    "FacingTerm",
    "FootLockTerm",
    "GroundTerm",
    "HandPoseTerm",
    "InitialPlaceTerm",
    "InitialPoseTerm",
    "KeypointTerm",
    "MinimumDistanceTerm",
    "OrientationTerm",
    "PenetrationTerm",
    "PosePriorTerm",
    "PriorTerm",
    "PriorVertexTerm",
    "SelfPenetrationTerm",
    "ShapeTerm",
    "SmoothnessTerm",
    "StatureTerm",
]

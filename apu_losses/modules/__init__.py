"""The losses as ``nn.Module``: shells that keep options, and compute with `apu_losses.functional`.

Each returns one value per item, unreduced: sum or average as your own loss does.
"""

from apu_losses.modules.contact import SoftContactLoss
from apu_losses.modules.distance import MinimumDistanceLoss
from apu_losses.modules.keypoints import KeypointReprojectionLoss
from apu_losses.modules.penetration import PenetrationLoss, SelfPenetrationLoss
from apu_losses.modules.priors import InitialPosePrior, PosePrior, ShapePrior

__all__ = [
    "InitialPosePrior",
    "KeypointReprojectionLoss",
    "MinimumDistanceLoss",
    "PenetrationLoss",
    "PosePrior",
    "SelfPenetrationLoss",
    "ShapePrior",
    "SoftContactLoss",
]

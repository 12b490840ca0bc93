"""What a fit is judged by: where joints and vertices lie, which contacts are met, how deep bodies sit in
each other.

Keypoint error is `apu_losses.functional.keypoint_error`, change of pose and stature
`apu_losses.functional.plausibility`. No measure turns a failure into a good score: NaN in, NaN out, and a
share of nothing is NaN.
"""

from apu_losses.functional.metrics.contact import (
    PCC_RADII,
    SIDED_PARTS,
    ContactScores,
    contact_distances,
    contact_scores,
    pcc,
    share_within,
    to_parts,
)
from apu_losses.functional.metrics.contact_maps import ContactMapError, contact_map_error
from apu_losses.functional.metrics.joints import (
    POINT_ALIGNS,
    PersonOrders,
    Similarity,
    aligned_mpjpe,
    joint_pa_mpjpe,
    joint_pa_mpjpe_orders,
    mpjpe,
    pa_mpjpe,
    similarity_alignment,
    v2v,
)
from apu_losses.functional.metrics.penetration import (
    PenetrationDepth,
    penetration_depth,
    penetration_volume,
)

__all__ = [
    "PCC_RADII",
    "POINT_ALIGNS",
    "SIDED_PARTS",
    "ContactMapError",
    "ContactScores",
    "PenetrationDepth",
    "PersonOrders",
    "Similarity",
    "aligned_mpjpe",
    "contact_distances",
    "contact_map_error",
    "contact_scores",
    "joint_pa_mpjpe",
    "joint_pa_mpjpe_orders",
    "mpjpe",
    "pa_mpjpe",
    "pcc",
    "penetration_depth",
    "penetration_volume",
    "share_within",
    "similarity_alignment",
    "to_parts",
    "v2v",
]

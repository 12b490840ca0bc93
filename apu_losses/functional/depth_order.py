"""Who stands in front of whom: an order that occlusion shows, where depth itself is not known."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

OrderForm = Literal["hinge", "logistic"]


def depth_order_energy(
    nearer: Tensor, farther: Tensor, *, form: OrderForm = "hinge", margin: float = 0.1
) -> Tensor:
    """Return what it costs that the person who hides another is not the nearer one.

    Args:
        nearer, farther: ``(K,)`` depth of the two, metres along the viewing direction.
        form: ``"hinge"``: ``relu(nearer - farther + margin)^2``, square metres, 0 once the order holds.
            ``"logistic"``: ``log(1 + exp((nearer - farther) / margin))``, without a unit, which never stops
            pulling: the ordinal depth loss of Jiang et al., "Coherent Reconstruction of Multiple Humans from
            a Single Image", CVPR 2020 (there with a margin of 1).
        margin: metres that the farther one should at least be behind, or the scale of the logistic form.

    Returns:
        ``(K,)``

    Raises:
        ValueError: an unknown form, a margin that is not positive, or shapes that differ.

    Example:
        >>> import torch
        >>> from apu_losses.functional import depth_order_energy
        >>> depth_order_energy(torch.tensor([3.0, 3.0]), torch.tensor([3.5, 2.8]))  # metres of two pairs
        tensor([0.0000, 0.0900])
    """
    if form not in ("hinge", "logistic"):
        raise ValueError(f"form must be 'hinge' or 'logistic', got {form!r}")
    if not margin > 0:
        raise ValueError(f"margin must be positive (metres), got {margin}")
    if nearer.shape != farther.shape:
        raise ValueError(
            "nearer and farther must have the same shape, "
            f"got {tuple(nearer.shape)} and {tuple(farther.shape)}"
        )
    if form == "hinge":
        return torch.relu(nearer - farther + margin).square()
    wrong = (nearer - farther) / margin
    # softplus by its definition: torch's has other last bits at the end of a tensor, on some processors
    return torch.logsumexp(torch.stack([wrong, torch.zeros_like(wrong)]), 0)

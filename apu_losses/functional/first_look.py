"""What a loss says about the first bodies that it is given: wrong units, too far from the origin."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from apu_losses.functional.rows import bounding_boxes
from apu_losses.geometry.checks import check_vertices
from apu_losses.numerics.precision import say_if_far

_SMALLEST, _LARGEST = 0.01, 10.0  # metres; no person, and no part of one that is worth a loss


class FirstLook:
    """Checks the bodies of a loss in each call, and looks into the first ones for what no shape can tell.

    Only once, since to look is to wait for a device, and not in compiled or mapped code. A plain object, so
    that a module that holds it does not change its own state in ``forward``.
    """

    def __init__(self) -> None:
        self._done = False

    def at(self, **bodies: Tensor) -> None:
        """Look at bodies ``(B, V, 3)`` by the names of their arguments.

        Raises:
            TypeError, ValueError: what is no tensor of bodies.

        Warns:
            UserWarning: once, if they are not of a size in metres.
            RuntimeWarning: once, if they are in float32 and more than 60 m from the origin.
        """
        for name, vertices in bodies.items():
            check_vertices(name, vertices)
        if self._done or torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
            return
        if any(not _readable(vertices) for vertices in bodies.values()):
            return
        self._done = True
        with torch.no_grad():
            # of the first one only
            if not any(_say_if_no_metres(name, vertices) for name, vertices in bodies.items()):
                for vertices in bodies.values():
                    if vertices.dtype == torch.float32:
                        say_if_far(vertices, wait=True)


def _readable(vertices: Tensor) -> bool:
    known = type(vertices) in (Tensor, torch.nn.Parameter) and vertices.device.type != "meta"
    return known and not torch._C._functorch.is_functorch_wrapped_tensor(vertices) and vertices.numel() > 0


def _say_if_no_metres(name: str, vertices: Tensor) -> bool:
    low, high = bounding_boxes(vertices[:1])
    extent = float((high - low).amax())
    if not (extent < _SMALLEST or extent > _LARGEST) or extent == 0:  # NaN is neither
        return False
    units = {1e-3: "millimetres", 1e-2: "centimetres", 0.0254: "inches"}
    likely = [unit for factor, unit in units.items() if 0.5 <= extent * factor <= 2.6]
    cause = f"are these {likely[0]}?" if likely else "are these in other units, or normalised?"
    warnings.warn(
        f"{name} must be bodies in metres, the first extends over {extent:.4g}: {cause} The loss grows "
        "with the square of the unit",
        stacklevel=6,
    )
    return True

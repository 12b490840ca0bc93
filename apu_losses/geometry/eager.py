"""The short way of a loss of nearest vertices, for ordinary float32 tensors on the CPU in eager code.

A small search costs less than the calls around it: checks, the dispatcher of a custom operator, a dozen of
torch's own operations and their backward. Here everything that hangs on the edges alone is laid out once
(`EdgePlan`), and search, energy and sum are one autograd function with a compiled backward. Values and
gradients have the bits of the general way. Whatever else looks at tensors (compilers, tracers,
``torch.func``, forward mode, subclasses) takes the general way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import forward_ad

from apu_losses.geometry.dispatch import choose
from apu_losses.geometry.requests import Ends, Unions
from apu_losses.geometry.topology import RegionIndex
from apu_losses.geometry.types import RegionPairs
from apu_losses.numerics.distances import distance2

if TYPE_CHECKING:
    from apu_losses.geometry.cpu.backend import Planned

Array = NDArray[Any]


def goes_the_short_way(backend: str, *tensors: Tensor) -> bool:
    """Whether nothing but autograd looks at these tensors, and the cpu back end takes them.

    Args:
        backend: as it was asked for; one that cannot run here is not for this function to complain about.
    """
    if torch.compiler.is_compiling() or backend not in ("auto", "cpu"):
        return False
    # of what torch has no public query for, `torch.autograd.Function` and `torch.jit` ask the same
    if torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack():
        return False
    if torch._C._get_tracing_state() is not None or forward_ad._current_level >= 0:
        return False
    for x in tensors:
        if type(x) not in _ORDINARY or torch._C._functorch.is_legacy_batchedtensor(x):
            return False  # the second is what `is_grads_batched` makes
        if x.dtype != torch.float32 or x.device.type != "cpu" or x.is_neg():
            return False
    return choose(tensors[0].device, torch.float32) == "cpu"


_ORDINARY = (Tensor, torch.nn.Parameter)


@dataclass(frozen=True)
class EdgePlan:
    """Edges between K regions of B bodies a and of B bodies b, as the compiled search takes them.

    Attributes:
        a, b: the two sides, laid out.
        row_a, row_b: ``(K,)`` rows of the two tensors.
        owner: ``(K,)`` the item that the energy of each edge is added to.
        count: the number of items.
    """

    a: Planned
    b: Planned
    row_a: Array
    row_b: Array
    owner: Array
    count: int

    @classmethod
    def build(cls, pairs: RegionPairs, owner: Tensor, bodies: int, regions: RegionIndex) -> EdgePlan | None:
        """Of edges between rows of B bodies and, from B on, of B others; None for any other edges.

        Args:
            pairs: K edges, each from a row below ``bodies`` to one from ``bodies`` on.
            owner: ``(K,)`` in ``[0, bodies)``.
            bodies: B.
        """
        from apu_losses.geometry.cpu.backend import plan_ends

        row_a, row_b, own = pairs.row_a, pairs.row_b - bodies, owner
        for rows in (row_a, row_b, own):
            if not len(rows) or int(rows.min()) < 0 or int(rows.max()) >= bodies:
                return None
        unions = None if pairs.unions is None else Unions(*pairs.unions)
        a = plan_ends("a", bodies, Ends(row_a, pairs.group_a, regions.layout), unions)
        b = plan_ends("b", bodies, Ends(row_b, pairs.group_b, regions.layout), unions)
        return cls(a, b, row_a.numpy(), row_b.numpy(), own.numpy(), bodies)


def nearest_energies(
    verts_a: Tensor, verts_b: Tensor, plan: EdgePlan, weight: Array | None = None, robust: float | None = None
) -> Tensor:
    """Return sums of the energies of nearest vertices, ``(B,)``, differentiable any number of times.

    Args:
        verts_a, verts_b: ``(B, V, 3)``, for which `goes_the_short_way`.
        weight: ``(K,)`` of each edge; ones by default.
        robust: rho of the Geman-McClure function, or None.
    """
    scale = None if robust is None else float(robust) ** 2
    each = np.ones(len(plan.owner), np.float32) if weight is None else weight.astype(np.float32)
    value: Tensor = _NearestEnergies.apply(verts_a, verts_b, plan, each, scale)[0]
    return value


class _NearestEnergies(torch.autograd.Function):
    """``(B,)`` energies, and the ``(K, 3)`` differences that a second derivative goes through."""

    @staticmethod
    def forward(
        ctx: Any, verts_a: Tensor, verts_b: Tensor, plan: EdgePlan, weight: Array, scale: float | None
    ) -> tuple[Tensor, Tensor]:
        from apu_losses.geometry.cpu.backend import planned_minimum
        from apu_losses.geometry.cpu.energies import edge_energies

        a, b = (x.detach().contiguous().numpy() for x in (verts_a, verts_b))
        _, index_a, index_b = planned_minimum(a, b, plan.a, plan.b)
        steps, out = np.empty((len(plan.owner), 3), np.float32), np.zeros(plan.count, np.float32)
        form = (weight, plan.owner, scale is not None, np.float32(scale or 0))
        ends = (plan.row_a, plan.row_b, index_a, index_b)
        edge_energies(a, b, *ends, *form, steps, out)
        difference = torch.from_numpy(steps)
        ctx.save_for_backward(difference)
        ctx.set_materialize_grads(False)
        ctx.ends, ctx.form, ctx.scale, ctx.shape = ends, form, scale, a.shape
        return torch.from_numpy(out), difference

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, through: Tensor | None) -> tuple[Tensor | None, ...]:
        from apu_losses.geometry.cpu.energies import edge_energies_gradient

        wanted = ctx.needs_input_grad[:2]
        (difference,) = ctx.saved_tensors
        known = () if gradient is None else (gradient,)
        if through is not None or torch.is_grad_enabled() or not goes_the_short_way("cpu", *known):
            return (*_gradient_by_torch(ctx, difference, gradient, through), None, None, None)
        out = [np.zeros(ctx.shape if want else (0, 0, 0), np.float32) for want in wanted]
        if gradient is not None:
            slopes = gradient.contiguous().numpy()
            edge_energies_gradient(difference.numpy(), *ctx.ends, *ctx.form, slopes, *wanted, *out)
        grads = (torch.from_numpy(x) if want else None for x, want in zip(out, wanted, strict=True))
        return (*grads, None, None, None)


def _gradient_by_torch(
    ctx: Any, difference: Tensor, gradient: Tensor | None, through: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the same by torch's operations: where the gradient has a gradient, or stands for many."""
    row_a, row_b, index_a, index_b = (torch.from_numpy(x) for x in ctx.ends)
    weight, owner = (torch.from_numpy(x) for x in ctx.form[:2])
    valid = (index_a >= 0)[:, None]
    steps = torch.zeros_like(difference) if through is None else through
    if gradient is not None:
        slope = gradient.index_select(0, owner) * weight
        if ctx.scale is not None:
            slope = (
                slope * (ctx.scale / (ctx.scale + distance2(difference, torch.zeros_like(difference)))) ** 2
            )
        steps = steps + 2 * (slope[:, None] * difference)
    steps = torch.where(valid, steps, 0.0)
    batch, count, _ = ctx.shape
    zeros = steps.new_zeros(batch * count, 3)
    spread = (
        zeros.index_add(0, row * count + index.clamp(min=0), step).view(batch, count, 3)
        for row, index, step in ((row_a, index_a, steps), (row_b, index_b, -steps))
    )
    return next(spread), next(spread)

"""Which way the faces of a mesh look: whatever asks "inside" believes it, so it is looked at first.

A closed mesh whose faces look inwards has a negative volume and a winding number of -1 inside: nothing would
ever be inside it. That happens to vertices that were mirrored (a flip augmentation, a change of one axis
between OpenGL and OpenCV) and to faces whose corners are listed the other way round.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from apu_losses.geometry.topology import MeshTopology

REMEDY = (
    "mirrored vertices (a flip augmentation, or a change of one axis between OpenGL and OpenCV: rotate by "
    "180 degrees instead, y and z together) or faces listed the other way round (take faces[:, [2, 1, 0]])"
)
_SAMPLE = 512  # faces whose share of the volume tells its sign but for rare cases, which are then computed
_OPEN_SHARE = 0.1  # of an open mesh, whose volume is a matter of taste, only a clear sign is believed


def signed_volumes(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Volumes of meshes, negative where their faces look inwards, without gradient.

    Args:
        vertices: ``(N, V, 3)``.
        faces: ``(F, 3)``. An open mesh is closed by straight lines to the mean of its corners.

    Returns:
        The volumes ``(N,)``, and what they would be if no face's share were negative, ``(N,)``. Both in
        cubic units of the vertices, NaN for a mesh that is not finite.
    """
    with torch.no_grad():
        a, b, c = (vertices.detach()[:, corner] for corner in faces.unbind(1))
        middle = ((a + b + c) / 3).mean(1, keepdim=True)
        shares = ((a - middle) * torch.linalg.cross(b - middle, c - middle)).sum(2) / 6
        return shares.sum(1), shares.abs().sum(1)


def turned_edges(faces: Tensor, vertex_count: int) -> int:
    """How many edges between two faces both walk the same way: where some faces are turned over."""
    start, end = faces.flatten(), faces.roll(-1, 1).flatten()
    low, high = torch.minimum(start, end), torch.maximum(start, end)
    edge, count = torch.unique(low * vertex_count + high, return_inverse=True, return_counts=True)[1:]
    forward = torch.zeros_like(count).index_add(0, edge, (start < end).to(count))
    return int(((count == 2) & (forward != 1)).sum())


def check_outward(vertices: Tensor, topology: MeshTopology) -> None:
    """Refuse meshes whose faces look inwards, before anything asks what is inside them.

    On the CPU every call looks at a sample of the faces of every body. Elsewhere only the first call of a
    topology does, since to look means to wait for the device. Compiled and mapped code cannot look.

    Args:
        vertices: ``(N, V, 3)`` posed meshes.
        topology: of the meshes, on any device.

    Raises:
        ValueError: the mesh is closed and every body of the call is inside out.

    Warns:
        UserWarning: once for a topology, if some bodies are inside out, or some faces are turned over.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None or not len(vertices):
        return
    if type(vertices) not in (Tensor, torch.nn.Parameter) or vertices.device.type == "meta":
        return
    if torch._C._functorch.is_functorch_wrapped_tensor(vertices) or not len(topology.faces):
        return
    known = topology.looked_at
    if vertices.device.type != "cpu" and "outward" in known:
        return
    if "sample" not in known:
        step = max(1, len(topology.faces) // _SAMPLE)
        known["sample"] = topology.faces[topology.face_order[::step]]
        _say_if_turned(topology)
    total, _ = signed_volumes(vertices, known["sample"])
    suspects = torch.nonzero(total < 0)[:, 0]
    known["outward"] = not len(suspects)
    if not len(suspects):
        return
    volume, size = signed_volumes(vertices[suspects].double(), topology.faces)
    inward = volume < (0 if topology.closed else -_OPEN_SHARE * size)
    count = int(inward.sum())
    if not count:
        return
    finite = int(total.isfinite().sum())
    if topology.closed and count == finite:
        raise ValueError(
            f"vertices, faces must be closed meshes whose faces look outwards, got all {count} "
            f"inside out (the volume of the first is {float(volume[inward][0]):.4g}), so that nothing would "
            f"ever be inside them; the cause is {REMEDY}"
        )
    if "warned" not in known:
        known["warned"] = True
        warnings.warn(
            f"{count} of {finite} bodies are inside out: nothing counts as inside them, and they get no "
            f"penetration; the cause is {REMEDY}. Said once for a mesh",
            stacklevel=2,
        )


def _say_if_turned(topology: MeshTopology) -> None:
    turned = 0 if topology.closed else turned_edges(topology.faces, topology.vertex_count)
    if turned:
        warnings.warn(
            f"faces: {turned} edges between two faces are walked the same way by both, so some faces are "
            "turned over and what is inside is found wrong; make the orientation consistent (for example "
            "trimesh.repair.fix_normals)",
            stacklevel=3,
        )

"""The mesh of a loss, laid out for the search from the first body that the loss sees."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from apu_losses.geometry.topology import MeshTopology, sound_body, to_be_kept


class LazyTopology:
    """Holds a `MeshTopology` by the numbering of the vertices until a body shows which of them are near.

    Where vertices share a block decides the speed of a search (by a factor of 10 to 100) and never its
    answer. A plain object, so that a module that holds it does not change its own state in ``forward``; it
    copies and pickles. Compiled and mapped code, which cannot read a body, takes what is there.

    Args:
        topology: from the numbering, or from a template.
        final: a template decided it; nothing is laid out again.
    """

    def __init__(self, topology: MeshTopology, final: bool) -> None:
        self._topology = topology
        self._final = final
        self._moved: dict[torch.device, MeshTopology] = {}

    @classmethod
    def build(
        cls, faces: ArrayLike | Tensor, vertex_count: int, template: ArrayLike | Tensor | None
    ) -> LazyTopology:
        """Arguments and errors as of `MeshTopology.build`."""
        return cls(MeshTopology.build(faces, vertex_count, template), template is not None)

    @property
    def topology(self) -> MeshTopology:
        """As it is known now, on the CPU."""
        return self._topology

    def of(self, vertices: Tensor) -> MeshTopology:
        """Return the topology for bodies ``(N, V, 3)``, on their device."""
        if not self._final and not torch.compiler.is_compiling():
            self._look_at(vertices)
        device = vertices.device
        if device == self._topology.faces.device:
            return self._topology
        if torch.compiler.is_compiling() and device not in self._moved:
            return self._topology.to(device)
        if device not in self._moved:
            with to_be_kept():
                self._moved[device] = self._topology.to(device)
        return self._moved[device]

    def __getstate__(self) -> dict[str, Any]:
        """Without the copies on devices, which the reader of a pickle may not have."""
        return {**self.__dict__, "_moved": {}}

    def _look_at(self, vertices: Tensor) -> None:
        count = self._topology.vertex_count
        if vertices.shape[-2:] != (count, 3):
            return  # the loss says what is wrong with them
        with to_be_kept():
            template = sound_body(vertices)
            if template is None:
                return
            self._topology = MeshTopology.build(self._topology.faces, count, template)
            self._moved = {}
            self._final = True

"""What a term sees of a fit: the current bodies, and what several terms share, computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from apu_losses.bodies.protocol import BodyModel, PosedBody
from apu_losses.fitting.objective.batch import HANDS, SKELETON, SceneBatch
from apu_losses.geometry import MeshTopology, RegionIndex

T = TypeVar("T")


class FitState:
    """The bodies of a batch at one moment of the fit.

    Everything is computed when first asked for and kept, so terms may ask freely. N people, S scenes.

    Attributes:
        body: the body model.
        regions: its 75 regions, laid out for the geometry operators.
        topology: its faces, laid out for the geometry operators.
        batch: scenes as tensors.
        params: body parameters ``(N, size)`` by name; the free ones carry gradients.
        start: the parameters that the fit started from (after retargeting).
        reference: the parameters that the current stage started from.

    Example:
        >>> from dataclasses import replace
        >>> from apu_losses import SceneFitter, load_preset
        >>> from apu_losses.app.demo import demo_scene
        >>> preset = load_preset("no_contact")
        >>> short = replace(preset, stages=(replace(preset.stages[0], max_iterations=1),))
        >>> shapes = []
        >>> def see(progress):  # a callback sees the live state, as terms do
        ...     shapes.append(tuple(progress.state.joints.shape))
        >>> _ = SceneFitter(preset=short).fit([demo_scene()], callback=see)
        >>> shapes
        [(2, 55, 3)]
    """

    def __init__(
        self,
        body: BodyModel,
        regions: RegionIndex,
        topology: MeshTopology,
        batch: SceneBatch,
        params: Mapping[str, Tensor],
        start: Mapping[str, Tensor],
        reference: Mapping[str, Tensor],
    ) -> None:
        self.body = body
        self.regions = regions
        self.topology = topology
        self.batch = batch
        self.params = params
        self.start = start
        self.reference = reference
        self._found: dict[object, object] = {}

    @cached_property
    def posed(self) -> PosedBody:
        """The posed bodies, with gradient to the free parameters."""
        return self.body.pose(self.params)

    @cached_property
    def joints(self) -> Tensor:
        """``(N, J, 3)`` joints in metres, camera frame."""
        return self.posed.joints

    @cached_property
    def keypoints3d(self) -> Tensor:
        """``(N, 25, 3)`` BODY_25 keypoints on the body, metres."""
        return self.body.keypoints(self.posed, SKELETON)

    @cached_property
    def keypoints2d(self) -> Tensor:
        """``(N, 25, 2)`` the same, projected, pixels."""
        return self.batch.camera.project(self.keypoints3d)

    @cached_property
    def hands3d(self) -> Tensor:
        """``(N, 42, 3)`` keypoints of the left and the right hand on the body, metres."""
        return self.body.keypoints(self.posed, HANDS)

    @cached_property
    def hands2d(self) -> Tensor:
        """``(N, 42, 2)`` the same, projected, pixels."""
        return self.batch.camera.project(self.hands3d)

    @cached_property
    def vertices(self) -> Tensor:
        """``(N, V, 3)`` all vertices in metres, *without* gradient: for searches.

        For a gradient ask `select` for the few vertices that the search found.
        """
        posed = self.posed  # posed here, with gradient: what is kept must not be made without
        with torch.no_grad():
            return posed.vertices()

    @cached_property
    def stature(self) -> Tensor:
        """``(N,)`` height of the bodies at rest, metres."""
        return self.body.stature(self.params)

    def select(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """Skin only the vertices that a term chose, with gradient.

        Args:
            rows: ``(K,)`` people.
            vertex_ids: ``(K,)``

        Returns:
            ``(K, 3)`` metres.
        """
        return self.posed.select(rows, vertex_ids)

    def once(self, key: Hashable, find: Callable[[], T]) -> T:
        """Return what ``find()`` returned the first time that it was asked for under this key: for
        searches.
        """
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]  # type: ignore[return-value]

    def per_scene(self, per_person: Tensor) -> Tensor:
        """``(N,)`` one value a person -> ``(S,)`` sums over each scene's people."""
        return self.batch.per_scene(per_person)

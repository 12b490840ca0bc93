"""The terms that a preset can name: the losses of `apu_losses.functional`, wired to the state of a fit.

Each is a small frozen dataclass of options with ``__call__(state) -> (S,)``. Names and options are what a
preset's ``terms`` hold; `BUILT_IN` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from apu_losses.fitting.stage import Preset
from apu_losses.fitting.state import FitState
from apu_losses.fitting.term import Term
from apu_losses.functional.contact import ContactForm, Mode, contact_energy, select_contacts
from apu_losses.functional.contact_edges import Over
from apu_losses.functional.penetration import (
    Energy,
    Target,
    penetration_energy,
    select_penetrations,
    target_points,
)
from apu_losses.functional.pose_prior import (
    BODY_JOINTS,
    Metric,
    anatomical_pose_prior,
    initial_pose_prior,
    load_pose_mixture,
    mixture_pose_prior,
)
from apu_losses.functional.reprojection import keypoint_reprojection
from apu_losses.functional.rotations import rotation_difference
from apu_losses.functional.shape_prior import shape_change_prior, shape_prior, stature_prior


@dataclass(frozen=True)
class KeypointTerm:
    """Projected joints lie on the detected keypoints; square pixels at 512 scale, confidence-weighted.

    Options: ``confidence_power``, ``confidence_threshold``, ``robust`` (pixels), see
    `apu_losses.functional.reprojection.keypoint_reprojection`.
    """

    confidence_power: float = 1.0
    confidence_threshold: float = 0.0
    robust: float | None = None

    def __call__(self, state: FitState) -> Tensor:
        batch = state.batch
        per_person = keypoint_reprojection(
            state.keypoints2d,
            batch.target_keypoints,
            batch.target_confidence,
            batch.scale,
            confidence_power=self.confidence_power,
            confidence_threshold=self.confidence_threshold,
            robust=self.robust,
        )
        return state.per_scene(per_person)


@dataclass(frozen=True)
class ContactTerm:
    """The soft contact loss (paper section 3.1) over the scene's contact graph, square metres.

    Options: ``over`` (``"pairs"``, ``"parts"``), ``mode``, ``robust`` (metres), ``soft`` (square metres), see
    `apu_losses.functional.contact.ContactForm`. Whether a person order is open stands in each `SceneContact`.
    """

    over: Over = "pairs"
    mode: Mode = "min"
    robust: float | None = None
    soft: float | None = None

    def __call__(self, state: FitState) -> Tensor:
        batch = state.batch
        edges = batch.contact_edges(self.over, one_search_a_pair=self.soft is not None)
        if not len(edges):
            return state.vertices.new_zeros(batch.size)
        form = ContactForm(self.mode, self.robust, self.soft)
        chosen = select_contacts(state.vertices, edges, state.regions, form)
        points = state.select(
            torch.cat([chosen.row_a, chosen.row_b]), torch.cat([chosen.vertex_a, chosen.vertex_b])
        )
        energy = contact_energy(points[: len(chosen)], points[len(chosen) :], chosen)
        return batch.per_scene(energy, batch.edge_scene)


@dataclass(frozen=True)
class PenetrationTerm:
    """Vertices of one person inside another are pushed to its surface; square metres (or BUDDI's quartic).

    Every two people of a scene whose boxes overlap are tested. Options: ``target``, ``energy``, see
    `apu_losses.functional.penetration`.
    """

    target: Target = "surface"
    energy: Energy = "l2"

    def __call__(self, state: FitState) -> Tensor:
        batch = state.batch
        if not len(batch.pair_a):
            return state.vertices.new_zeros(batch.size)
        found = select_penetrations(
            state.vertices, state.topology, batch.pair_a, batch.pair_b, target=self.target
        )
        width = found.target_vertices.shape[1]
        rows = torch.cat([found.row, found.target_row.repeat_interleave(width)])
        ids = torch.cat([found.vertex, found.target_vertices.flatten()])
        points = state.select(rows, ids)
        corners = (
            points[len(found) :].unflatten(0, (-1, width)) if len(found) else points.new_zeros(0, width, 3)
        )
        energy = penetration_energy(
            points[: len(found)], target_points(corners, found), found, energy=self.energy
        )
        return batch.per_scene(energy, batch.pair_scene)


@dataclass(frozen=True)
class PosePriorTerm:
    """How unlikely a pose is: SMPLify's mixture from your ``gmm_08.pkl``, or joint limits that need no file.

    Options: ``mixture``, path of the mixture; by default the free prior
    `apu_losses.functional.pose_prior.anatomical_pose_prior`.
    """

    mixture: str | None = None

    def __post_init__(self) -> None:
        loaded = None if self.mixture is None else load_pose_mixture(self.mixture)
        object.__setattr__(self, "_loaded", loaded)

    def __call__(self, state: FitState) -> Tensor:
        pose = state.params["body_pose"]
        loaded = self._loaded  # type: ignore[attr-defined]
        return state.per_scene(
            anatomical_pose_prior(pose) if loaded is None else mixture_pose_prior(pose, loaded)
        )


@dataclass(frozen=True)
class InitialPoseTerm:
    """The pose stays near the reference of the stage, square radians.

    Options: ``spine`` and ``collars``, factors on these joints (detectors see nothing of them, and contact
    that bends the spine buys itself a broken body); ``metric``: ``"axis_angle"`` as BUDDI, or ``"geodesic"``.
    """

    spine: float = 1.0
    collars: float = 1.0
    metric: Metric = "axis_angle"

    def __call__(self, state: FitState) -> Tensor:
        pose, reference = state.params["body_pose"], state.reference["body_pose"]
        factors = {"spine": self.spine, "collar": self.collars}
        weights = [next((f for key, f in factors.items() if key in name), 1.0) for name in BODY_JOINTS]
        return state.per_scene(
            initial_pose_prior(pose, reference, metric=self.metric, joint_weights=pose.new_tensor(weights))
        )


@dataclass(frozen=True)
class ShapeTerm:
    """Shape coefficients stay small (paper: sum of squares), or near the start of the fit.

    Options: ``around``: ``"zero"`` or ``"start"``; ``first``: factor on the first coefficient, mostly
    stature; 0 leaves it to the stature term.
    """

    around: str = "zero"
    first: float = 1.0

    def __post_init__(self) -> None:
        if self.around not in ("zero", "start"):
            raise ValueError(f"around must be 'zero' or 'start', got {self.around!r}")

    def __call__(self, state: FitState) -> Tensor:
        betas = state.params["betas"]
        if self.around == "zero" and self.first == 1.0:
            return state.per_scene(shape_prior(betas))
        anchor = torch.zeros_like(betas) if self.around == "zero" else state.start["betas"]
        weights = torch.ones_like(betas[0])
        weights[0] = self.first
        return state.per_scene(shape_change_prior(betas, anchor, weights=weights))


@dataclass(frozen=True)
class StatureTerm:
    """Standing height stays near the start's, square centimetres.

    A unit of the first shape coefficient may be 6 or 30 cm of stature, depending on the body; penalised by
    coefficient, contact shrinks people towards the camera.
    """

    def __call__(self, state: FitState) -> Tensor:
        with torch.no_grad():
            start = state.body.stature(state.start)
        return state.per_scene(stature_prior(state.stature, start))


@dataclass(frozen=True)
class OrientationTerm:
    """The global orientation stays near the start's, square radians of the angle between them."""

    def __call__(self, state: FitState) -> Tensor:
        turned = rotation_difference(state.params["global_orient"], state.start["global_orient"])
        return state.per_scene(turned.square().sum((1, 2)))


@dataclass(frozen=True)
class AgeTerm:
    """Age stays near the start's and inside [0, 1]; squares of its unit."""

    outside: float = 100.0

    def __call__(self, state: FitState) -> Tensor:
        age = state.params["age"]
        beyond = torch.relu(-age) + torch.relu(age - 1)
        return state.per_scene(((age - state.start["age"]).square() + self.outside * beyond.square()).sum(1))


BUILT_IN: dict[str, type] = {
    "keypoints": KeypointTerm,
    "contact": ContactTerm,
    "penetration": PenetrationTerm,
    "pose_prior": PosePriorTerm,
    "initial_pose": InitialPoseTerm,
    "shape": ShapeTerm,
    "stature": StatureTerm,
    "orientation": OrientationTerm,
    "age": AgeTerm,
}


def build_terms(preset: Preset, extra: Mapping[str, Term]) -> dict[str, Term]:
    """The terms of a preset and the caller's own, by name.

    Raises:
        ValueError: a term or option that does not exist, or a stage that weighs a term nobody defines.
    """
    terms: dict[str, Term] = {}
    for name, options in preset.terms.items():
        if name not in BUILT_IN:
            raise ValueError(f"preset {preset.name!r} names the term {name!r}; there is {sorted(BUILT_IN)}")
        known = {field.name for field in fields(BUILT_IN[name])}
        unknown = sorted(set(options) - known)
        if unknown:
            raise ValueError(
                f"preset {preset.name!r}: the term {name!r} has no option {unknown}; it has {sorted(known)}"
            )
        terms[name] = BUILT_IN[name](**options)
    terms.update(extra)
    for stage in preset.stages:
        missing = sorted(set(stage.weights) - set(terms))
        if missing:
            raise ValueError(
                f"stage {stage.name!r} of preset {preset.name!r} weighs {missing}, which no term defines; "
                f"there is {sorted(terms)}. Pass your own as SceneFitter(terms={{name: function}})"
            )
    return terms

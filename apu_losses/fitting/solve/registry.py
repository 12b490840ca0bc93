"""The terms that a preset can name, and how a preset's options become terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from apu_contacts.sources.errors import SourceError
from apu_losses.fitting.objective.term import Term
from apu_losses.fitting.objective.terms.contact import ContactTerm, FacingTerm, MinimumDistanceTerm
from apu_losses.fitting.objective.terms.depth import KeypointDepthTerm
from apu_losses.fitting.objective.terms.feet import FootLockTerm
from apu_losses.fitting.objective.terms.hands import FingerLimitsTerm, GripTerm
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
from apu_losses.fitting.solve.group import weighted_terms
from apu_losses.fitting.solve.stage import Preset

BUILT_IN: dict[str, type] = {
    "keypoints": KeypointTerm,
    "contact": ContactTerm,
    "facing": FacingTerm,
    "minimum_distance": MinimumDistanceTerm,
    "penetration": PenetrationTerm,
    "self_penetration": SelfPenetrationTerm,
    "pose_prior": PosePriorTerm,
    "initial_pose": InitialPoseTerm,
    "initial_place": InitialPlaceTerm,
    "hand_pose": HandPoseTerm,
    "grip": GripTerm,
    "finger_limits": FingerLimitsTerm,
    "shape": ShapeTerm,
    "stature": StatureTerm,
    "orientation": OrientationTerm,
    "age": AgeTerm,
    "ground": GroundTerm,
    "depth_order": DepthOrderTerm,
    "keypoint_depth": KeypointDepthTerm,
    "smoothness": SmoothnessTerm,
    "foot_lock": FootLockTerm,
    "prior": PriorTerm,
    "prior_vertices": PriorVertexTerm,
}


def build_terms(preset: Preset, extra: Mapping[str, Term]) -> dict[str, Term]:
    """Return the terms of a preset and the caller's own, by name.

    A built-in term that a stage weighs and ``preset.terms`` does not list has its default options.

    Raises:
        ValueError: a term or option that does not exist, a value that an option cannot have, a stage that
            weighs a term nobody defines, or a term of the caller's that no stage weighs.
    """
    terms: dict[str, Term] = {}
    for name, options in preset.terms.items():
        if name not in BUILT_IN:
            raise ValueError(f"preset {preset.name!r} names the term {name!r}; there is {sorted(BUILT_IN)}")
        known = {field.name for field in fields(BUILT_IN[name]) if field.init}
        unknown = sorted(set(options) - known)
        if unknown:
            raise ValueError(
                f"preset {preset.name!r}: the term {name!r} has no option {unknown}; it has {sorted(known)}"
            )
        try:
            terms[name] = BUILT_IN[name](**options)
        except SourceError:
            raise  # of the file that an option names
        except ValueError as error:
            raise ValueError(f"preset {preset.name!r}: the term {name!r}: {error}") from None
    weighed = {name for stage in preset.stages for name in stage.weights}
    terms |= {name: term() for name, term in BUILT_IN.items() if name in weighed - set(terms)}
    idle = sorted(set(extra) - weighed)
    if idle:
        raise ValueError(
            f"terms {idle} have no weight in any stage of preset {preset.name!r}, so nothing would come of "
            f"them; give them one: preset.weighted({idle[0]}=1.0)"
        )
    terms.update(extra)
    for stage in preset.stages:
        missing = sorted(set(stage.weights) - set(terms))
        if missing:
            raise ValueError(
                f"stage {stage.name!r} of preset {preset.name!r} weighs {missing}, which no term defines; "
                f"there is {sorted(terms)}. Pass your own as SceneFitter(terms={{name: function}})"
            )
        unknown = sorted(set(stage.options) - set(terms) - set(BUILT_IN))
        if unknown:
            raise ValueError(
                f"stage {stage.name!r} of preset {preset.name!r} has options of {unknown}, which no term "
                f"defines; there is {sorted(terms)}"
            )
        weighted_terms(stage, terms)  # raises for options that a term does not have
    return terms


def with_all_options(preset: Preset, terms: Mapping[str, Term]) -> Preset:
    """Return the preset as a result records it: with every option of the built-in ``terms``, defaults too."""
    options = {
        name: {field.name: getattr(term, field.name) for field in fields(BUILT_IN[name]) if field.init}
        for name, term in terms.items()
        if type(term) is BUILT_IN.get(name)
    }
    return replace(preset, terms={**preset.terms, **options})

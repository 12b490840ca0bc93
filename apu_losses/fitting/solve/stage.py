"""A stage of a fit, as data: which parameters move, which terms pull how hard, and when it ends."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from pathlib import Path

from apu_contacts.files import write_text
from apu_losses.fitting.body_parameters import BODY_PARAMETERS, HAND_POSES

SHAPE_PARAMETERS = frozenset({"betas", "phenotypes", "age"})
"""The parameters that say how somebody is built."""
_PLACES = frozenset({"global_orient", "transl"})
OPTIMIZERS = ("adam", "levenberg_marquardt")


def _is_number(value: object) -> bool:
    """Whether this is a finite number that is not negative."""
    return isinstance(value, Real) and 0 <= value < float("inf")  # type: ignore[operator]


@dataclass(frozen=True)
class Stage:
    """One stage.

    Args:
        name: how results call it.
        weights: weight of each term by name; a term that is not named here is off and is not computed.
        free: names of the body parameters that move; the others stay where the stage found them.
        learning_rate: Adam's step size; 0 for Levenberg-Marquardt, which finds its own.
        max_iterations: hard limit; an iteration is one evaluation of the loss.
        window: a scene has converged when the slope of its loss over this many iterations (Adam; for
            Levenberg-Marquardt: what one step that was taken gains), ...
        relative_slope: ... per iteration and divided by the loss, falls below this.
        absolute_slope: ... or in absolute value falls below this (BUDDI: 1e-4). ``None`` turns a rule off.
        free_where_seen: ``left_hand_pose`` and ``right_hand_pose``, if they are to move for people whose hand
            keypoints were detected, and for nobody else.
        reference: what the terms that hold on to a pose hold on to: ``"start"`` of the fit or the start of
            this ``"stage"``.
        optimizer: ``"adam"`` or ``"levenberg_marquardt"``, whose steps cost several times as much and go much
            further; it takes only steps that lower a scene's loss.
        damping: of Levenberg-Marquardt where the stage starts, as a share of the curvature. Every evaluation
            that lowers the loss divides it by 5, the first one, before the first step, too; one that does not
            multiplies it by 4.
        options: options of terms that this stage has otherwise than the preset, by the term's name:
            ``{"contact": {"soft": 0.01}}``.

    Example:
        >>> from apu_losses import Preset, Stage
        >>> stage = Stage("short", {"keypoints": 0.02, "contact": 1e4}, ("body_pose", "transl"), 0.03, 10)
        >>> Preset("mine", {"keypoints": {}, "contact": {}}, (stage,)).stages[0].max_iterations
        10
    """

    name: str
    weights: Mapping[str, float]
    free: tuple[str, ...]
    learning_rate: float
    max_iterations: int
    window: int = 20
    relative_slope: float | None = 1e-4
    absolute_slope: float | None = None
    reference: str = "start"
    free_where_seen: tuple[str, ...] = ()
    optimizer: str = "adam"
    damping: float = 1e-2
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("free", "free_where_seen"):
            names = getattr(self, name)
            if isinstance(names, str):
                raise ValueError(f"stage {self.name!r}: {name} must be a list of names, got {names!r}")
            object.__setattr__(self, name, tuple(names))
        object.__setattr__(self, "weights", dict(self.weights))
        object.__setattr__(self, "options", {name: dict(own) for name, own in self.options.items()})
        if self.reference not in ("start", "stage"):
            raise ValueError(
                f"stage {self.name!r}: reference must be 'start' or 'stage', got {self.reference!r}"
            )
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"stage {self.name!r}: optimizer must be one of {OPTIMIZERS}, got {self.optimizer!r}"
            )
        self._check_numbers()
        unseen = [name for name in self.free_where_seen if name not in HAND_POSES or name in self.free]
        if unseen:
            raise ValueError(
                f"stage {self.name!r}: free_where_seen may name {', '.join(HAND_POSES)}, where they are not "
                f"free for everybody; got {unseen}"
            )
        if not self.free:
            raise ValueError(f"stage {self.name!r}: free names no parameter, so nothing could move")
        if len(set(self.free)) < len(self.free):
            raise ValueError(f"stage {self.name!r}: free names a parameter twice: {list(self.free)}")

    def _check_numbers(self) -> None:
        counts = self.max_iterations, self.window
        if not all(isinstance(count, Integral) for count in counts) or counts[0] < 0 or counts[1] < 3:
            raise ValueError(
                f"stage {self.name!r}: max_iterations must be >= 0 and window >= 3, whole numbers, "
                f"got {counts[0]!r} and {counts[1]!r}"
            )
        if not _is_number(self.damping) or self.damping == 0:
            raise ValueError(f"stage {self.name!r}: damping must be positive, got {self.damping!r}")
        numbers = {"learning_rate": self.learning_rate}
        numbers |= {f"weights[{name!r}]": weight for name, weight in self.weights.items()}
        slopes = {"relative_slope": self.relative_slope, "absolute_slope": self.absolute_slope}
        numbers |= {name: slope for name, slope in slopes.items() if slope is not None}
        bad = {name: value for name, value in numbers.items() if not _is_number(value)}
        if bad:
            raise ValueError(f"stage {self.name!r}: numbers must be finite and not negative, got {bad}")


@dataclass(frozen=True)
class Preset:
    """A whole preset as data: options of each term, and the stages.

    Args:
        name: how results call it.
        terms: options of a built-in term (`apu_losses.fitting.solve.registry.BUILT_IN`) by name; ``{}`` for
            its defaults, which a term that a stage weighs also has if it does not stand here.
        stages: run one after the other.
        filter_pixels: verdict of the filter: mean keypoint distance allowed, pixels at 512 scale.
        hypotheses: at most so many starts of a scene are fitted to the end, and the better end is kept: the
            given one, and those with who is in front exchanged or an arm or a leg mirrored in depth, which
            make the same picture. 1: the given one only. `FitResult.depth` has what was tried.
        description: one or two sentences for people.

    Example:
        >>> from apu_losses import load_preset
        >>> mine = load_preset("paper").weighted(contact=5e3).without("shape")
        >>> mine = mine.with_options("contact", over="parts")
        >>> mine.terms["contact"], mine.stages[0].weights["contact"], "shape" in mine.stages[0].weights
        ({'over': 'parts'}, 5000.0, False)
    """

    name: str
    terms: Mapping[str, Mapping[str, object]]
    stages: tuple[Stage, ...]
    filter_pixels: float = 20.0
    description: str = field(default="", compare=False)
    hypotheses: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.hypotheses, Integral) or self.hypotheses < 1:
            raise ValueError(
                f"preset {self.name!r}: hypotheses must be a whole number from 1, got {self.hypotheses!r}"
            )
        object.__setattr__(self, "stages", tuple(self.stages))
        object.__setattr__(self, "terms", {name: dict(options) for name, options in self.terms.items()})
        if not isinstance(self.filter_pixels, Real) or not self.filter_pixels > 0:
            raise ValueError(
                f"preset {self.name!r}: filter_pixels must be a positive number, got {self.filter_pixels!r}"
            )
        names = [stage.name for stage in self.stages]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"preset {self.name!r} has two stages of the same name: {twice}; results name them"
            )

    def without(self, *terms: str) -> Preset:
        """Return the same preset with these terms left out of every stage."""
        self._check_names(terms)
        return self._changed(
            f"{self.name} without {', '.join(terms)}",
            {name: options for name, options in self.terms.items() if name not in terms},
            [{name: w for name, w in stage.weights.items() if name not in terms} for stage in self.stages],
        )

    def weighted(self, **weights: float) -> Preset:
        """Return the same preset with these weights in every stage, also of terms that a stage lacks."""
        return self._changed(self.name, self.terms, [{**stage.weights, **weights} for stage in self.stages])

    def with_options(self, term: str, **options: object) -> Preset:
        """Return the same preset with options of one term changed."""
        self._check_names([term])
        terms = {**self.terms, term: {**self.terms.get(term, {}), **options}}
        return self._changed(self.name, terms, [stage.weights for stage in self.stages])

    def freed(self, *parameters: str) -> Preset:
        """Return the same preset in which these body parameters move, too: ``freed("age")``.

        A stage that places people as wholes stays so: pose, shape and hands move where a pose does already,
        and shape and age only where a shape does, if there is such a stage, since where shapes are held
        bodies would get smaller to come apart. A preset that moves neither frees them in every stage.

        Raises:
            ValueError: a name that is no parameter of any body. One that only a body of your own has is freed
                in a `Stage`; after that it is known here, too.
        """
        known = BODY_PARAMETERS.union(*((*stage.free, *stage.free_where_seen) for stage in self.stages))
        strange = [name for name in parameters if not isinstance(name, str) or name not in known]
        if strange:
            raise ValueError(
                f"preset {self.name!r}: parameters must be names of body parameters, got {strange}; known: "
                f"{sorted(known)}. A parameter that only a body of your own has is freed in "
                "Stage(free=(..., name))"
            )

        def takes(stage: Stage, name: str) -> bool:
            beside = [] if name in _PLACES else [frozenset({"body_pose"})]
            for kind in [SHAPE_PARAMETERS, *beside] if name in SHAPE_PARAMETERS else beside:
                if any(kind & set(other.free) for other in self.stages):
                    return bool(kind & set(stage.free))
            return True

        stages = []
        for stage in self.stages:
            new = [name for name in parameters if name not in stage.free and takes(stage, name)]
            seen = tuple(name for name in stage.free_where_seen if name not in new)
            stages.append(replace(stage, free=(*stage.free, *new), free_where_seen=seen))
        return replace(self, stages=tuple(stages))

    def held(self, *parameters: str) -> Preset:
        """Return the same preset in which these body parameters stay as they start.

        Raises:
            ValueError: a parameter that moves in no stage, or a stage in which nothing is left to move.
        """
        moving = {name for stage in self.stages for name in (*stage.free, *stage.free_where_seen)}
        still = sorted(set(parameters) - moving)
        if still:
            raise ValueError(
                f"preset {self.name!r}: {still} move in no stage; what moves is {sorted(moving)}"
            )
        stages = []
        for stage in self.stages:
            free, seen = (
                tuple(name for name in names if name not in parameters)
                for names in (stage.free, stage.free_where_seen)
            )
            stages.append(replace(stage, free=free, free_where_seen=seen))
        return replace(self, stages=tuple(stages))

    def for_parameters(self, known: Collection[str]) -> tuple[Preset, tuple[str, ...]]:
        """Return the same preset for a body with these parameters, and what had to be left out, in words.

        A parameter that other bodies have and this one lacks (SMPL's hands, a posed mesh's shape) is left out
        of what moves; Anny's ``phenotypes`` stand in for ``betas``.

        Raises:
            ValueError: a name that no body has, or a stage in which nothing is left to move.
        """
        stages, missing = [], set()
        for stage in self.stages:
            swapped = ["phenotypes" if n == "betas" and "phenotypes" in known else n for n in stage.free]
            unknown = [name for name in swapped if name not in known and name not in BODY_PARAMETERS]
            free = tuple(name for name in swapped if name in known)
            if unknown or not free:
                raise ValueError(
                    f"stage {stage.name!r}: the body has no parameter {unknown or list(stage.free)}; "
                    f"it has {sorted(known)}"
                )
            seen = tuple(name for name in stage.free_where_seen if name in known)
            missing |= set(swapped) - set(free)
            missing |= set(stage.free_where_seen) - set(seen)
            stages.append(replace(stage, free=free, free_where_seen=seen))
        notes = tuple(
            f"the body has no parameter {name!r}, which the preset moves" for name in sorted(missing)
        )
        return replace(self, stages=tuple(stages)), notes

    def to_dict(self) -> dict[str, object]:
        """Plain dictionaries and lists, ready for JSON."""
        from dataclasses import asdict

        return {
            "name": self.name,
            "description": self.description,
            "filter_pixels": self.filter_pixels,
            "hypotheses": self.hypotheses,
            "terms": {name: dict(options) for name, options in self.terms.items()},
            "stages": [
                {**asdict(stage), "free": list(stage.free), "free_where_seen": list(stage.free_where_seen)}
                for stage in self.stages
            ],
        }

    def save(self, path: str | Path) -> None:
        """Write the preset as JSON, which ``load_preset(path)`` and ``apu fit --preset PATH`` read."""
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Preset:
        """Return the inverse of `to_dict`.

        Raises:
            ValueError: a key that a preset or a stage does not have, or one that is missing.
        """
        try:
            stages = tuple(Stage(**stage) for stage in data["stages"])  # type: ignore[attr-defined]
            rest = {key: value for key, value in data.items() if key != "stages"}
            return cls(stages=stages, **rest)  # type: ignore[arg-type]
        except KeyError as error:
            raise ValueError(f"not a preset: the key {error} is missing") from None
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not a preset: {error}") from None

    def _check_names(self, names: Iterable[str]) -> None:
        known = {*self.terms, *(name for stage in self.stages for name in stage.weights)}
        for name in names:
            if name not in known:
                raise ValueError(
                    f"preset {self.name!r} has no term {name!r}; it has {sorted(known)}, and "
                    "preset.weighted(name=weight) adds one"
                )

    def _changed(
        self, name: str, terms: Mapping[str, Mapping[str, object]], weights: list[Mapping[str, float]]
    ) -> Preset:
        stages = tuple(replace(stage, weights=w) for stage, w in zip(self.stages, weights, strict=True))
        return replace(self, name=name, terms=terms, stages=stages)

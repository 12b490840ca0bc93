"""The dials of simulated detections: camera, keypoint detector, estimator of initial bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from apu_losses.synthetic.dials import check_shares, dial

_ESTIMATOR = (
    "pose", "pose_shrink", "orientation", "shape", "shape_shrink", "age", "shared_depth", "own_depth",
    "lateral", "skeleton",
)  # fmt: skip

ESTIMATORS: Mapping[int, float] = {130: 1.0, 80: 0.55, 60: 0.37, 40: 0.17}
"""Factors on the estimator's errors (`ObservationNoise.estimated`) by the joint PA-MPJPE of two people that
comes out, in mm; chosen on 96 scenes of the development types, where 1, 0.6, 0.5, 0.4, 0.3 and 0.2 gave 135,
86, 74, 63, 53 and 43. Published on Hi4D: BEV 136, Multi-HMR 81, PromptHMR 78 without that data set in its
training and 40 with it."""


@dataclass(frozen=True)
class ObservationNoise:
    """Every noise source of `observe`; a factor of 0 switches its source off. `describe` lists them.

    Pixels are those of a person scaled to 512 (the longer side of the keypoint box).

    Raises:
        ValueError: a share outside [0, 1], a negative size, or a field of view that is no range in degrees.
    """

    fov_low: float = dial(
        40.0, "assumed", "degrees; least field of view over the longer side; the fitter has 60"
    )
    fov_high: float = dial(72.0, "assumed", "degrees; greatest field of view")
    pitch: float = dial(0.08, "assumed", "radians; standard deviation of the camera's pitch around 0.05")
    cut_off: float = dial(0.15, "assumed", "share of pictures that cut the people's legs off")
    definition: float = dial(1.0, "assumed", "factor on the detector's own joint definitions (1 to 4 cm)")
    pixel: float = dial(1.0, "real", "factor on keypoint error, whose size falls with the confidence")
    heavy: float = dial(0.01, "real", "share of keypoints whose error is four times as large")
    occlusion: float = dial(1.0, "assumed", "share of hidden keypoints that the detector takes for hidden")
    dropped: float = dial(0.01, "real", "share of visible keypoints that are not detected")
    dropped_hidden: float = dial(0.1, "assumed", "share of hidden keypoints that are not detected")
    swapped: float = dial(0.04, "real", "share of people whose left and right legs, or arms, are exchanged")
    pose: float = dial(1.0, "real", "factor on the error of the estimated joint rotations (0.06 to 0.24 rad)")
    pose_shrink: float = dial(0.12, "assumed", "share by which estimated rotations fall short")
    orientation: float = dial(0.11, "assumed", "radians per axis; error of the estimated orientation")
    shape: float = dial(0.25, "assumed", "error of the estimated shape coefficients")
    shape_shrink: float = dial(0.5, "assumed", "share by which estimated shape coefficients fall short")
    age: float = dial(0.06, "real", "scale of the age that an adult is taken to have")
    shared_depth: float = dial(0.06, "assumed", "relative error of the depth of both people together")
    own_depth: float = dial(0.045, "real", "relative error of the depth of each person")
    lateral: float = dial(0.02, "real", "metres per axis; error of the place across the line of sight")
    skeleton: float = dial(1.0, "assumed", "factor on the estimator's own joint definitions (about 1.5 cm)")

    def __post_init__(self) -> None:
        check_shares(
            self,
            (
                "cut_off",
                "heavy",
                "occlusion",
                "dropped",
                "dropped_hidden",
                "swapped",
                "pose_shrink",
                "shape_shrink",
            ),
        )
        sizes = ("pitch", "definition", "pixel", "pose", "orientation", "shape", "age", "shared_depth")
        for name in (*sizes, "own_depth", "lateral", "skeleton"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be finite and at least 0, got {getattr(self, name)}")
        if not 10 <= self.fov_low <= self.fov_high < 170:
            raise ValueError(
                f"fov_low and fov_high must rise and lie in 10 to 170 degrees, got {self.fov_low} and "
                f"{self.fov_high}; radians?"
            )

    def estimated(self, factor: float) -> ObservationNoise:
        """Return the same camera and detector with every error of the estimator times ``factor``.

        `ESTIMATORS` has the factors of four levels of error. One factor for all is a simplification: what is
        published of estimators is their error as a whole, not how it falls on pose, shape and depth.

        Example:
            >>> ObservationNoise().estimated(0.5).pose_shrink
            0.06
        """
        return replace(self, **{name: factor * getattr(self, name) for name in _ESTIMATOR})

    @classmethod
    def none(cls) -> ObservationNoise:
        """Perfect detections with the fitter's field of view; people may still hide each other."""
        zero = {name: 0.0 for name in cls.__dataclass_fields__ if not name.startswith("fov")}
        return cls(60.0, 60.0, **zero)

"""A start from 2D keypoints alone: hypotheses, fitted together, and the depths of several people."""

from apu_losses.fitting.start.from_keypoints.found import KeypointStart, StartHypothesis
from apu_losses.fitting.start.from_keypoints.options import KeypointStartOptions
from apu_losses.fitting.start.from_keypoints.start import (
    start_from_keypoints,
    unstartable,
)

__all__ = ["KeypointStart", "KeypointStartOptions", "StartHypothesis", "start_from_keypoints", "unstartable"]

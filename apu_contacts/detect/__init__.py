"""An off-the-shelf keypoint detector for people who have only pictures (extra ``[pose]``)."""

from apu_contacts.detect.detector import DetectedPeople, KeypointDetector
from apu_contacts.detect.models import DETECTOR_NAMES, DetectorModels, named_models
from apu_contacts.detect.pictures import DetectSummary, detect_pictures, find_pictures
from apu_contacts.detect.weights import WeightsError, fetch_weights

__all__ = [
    "DETECTOR_NAMES",
    "DetectSummary",
    "DetectedPeople",
    "DetectorModels",
    "KeypointDetector",
    "WeightsError",
    "detect_pictures",
    "fetch_weights",
    "find_pictures",
    "named_models",
]

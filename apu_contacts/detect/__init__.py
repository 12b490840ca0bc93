"""Off-the-shelf keypoint detectors for people who have only pictures (``[pose]`` and ``[mediapipe]``)."""

from apu_contacts.detect.choice import DETECTORS, chosen_detector, open_detector
from apu_contacts.detect.detector import DetectedPeople, KeypointDetector
from apu_contacts.detect.mediapipe_pose import MediapipeDetector
from apu_contacts.detect.models import DETECTOR_NAMES, DetectorModels, named_models
from apu_contacts.detect.pictures import DetectSummary, detect_pictures, find_pictures
from apu_contacts.detect.weights import WeightsError, fetch_weights

__all__ = [
    "DETECTORS",
    "DETECTOR_NAMES",
    "DetectSummary",
    "DetectedPeople",
    "DetectorModels",
    "KeypointDetector",
    "MediapipeDetector",
    "WeightsError",
    "chosen_detector",
    "detect_pictures",
    "fetch_weights",
    "find_pictures",
    "named_models",
    "open_detector",
]

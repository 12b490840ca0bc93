"""Readers of other tools' files, and who is who across them."""

from apu_contacts.sources._model_pickle import read_model_pickle
from apu_contacts.sources._numpy_pickle import read_numpy_pickle
from apu_contacts.sources.assemble import Assembly, Unmatched, assemble
from apu_contacts.sources.bev import BEV_JOINTS, BevPerson, bev_focal, camera_residual, read_bev
from apu_contacts.sources.detection import InitialEstimate, PersonDetection
from apu_contacts.sources.errors import (
    NoPeopleError,
    SourceError,
    SourceFormatError,
    SourceMissingError,
    UnsafePickleError,
)
from apu_contacts.sources.flickrci3d import AnnotatedPair, FlickrImage, read_flickr_signatures
from apu_contacts.sources.matching import Match, Matching, keypoint_distances, match_boxes, match_people
from apu_contacts.sources.merge import merge_keypoints
from apu_contacts.sources.openpose import read_openpose
from apu_contacts.sources.vitpose import read_vitpose_body25

__all__ = [
    "BEV_JOINTS",
    "AnnotatedPair",
    "Assembly",
    "BevPerson",
    "FlickrImage",
    "InitialEstimate",
    "Match",
    "Matching",
    "NoPeopleError",
    "PersonDetection",
    "SourceError",
    "SourceFormatError",
    "SourceMissingError",
    "Unmatched",
    "UnsafePickleError",
    "assemble",
    "bev_focal",
    "camera_residual",
    "keypoint_distances",
    "match_boxes",
    "match_people",
    "merge_keypoints",
    "read_bev",
    "read_flickr_signatures",
    "read_model_pickle",
    "read_numpy_pickle",
    "read_openpose",
    "read_vitpose_body25",
]

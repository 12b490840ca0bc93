"""Who touches whom, and where: region maps, model answers, chirality, readers. Never imports torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from apu_contacts._version import __version__

if TYPE_CHECKING:
    from apu_contacts.answers import ANSWER_SCHEMA as ANSWER_SCHEMA
    from apu_contacts.answers import AnswerParseError as AnswerParseError
    from apu_contacts.answers import ContactAnswer as ContactAnswer
    from apu_contacts.answers import fuse_answers as fuse_answers
    from apu_contacts.answers import parse_answer as parse_answer
    from apu_contacts.contacts import ContactGroup as ContactGroup
    from apu_contacts.contacts import ContactMap as ContactMap
    from apu_contacts.contacts import PartContact as PartContact
    from apu_contacts.keypoints import SKELETONS as SKELETONS
    from apu_contacts.keypoints import Keypoints2D as Keypoints2D
    from apu_contacts.keypoints import convert as convert
    from apu_contacts.keypoints import part_keypoints as part_keypoints
    from apu_contacts.people import match_people as match_people
    from apu_contacts.people import merge_keypoints as merge_keypoints
    from apu_contacts.people.assembling import assemble as assemble
    from apu_contacts.people.candidates import propose_pairs as propose_pairs
    from apu_contacts.regions import PART_ALTERNATIVES as PART_ALTERNATIVES
    from apu_contacts.regions import PARTS as PARTS
    from apu_contacts.regions import REGIONS as REGIONS
    from apu_contacts.regions import Region as Region
    from apu_contacts.regions import RegionMap as RegionMap
    from apu_contacts.regions import explain as explain
    from apu_contacts.regions import part_regions as part_regions
    from apu_contacts.sides.chirality import DenoisedContact as DenoisedContact
    from apu_contacts.sides.chirality import PersonOrder as PersonOrder
    from apu_contacts.sides.chirality import denoise_chirality as denoise_chirality
    from apu_contacts.sides.chirality import person_order as person_order
    from apu_contacts.sources import ConventionError as ConventionError
    from apu_contacts.sources import InitialEstimate as InitialEstimate
    from apu_contacts.sources import PersonDetection as PersonDetection
    from apu_contacts.sources import SourceError as SourceError
    from apu_contacts.sources import keypoints_from_arrays as keypoints_from_arrays
    from apu_contacts.sources import read_amass as read_amass
    from apu_contacts.sources import read_bev as read_bev
    from apu_contacts.sources import read_buddi as read_buddi
    from apu_contacts.sources import read_camerahmr as read_camerahmr
    from apu_contacts.sources import read_coco_results as read_coco_results
    from apu_contacts.sources import read_flickr_signatures as read_flickr_signatures
    from apu_contacts.sources import read_hmr2 as read_hmr2
    from apu_contacts.sources import read_mmpose as read_mmpose
    from apu_contacts.sources import read_multihmr as read_multihmr
    from apu_contacts.sources import read_nlf as read_nlf
    from apu_contacts.sources import read_openpose as read_openpose
    from apu_contacts.sources import read_parameters as read_parameters
    from apu_contacts.sources import read_sam3d_body as read_sam3d_body
    from apu_contacts.sources import read_smplerx as read_smplerx
    from apu_contacts.sources import read_smplifyx as read_smplifyx
    from apu_contacts.sources import read_vitpose_body25 as read_vitpose_body25
    from apu_contacts.sources import write_openpose as write_openpose

# Public name -> the module that defines it; loaded on first use so that the import stays fast.
_EXPORTS: dict[str, str] = {
    "ANSWER_SCHEMA": "apu_contacts.answers",
    "AnswerParseError": "apu_contacts.answers",
    "ContactAnswer": "apu_contacts.answers",
    "ContactGroup": "apu_contacts.contacts",
    "ContactMap": "apu_contacts.contacts",
    "ConventionError": "apu_contacts.sources",
    "DenoisedContact": "apu_contacts.sides.chirality",
    "InitialEstimate": "apu_contacts.sources",
    "Keypoints2D": "apu_contacts.keypoints",
    "PARTS": "apu_contacts.regions",
    "PART_ALTERNATIVES": "apu_contacts.regions",
    "PartContact": "apu_contacts.contacts",
    "PersonDetection": "apu_contacts.sources",
    "PersonOrder": "apu_contacts.sides.chirality",
    "REGIONS": "apu_contacts.regions",
    "Region": "apu_contacts.regions",
    "RegionMap": "apu_contacts.regions",
    "SKELETONS": "apu_contacts.keypoints",
    "SourceError": "apu_contacts.sources",
    "assemble": "apu_contacts.people",
    "convert": "apu_contacts.keypoints",
    "denoise_chirality": "apu_contacts.sides.chirality",
    "explain": "apu_contacts.regions",
    "fuse_answers": "apu_contacts.answers",
    "keypoints_from_arrays": "apu_contacts.sources",
    "match_people": "apu_contacts.people",
    "merge_keypoints": "apu_contacts.people",
    "parse_answer": "apu_contacts.answers",
    "part_keypoints": "apu_contacts.keypoints",
    "part_regions": "apu_contacts.regions",
    "person_order": "apu_contacts.sides.chirality",
    "propose_pairs": "apu_contacts.people.candidates",
    "read_amass": "apu_contacts.sources",
    "read_bev": "apu_contacts.sources",
    "read_buddi": "apu_contacts.sources",
    "read_camerahmr": "apu_contacts.sources",
    "read_coco_results": "apu_contacts.sources",
    "read_flickr_signatures": "apu_contacts.sources",
    "read_hmr2": "apu_contacts.sources",
    "read_mmpose": "apu_contacts.sources",
    "read_multihmr": "apu_contacts.sources",
    "read_nlf": "apu_contacts.sources",
    "read_openpose": "apu_contacts.sources",
    "read_parameters": "apu_contacts.sources",
    "read_sam3d_body": "apu_contacts.sources",
    "read_smplerx": "apu_contacts.sources",
    "read_smplifyx": "apu_contacts.sources",
    "read_vitpose_body25": "apu_contacts.sources",
    "write_openpose": "apu_contacts.sources",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'apu_contacts' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

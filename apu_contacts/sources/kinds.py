"""Which tool wrote what a file holds: one table of readers, told apart by content and never by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts.sources.bev import read_bev
from apu_contacts.sources.flickrci3d import read_flickr_signatures
from apu_contacts.sources.hmr2 import read_camerahmr, read_hmr2
from apu_contacts.sources.human3r import read_human3r
from apu_contacts.sources.keypoint_files import read_coco_results, read_keypoint_arrays, read_mmpose
from apu_contacts.sources.mediapipe import read_mediapipe
from apu_contacts.sources.multihmr import read_multihmr
from apu_contacts.sources.nlf import read_nlf
from apu_contacts.sources.openpose import read_openpose
from apu_contacts.sources.parameters import read_buddi, read_parameters
from apu_contacts.sources.prompthmr import read_prompthmr
from apu_contacts.sources.sam3d import read_sam3d_body
from apu_contacts.sources.smplerx import read_smplerx
from apu_contacts.sources.smplifyx import read_smplifyx
from apu_contacts.sources.vertex_contacts import VERTEX_COUNTS, read_vertex_contacts
from apu_contacts.sources.video import (
    read_gvhmr,
    read_prompthmr_video,
    read_smpl_codec,
    read_tram,
    read_wham,
)
from apu_contacts.sources.vitpose import read_vitpose_body25

Size = Sequence[float]
_CAMERA = "each picture's camera: +X right, +Y down, +Z forward"
_METRES = "metres, radians"


@dataclass(frozen=True)
class SourceKind:
    """One kind of file.

    Args:
        name: short, as `apu propose` and ``--estimates`` call it, where they know it.
        title: the tool, and which of its files.
        recognise: whether a file's content is of this kind, by its keys and shapes.
        read: reads a path, given the picture's size where it is known; what comes is what the reader gives.
        reader: the reader's name in `apu_contacts.sources`.
        body: what body the parameters or meshes are of, before anything is looked at.
        frame, units, camera: in words.
        keys: what is read of it.
        use: the command to type; ``FILE`` stands for the file.
        needs_size: whether the picture's size is needed to read it.
    """

    name: str
    title: str
    recognise: Callable[[Any], bool]
    read: Callable[[Path, Size | None], Any]
    reader: str
    body: str
    frame: str
    units: str
    camera: str
    keys: tuple[str, ...]
    use: str
    needs_size: bool = False


_OPENPOSE = (
    "pose_keypoints_2d",
    "hand_left_keypoints_2d",
    "hand_right_keypoints_2d",
    "face_keypoints_2d",
)
_PROPOSE = 'apu propose IMAGES.jsonl -o scenes.jsonl, with "{}": "FILE" in the picture\'s line'
_KEYPOINTS = 'apu propose IMAGES.jsonl -o scenes.jsonl, with "{}": "FILE" in the picture\'s line'


def person_of(content: Any) -> Mapping[str, Any]:
    """Return the keys of one person: of a list's first, behind wrappers of one name; else nothing."""
    for _ in range(4):
        if isinstance(content, Mapping) and isinstance(content.get("instances"), list):
            content = content["instances"]
        if isinstance(content, Mapping) and len(content) == 1:
            (only,) = content.values()
            if isinstance(only, (Mapping, list)):
                content = only
                continue
        if isinstance(content, (list, tuple)) and content and isinstance(content[0], (Mapping, list)):
            content = content[0]
            continue
        break
    return content if isinstance(content, Mapping) else {}


def _size(value: Any) -> int:
    return int(np.size(value)) if not isinstance(value, (Mapping, str)) else 0


def _last(value: Any) -> tuple[int, ...]:
    return tuple(np.shape(value)) if not isinstance(value, (Mapping, str)) else ()


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda content: set(keys) <= set(person_of(content))


def _first_value(content: Any) -> Mapping[str, Any]:
    """Return the first of the values by identity."""
    if isinstance(content, Mapping):
        first = next(iter(content.values()), None)
        if isinstance(first, Mapping):
            return first
    return {}


def _is_openpose(content: Any) -> bool:
    people = content.get("people") if isinstance(content, Mapping) else None
    return isinstance(people, list) and (
        not people or (isinstance(people[0], Mapping) and "pose_keypoints_2d" in people[0])
    )


def _is_vitpose_body25(content: Any) -> bool:
    """OpenPose's layout whose necks and middle hips nobody has: a COCO detector's."""
    if not _is_openpose(content) or not content["people"]:
        return False
    flat = [person.get("pose_keypoints_2d") for person in content["people"]]
    return all(isinstance(f, list) and len(f) == 75 and not any(f[3:6]) and not any(f[24:27]) for f in flat)


def _is_flickr(content: Any) -> bool:
    return {"bbxes", "ci_sign"} <= set(_first_value(content))


def _is_coco(content: Any) -> bool:
    return (
        isinstance(content, list)
        and bool(content)
        and isinstance(content[0], Mapping)
        and {"image_id", "keypoints"} <= set(content[0])
    )


def _is_mmpose(content: Any) -> bool:
    if isinstance(content, Mapping) and ("instance_info" in content or "predictions" in content):
        return True
    person = person_of(content)
    return "keypoints" in person and not isinstance(content, Mapping)


def _is_keypoint_arrays(content: Any) -> bool:
    if isinstance(content, Mapping):
        return _last(content.get("keypoints"))[2:] in ((2,), (3,))
    return isinstance(content, np.ndarray) and content.ndim == 3 and content.shape[2] == 3


def _is_multihmr(content: Any) -> bool:
    person = person_of(content)
    return "rotvec" in person and ({"j3d", "j3d_smplx", "transl_pelvis"} & set(person) != set())


def _is_wham(content: Any) -> bool:
    return {"pose", "trans", "betas"} <= set(_first_value(content))


def _is_prompthmr_video(content: Any) -> bool:
    people = content.get("people") if isinstance(content, Mapping) else None
    return isinstance(people, Mapping) and {"frames", "smplx_cam"} & set(_first_value(people)) != set()


def _is_gvhmr(content: Any) -> bool:
    return isinstance(content, Mapping) and any(
        f"{part}_params_{frame}" in content for part in ("smpl", "body") for frame in ("incam", "global")
    )


def _is_bev(content: Any) -> bool:
    found = content.get("results", content) if isinstance(content, Mapping) else None
    return isinstance(found, Mapping) and {"smpl_thetas", "cam_trans"} <= set(found)


def _is_parameters(content: Any) -> bool:
    person = person_of(content)
    pose = {"body_pose", "pose_body", "poses", "Rh"} & set(person)
    return bool(pose) and bool({"transl", "trans", "Th"} & set(person))


_VERTEX_CONTACTS = (
    *("pred_contact_3d_smplh", "pred_contact_3d_smplx", "contact_label", "contact_label_smplx"),
    *("contact", "contacts", "contact_out", "contact_prob", "contact_labels"),
)


def _is_vertex_contacts(content: Any) -> bool:
    """Arrays with a number a vertex under a name that speaks of contact, or one that is all there is."""
    if isinstance(content, Mapping):
        found = [value for key, value in content.items() if key in _VERTEX_CONTACTS]
    else:
        found = [content] if isinstance(content, np.ndarray) else []
    return any(_last(value) and np.squeeze(value).shape[-1] in VERTEX_COUNTS for value in found)


class NeedsSizeError(Exception):
    """The picture's size is not known."""


def _need(size: Size | None) -> Size:
    if size is None:
        raise NeedsSizeError
    return size


KINDS: tuple[SourceKind, ...] = (
    SourceKind(
        "sam3d",
        "SAM 3D Body's people of a picture (process_one_image)",
        _has("pred_keypoints_3d", "pred_cam_t"),
        lambda path, size: read_sam3d_body(path, _need(size)),
        "read_sam3d_body",
        "MHR: mesh and keypoints; its parameters are not converted",
        f"{_CAMERA}; rotations (pred_global_rots) are in MHR's own axes and are not read",
        "metres (MHR itself: centimetres)",
        "solved from its own 2D and 3D keypoints; focal_length, where it is there, must agree",
        ("pred_keypoints_3d", "pred_keypoints_2d", "pred_cam_t", "pred_vertices", "focal_length", "bbox"),
        _PROPOSE.format("sam3d"),
        True,
    ),
    SourceKind(
        "prompthmr_video",
        "PromptHMR's video results (results.pkl)",
        _is_prompthmr_video,
        lambda path, size: read_prompthmr_video(path),
        "read_prompthmr_video",
        "SMPL-X",
        f"{_CAMERA} (smplx_cam), or the world, +Y up (smplx_world; world=True)",
        _METRES,
        "img_focal and img_center",
        ("people", "camera"),
        "apu_contacts.sources.read_prompthmr_video(FILE)",
    ),
    SourceKind(
        "gvhmr",
        "GVHMR's hmr4d_results.pt or GEM's smpl_params.pt: one person of a video",
        _is_gvhmr,
        lambda path, size: read_gvhmr(path),
        "read_gvhmr",
        "SMPL-X, hands at rest",
        f"{_CAMERA} (..._incam), or the world, +Y up (..._global; world=True)",
        _METRES,
        "K_fullimg, one a frame",
        ("smpl_params_incam", "body_params_incam", "K_fullimg"),
        "apu_contacts.sources.read_gvhmr(FILE)",
    ),
    SourceKind(
        "tram",
        "TRAM's hps_track_K.npy: one person of a video",
        _has("pred_rotmat", "pred_trans", "pred_shape"),
        lambda path, size: read_tram(path),
        "read_tram",
        "SMPL",
        _CAMERA,
        _METRES,
        "img_focal and img_center",
        ("pred_rotmat", "pred_trans", "pred_shape", "frame", "img_focal", "img_center"),
        "apu_contacts.sources.read_tram(FILE)",
    ),
    SourceKind(
        "prompthmr",
        "PromptHMR's output.pt of one picture",
        _has("rotmat", "cam_int", "transl"),
        lambda path, size: read_prompthmr(path, _need(size)),
        "read_prompthmr",
        "SMPL-X, mean hands",
        _CAMERA,
        _METRES,
        "cam_int of the picture padded to 896 x 896, scaled back",
        ("rotmat", "betas", "transl", "vertices", "cam_int"),
        _PROPOSE.format("prompthmr"),
        True,
    ),
    SourceKind(
        "multihmr",
        "Multi-HMR's people of a picture",
        _is_multihmr,
        lambda path, size: read_multihmr(path, _need(size)),
        "read_multihmr",
        "SMPL-X (53 rotations) or Anny (163: its joints are read)",
        _CAMERA,
        _METRES,
        "K of the padded square, scaled back",
        ("rotvec", "shape", "expression", "j3d", "transl_pelvis", "K", "v3d", "loc", "j2d", "scores"),
        _PROPOSE.format("multihmr"),
        True,
    ),
    SourceKind(
        "human3r",
        "Human3R's people of a frame",
        lambda content: _last(person_of(content).get("rotvec"))[-2:] == (53, 3),
        lambda path, size: read_human3r(path),
        "read_human3r",
        "SMPL-X",
        f"{_CAMERA}; transl is the head's place",
        _METRES,
        "camera/NAME.npz beside it",
        ("rotvec", "shape", "transl", "expression", "scores"),
        _PROPOSE.format("human3r"),
    ),
    SourceKind(
        "smpl",
        "a .smpl file of smplcodec: one person of a video",
        _has("bodyPose", "bodyTranslation"),
        lambda path, size: read_smpl_codec(path),
        "read_smpl_codec",
        "what smplVersion says",
        "the world it was made in",
        _METRES,
        "none",
        (
            *("bodyPose", "bodyTranslation", "shapeParameters", "headPose", "leftHandPose", "rightHandPose"),
            *("expressionParameters", "smplVersion"),
        ),
        "apu_contacts.sources.read_smpl_codec(FILE)",
    ),
    SourceKind(
        "buddi",
        "BUDDI's result: two people",
        lambda content: (
            isinstance(content, Mapping)
            and isinstance(content.get("humans"), Mapping)
            and "scale" in content["humans"]
        ),
        lambda path, size: read_buddi(path, size),
        "read_buddi",
        "SMPL-XA (SMPL-X with an age, called scale)",
        _CAMERA,
        _METRES,
        "60 degrees over the longer side",
        ("humans", "cam"),
        _PROPOSE.format("buddi"),
    ),
    SourceKind(
        "bev",
        "BEV's people of a picture",
        _is_bev,
        lambda path, size: [person.initial_estimate() for person in read_bev(path)],
        "read_bev",
        "SMPL+A (SMPL with an age)",
        f"{_CAMERA}; the origin is the middle of the hips",
        _METRES,
        "60 degrees over the longer side",
        ("smpl_thetas", "smpl_betas", "cam_trans", "joints", "pj2d_org", "center_confs"),
        _PROPOSE.format("bev"),
    ),
    SourceKind(
        "camerahmr",
        "CameraHMR's people of a picture",
        lambda content: {"pred_cam", "cam_int"} <= set(person_of(content)),
        lambda path, size: read_camerahmr(path, _need(size)),
        "read_camerahmr",
        "SMPL",
        _CAMERA,
        _METRES,
        "cam_int",
        ("pred_smpl_params", "pred_cam", "pred_cam_t", "cam_int", "pred_vertices"),
        _PROPOSE.format("camerahmr"),
        True,
    ),
    SourceKind(
        "hmr2",
        "HMR2's (4DHumans') people of a picture",
        lambda content: (
            {"pred_smpl_params", "pred_cam", "pred_cam_t_full"} & set(person_of(content)) != set()
        ),
        lambda path, size: read_hmr2(path, _need(size)),
        "read_hmr2",
        "SMPL",
        _CAMERA,
        _METRES,
        "scaled_focal_length",
        ("pred_smpl_params", "pred_cam", "pred_cam_t_full", "pred_keypoints_3d", "pred_vertices"),
        _PROPOSE.format("hmr2"),
        True,
    ),
    SourceKind(
        "nlf",
        "NLF's people of a picture",
        lambda content: isinstance(content, Mapping) and "joints3d" in content,
        lambda path, size: read_nlf(path, _need(size)),
        "read_nlf",
        "SMPL or SMPL-X, by the number of joints",
        _CAMERA,
        "millimetres",
        "55 degrees, or the matrix that was given",
        ("joints3d", "vertices3d", "pose", "betas", "trans", "joints2d", "boxes"),
        _PROPOSE.format("nlf"),
        True,
    ),
    SourceKind(
        "smplerx",
        "SMPLer-X's or SMPLest-X's one person",
        lambda content: "smplx_root_pose" in person_of(content),
        lambda path, size: [read_smplerx(path)],
        "read_smplerx",
        "SMPL-X",
        f"{_CAMERA}, of the crop",
        _METRES,
        "focal and princpt of the crop",
        (
            *("smplx_root_pose", "smplx_body_pose", "smplx_lhand_pose", "smplx_rhand_pose", "smplx_jaw_pose"),
            *("smplx_shape", "smplx_expr", "cam_trans", "focal", "princpt", "bbox"),
        ),
        "apu_contacts.sources.read_smplerx(FILE)",
    ),
    SourceKind(
        "smplifyx",
        "SMPLify-X's result: one person",
        _has("camera_translation", "global_orient"),
        lambda path, size: [read_smplifyx(path, _need(size))],
        "read_smplifyx",
        "SMPL-X, SMPL-H or SMPL",
        _CAMERA,
        _METRES,
        "camera_translation, 5000 pixels",
        ("global_orient", "body_pose", "betas", "camera_translation"),
        "apu_contacts.sources.read_smplifyx(FILE, (W, H))",
        True,
    ),
    SourceKind(
        "wham",
        "WHAM's people of a video (wham_output.pkl)",
        _is_wham,
        read_wham,
        "read_wham",
        "SMPL",
        f"{_CAMERA} (pose, trans), or the world (pose_world; world=True)",
        _METRES,
        "not in the file: the frame's diagonal, by WHAM's own rule",
        ("pose", "trans", "betas", "verts", "frame_ids"),
        "apu_contacts.sources.read_wham(FILE, (W, H))",
    ),
    SourceKind(
        "parameters",
        "body parameters (smplx's names, HumanData, AMASS, SLAHMR, EasyMocap, Motion-X)",
        _is_parameters,
        lambda path, size: read_parameters(path),
        "read_parameters",
        "by the length of the pose: 24 rotations SMPL, 52 SMPL-H, 55 SMPL-X",
        "not said: the camera's, or a world (AMASS: +Z up), which needs extrinsic=",
        _METRES,
        "focal and princpt, where they are there; else the scene's",
        (
            *("global_orient", "root_orient", "root_pose", "Rh", "body_pose", "pose_body", "poses"),
            *("transl", "trans", "Th", "betas", "shapes", "shape", "expression", "expr", "age", "joints"),
            *("left_hand_pose", "right_hand_pose", "lhand_pose", "rhand_pose", "jaw_pose", "leye_pose"),
            *("reye_pose", "focal", "princpt"),
        ),
        _PROPOSE.format("parameters"),
    ),
    SourceKind(
        "flickr",
        "FlickrCI3D's annotation of contacts",
        _is_flickr,
        lambda path, size: read_flickr_signatures(path),
        "read_flickr_signatures",
        "SMPL-X: region, face and vertex ids",
        "pixels of the picture (boxes)",
        "pixels",
        "none",
        ("bbxes", "ci_sign"),
        "apu_contacts.sources.read_flickr_signatures(FILE)",
    ),
    SourceKind(
        "vertex_contacts",
        "contact of each vertex of a person (InteractVLM, DECO, DAMON, HACO, contact heads)",
        _is_vertex_contacts,
        lambda path, size: read_vertex_contacts(path),
        "read_vertex_contacts",
        "by its number of vertices",
        "none: what touches is not said",
        "probabilities, or labels",
        "none",
        _VERTEX_CONTACTS,
        "apu match A.obj B.obj --labels FILE OTHER -o contacts.json",
    ),
    SourceKind(
        "vitpose",
        "ViTPose's people in OpenPose's layout",
        _is_vitpose_body25,
        lambda path, size: read_vitpose_body25(path),
        "read_vitpose_body25",
        "keypoints of BODY_25, without neck and middle hip",
        "the picture's",
        "pixels",
        "none",
        ("people", *_OPENPOSE),
        _PROPOSE.format("vitpose"),
    ),
    SourceKind(
        "openpose",
        "OpenPose's people of a picture",
        _is_openpose,
        lambda path, size: read_openpose(path),
        "read_openpose",
        "keypoints of BODY_25",
        "the picture's",
        "pixels",
        "none",
        ("people", *_OPENPOSE),
        _PROPOSE.format("openpose"),
    ),
    SourceKind(
        "coco",
        "COCO results (COCO-WholeBody in parts, AlphaPose) of many pictures",
        _is_coco,
        lambda path, size: read_coco_results(path),
        "read_coco_results",
        "keypoints, by their number",
        "the picture's",
        "pixels",
        "none",
        ("image_id", "keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts", "score"),
        "apu_contacts.sources.read_coco_results(FILE)",
    ),
    SourceKind(
        "mediapipe",
        "what apu detect writes with MediaPipe",
        _has("keypoints", "scores", "landmarks"),
        lambda path, size: read_mediapipe(path, _whole(_need(size))),
        "read_mediapipe",
        "33 landmarks in 2D and 3D",
        _CAMERA,
        "pixels; metres",
        "60 degrees over the longer side",
        ("keypoints", "scores", "landmarks"),
        _PROPOSE.format("mediapipe"),
        True,
    ),
    SourceKind(
        "keypoints",
        "arrays of keypoints (rtmlib, apu detect, Sapiens)",
        _is_keypoint_arrays,
        lambda path, size: read_keypoint_arrays(path),
        "read_keypoint_arrays",
        "keypoints, by their number",
        "the picture's",
        "pixels",
        "none",
        ("keypoints", "scores"),
        _PROPOSE.format("keypoints"),
    ),
    SourceKind(
        "mmpose",
        "people of MMPose, ViTPose, transformers or ultralytics",
        _is_mmpose,
        lambda path, size: read_mmpose(path),
        "read_mmpose",
        "keypoints, by their number",
        "the picture's",
        "pixels",
        "none",
        ("keypoints", "keypoint_scores", "scores", "labels", "bbox"),
        _PROPOSE.format("mmpose"),
    ),
)
"""In the order in which they are tried: what says more comes first."""


def _whole(size: Size) -> tuple[int, int]:
    return int(size[0]), int(size[1])

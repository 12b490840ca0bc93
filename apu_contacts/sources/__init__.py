"""Readers of other tools' files."""

from apu_contacts.camera import Camera
from apu_contacts.sources._model_pickle import read_model_pickle
from apu_contacts.sources._numpy_pickle import read_npz, read_numpy_pickle, read_torch
from apu_contacts.sources.bev import BEV_JOINTS, BevPerson, bev_focal, camera_residual, read_bev
from apu_contacts.sources.bodies import body_of_vertices, which_body
from apu_contacts.sources.checks import ConventionError
from apu_contacts.sources.chi3d import (
    CHI3D_JOINTS,
    Chi3dCamera,
    Chi3dContact,
    read_chi3d_camera,
    read_chi3d_joints,
    read_chi3d_signatures,
    read_chi3d_smplx,
)
from apu_contacts.sources.depth_maps import DepthMap, depths_at, read_depth_map
from apu_contacts.sources.detection import InitialEstimate, PersonDetection
from apu_contacts.sources.errors import (
    NoPeopleError,
    SourceError,
    SourceFormatError,
    SourceMissingError,
    SourceWarning,
    UnsafePickleError,
)
from apu_contacts.sources.flickrci3d import AnnotatedPair, FlickrImage, read_flickr_signatures
from apu_contacts.sources.hi4d import (
    Hi4dCamera,
    Hi4dFrame,
    Hi4dRecording,
    read_hi4d_cameras,
    read_hi4d_frame,
    read_hi4d_meta,
)
from apu_contacts.sources.hmr2 import read_camerahmr, read_hmr2
from apu_contacts.sources.human3r import read_human3r
from apu_contacts.sources.inspecting import Inspection, inspect_file
from apu_contacts.sources.keypoint_files import (
    keypoints_from_arrays,
    read_coco_results,
    read_keypoint_arrays,
    read_mmpose,
)
from apu_contacts.sources.masks import PersonMask, read_mask, read_masks
from apu_contacts.sources.mediapipe import read_mediapipe
from apu_contacts.sources.multihmr import read_multihmr
from apu_contacts.sources.nlf import read_nlf
from apu_contacts.sources.ntu import NTU_JOINTS, NtuBody, NtuRecording, ntu_name, read_ntu_skeleton
from apu_contacts.sources.openpose import read_openpose
from apu_contacts.sources.parameters import read_amass, read_buddi, read_parameters
from apu_contacts.sources.prompthmr import read_prompthmr
from apu_contacts.sources.sam3d import read_sam3d_body
from apu_contacts.sources.smplerx import read_smplerx, read_smplerx_folder
from apu_contacts.sources.smplifyx import read_smplifyx
from apu_contacts.sources.tracks import BodyTrack, frames_together, people_in_frame
from apu_contacts.sources.vertex_contacts import (
    VERTEX_COUNTS,
    VertexContacts,
    hand_contacts_on_body,
    read_vertex_contacts,
)
from apu_contacts.sources.video import (
    read_gvhmr,
    read_prompthmr_video,
    read_smpl_codec,
    read_tram,
    read_tram_folder,
    read_wham,
    write_smpl_codec,
)
from apu_contacts.sources.vitpose import read_vitpose_body25
from apu_contacts.sources.write import write_amass, write_coco_results, write_openpose

__all__ = [
    "BEV_JOINTS",
    "CHI3D_JOINTS",
    "NTU_JOINTS",
    "VERTEX_COUNTS",
    "AnnotatedPair",
    "BevPerson",
    "BodyTrack",
    "Camera",
    "Chi3dCamera",
    "Chi3dContact",
    "ConventionError",
    "DepthMap",
    "FlickrImage",
    "Hi4dCamera",
    "Hi4dFrame",
    "Hi4dRecording",
    "InitialEstimate",
    "Inspection",
    "NoPeopleError",
    "NtuBody",
    "NtuRecording",
    "PersonDetection",
    "PersonMask",
    "SourceError",
    "SourceFormatError",
    "SourceMissingError",
    "SourceWarning",
    "UnsafePickleError",
    "VertexContacts",
    "bev_focal",
    "body_of_vertices",
    "camera_residual",
    "depths_at",
    "frames_together",
    "hand_contacts_on_body",
    "inspect_file",
    "keypoints_from_arrays",
    "ntu_name",
    "people_in_frame",
    "read_amass",
    "read_bev",
    "read_buddi",
    "read_camerahmr",
    "read_chi3d_camera",
    "read_chi3d_joints",
    "read_chi3d_signatures",
    "read_chi3d_smplx",
    "read_coco_results",
    "read_depth_map",
    "read_flickr_signatures",
    "read_gvhmr",
    "read_hi4d_cameras",
    "read_hi4d_frame",
    "read_hi4d_meta",
    "read_hmr2",
    "read_human3r",
    "read_keypoint_arrays",
    "read_mask",
    "read_masks",
    "read_mediapipe",
    "read_mmpose",
    "read_model_pickle",
    "read_multihmr",
    "read_nlf",
    "read_npz",
    "read_ntu_skeleton",
    "read_numpy_pickle",
    "read_openpose",
    "read_parameters",
    "read_prompthmr",
    "read_prompthmr_video",
    "read_sam3d_body",
    "read_smpl_codec",
    "read_smplerx",
    "read_smplerx_folder",
    "read_smplifyx",
    "read_torch",
    "read_tram",
    "read_tram_folder",
    "read_vertex_contacts",
    "read_vitpose_body25",
    "read_wham",
    "which_body",
    "write_amass",
    "write_coco_results",
    "write_openpose",
    "write_smpl_codec",
]

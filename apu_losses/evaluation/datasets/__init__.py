"""The frames of each data set with their truth, read from its own layout."""

from apu_losses.evaluation.datasets.chi3d import chi3d_frames
from apu_losses.evaluation.datasets.flickr import flickr_frames
from apu_losses.evaluation.datasets.hi4d import hi4d_frames
from apu_losses.evaluation.datasets.ntu import ntu_frames
from apu_losses.evaluation.datasets.ntu_selection import ContactRule, contact_frames

__all__ = [
    "ContactRule",
    "chi3d_frames",
    "contact_frames",
    "flickr_frames",
    "hi4d_frames",
    "ntu_frames",
]

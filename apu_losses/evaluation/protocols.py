"""The evaluations of the paper and of the field, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from apu_contacts.contacts import Order
from apu_losses.bodies import LinearBlendBody
from apu_losses.evaluation.datasets import chi3d_frames, flickr_frames, hi4d_frames, ntu_frames
from apu_losses.evaluation.datasets.chi3d import SUBJECTS
from apu_losses.evaluation.datasets.hi4d import CAMERA, EVERY
from apu_losses.evaluation.datasets.ntu import TABLE_CLASSES
from apu_losses.evaluation.frames import TruthSet
from apu_losses.evaluation.smpl_mesh import SmplToBody

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Choice:
    """What an evaluation may choose; each protocol uses what concerns it.

    Args:
        body: the body of the fits.
        frames: file that names the frames (NTU).
        split: of NTU, ``"subject"``, ``"setup"`` or ``"all"``; of FlickrCI3D, ``"test"`` or ``"train"``.
        classes: of NTU.
        subjects: the pairs of Hi4D or CHI3D.
        camera: of Hi4D, its number or ``"mono"``; of CHI3D, a name. None: as the protocol says.
        every: of Hi4D, every so many contact frames.
        transfer: leads from SMPL's vertices to those of the body: ``smpl2smplx_deftrafo_setup.pkl``. For the
            truth of Hi4D, and for fits with SMPL's mesh, such as BEV's.
        one_pair: of FlickrCI3D, pictures with one pair only.
    """

    body: LinearBlendBody | None = None
    frames: str | Path | None = None
    split: str | None = None
    classes: Sequence[str] | None = None
    subjects: Sequence[str] | None = None
    camera: str | None = None
    every: int = EVERY
    transfer: str | Path | None = None
    one_pair: bool = False

    def to_body(self) -> SmplToBody | None:
        """Return what gives SMPL's meshes the vertices of the body; None without ``transfer``.

        Raises:
            FileNotFoundError, ValueError: there is no such file, or it is something else.
        """
        return None if self.transfer is None else SmplToBody(self.transfer)


@dataclass(frozen=True)
class Protocol:
    """One evaluation.

    Args:
        name: how it is called.
        title: what it is.
        order: how the order of the two people is decided, unless the user says otherwise.
        joints: whether there are true joints.
        mesh_contacts: whether the true meshes say what touches; else people annotated it, or nobody did.
        expects: what the folder of the data set holds.
        read: reads the frames with their truth.
    """

    name: str
    title: str
    order: Order
    joints: bool
    mesh_contacts: bool
    expects: str
    read: Callable[[str | Path, Choice, Progress], TruthSet]


def _ntu(data: str | Path, choice: Choice, progress: Progress) -> TruthSet:
    return ntu_frames(
        data,
        split=choice.split or "subject",
        classes=choice.classes or TABLE_CLASSES,
        frames=choice.frames,
        progress=progress,
    )


def _hi4d(data: str | Path, choice: Choice, progress: Progress) -> TruthSet:
    camera: int | None = CAMERA
    if choice.camera is not None:
        if choice.camera != "mono" and not choice.camera.isdigit():
            raise ValueError(f"camera must be a number or 'mono', got {choice.camera!r}")
        camera = None if choice.camera == "mono" else int(choice.camera)
    return hi4d_frames(
        data, pairs=choice.subjects, camera=camera, every=choice.every, to_body=choice.to_body()
    )


def _chi3d(data: str | Path, choice: Choice, progress: Progress) -> TruthSet:
    cameras = None if choice.camera is None else [choice.camera]
    return chi3d_frames(data, subjects=choice.subjects or SUBJECTS, cameras=cameras, body=choice.body)


def _flickr(data: str | Path, choice: Choice, progress: Progress) -> TruthSet:
    return flickr_frames(data, part=choice.split or "test", one_pair=choice.one_pair)


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            Protocol(
                "ntu",
                "NTU RGB+D 120, 8 classes of contact, Kinect's joints (the paper's Table 2)",
                "either",
                True,
                False,
                "nturgb+d_skeletons/S001C001P001R001A055.skeleton and others",
                _ntu,
            ),
            Protocol(
                "hi4d",
                "Hi4D, contact frames of camera 4 (the paper's Table 3)",
                "either",
                True,
                True,
                "pair00/dance00/meta.npz, cameras/ and smpl/, and others",
                _hi4d,
            ),
            Protocol(
                "chi3d",
                "CHI3D, annotated contact frames of pair s03 by four cameras",
                "either",
                True,
                False,
                "train/s03/ with interaction_contact_signature.json, camera_parameters/, joints3d_25/",
                _chi3d,
            ),
            Protocol(
                "flickrci3d",
                "FlickrCI3D, annotated contacts of photographs",
                "given",
                False,
                False,
                "test/interaction_contact_signature.json",
                _flickr,
            ),
        )
    }
)
"""The evaluations by name."""


def protocol_of(name: str) -> Protocol:
    """Return the protocol of a name.

    Raises:
        ValueError: there is none; those that there are, are named.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {name!r}")
    return PROTOCOLS[name]

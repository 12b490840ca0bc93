"""Differentiable contact losses and everything that optimises with them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from apu_contacts._version import __version__

if TYPE_CHECKING:
    from apu_losses.bodies import BodyFileError as BodyFileError
    from apu_losses.bodies import BodyModel as BodyModel
    from apu_losses.bodies import LinearBlendBody as LinearBlendBody
    from apu_losses.bodies import ParameterSpec as ParameterSpec
    from apu_losses.bodies import PosedBody as PosedBody
    from apu_losses.bodies import load_body as load_body
    from apu_losses.camera import PinholeCamera as PinholeCamera
    from apu_losses.fitting import FitResult as FitResult
    from apu_losses.fitting import FitState as FitState
    from apu_losses.fitting import InitialBody as InitialBody
    from apu_losses.fitting import Joints3D as Joints3D
    from apu_losses.fitting import Preset as Preset
    from apu_losses.fitting import Scene as Scene
    from apu_losses.fitting import SceneContact as SceneContact
    from apu_losses.fitting import SceneFileError as SceneFileError
    from apu_losses.fitting import SceneFitter as SceneFitter
    from apu_losses.fitting import ScenePerson as ScenePerson
    from apu_losses.fitting import Stage as Stage
    from apu_losses.fitting import load_preset as load_preset
    from apu_losses.fitting import load_scene as load_scene
    from apu_losses.fitting import save_scene as save_scene
    from apu_losses.fitting import scene_from_detections as scene_from_detections
    from apu_losses.functional.contact import ContactForm as ContactForm
    from apu_losses.functional.contact import soft_contact as soft_contact
    from apu_losses.functional.contact_edges import ContactEdges as ContactEdges
    from apu_losses.functional.pose_prior import load_pose_mixture as load_pose_mixture
    from apu_losses.modules import InitialPosePrior as InitialPosePrior
    from apu_losses.modules import KeypointReprojectionLoss as KeypointReprojectionLoss
    from apu_losses.modules import MinimumDistanceLoss as MinimumDistanceLoss
    from apu_losses.modules import PenetrationLoss as PenetrationLoss
    from apu_losses.modules import PosePrior as PosePrior
    from apu_losses.modules import SelfPenetrationLoss as SelfPenetrationLoss
    from apu_losses.modules import ShapePrior as ShapePrior
    from apu_losses.modules import SoftContactLoss as SoftContactLoss

# Public name -> the module that defines it; loaded on first use so that the import stays fast.
_EXPORTS: dict[str, str] = {
    "BodyFileError": "apu_losses.bodies",
    "BodyModel": "apu_losses.bodies",
    "ContactEdges": "apu_losses.functional.contact_edges",
    "ContactForm": "apu_losses.functional.contact",
    "FitResult": "apu_losses.fitting",
    "FitState": "apu_losses.fitting",
    "InitialBody": "apu_losses.fitting",
    "InitialPosePrior": "apu_losses.modules",
    "Joints3D": "apu_losses.fitting",
    "KeypointReprojectionLoss": "apu_losses.modules",
    "LinearBlendBody": "apu_losses.bodies",
    "MinimumDistanceLoss": "apu_losses.modules",
    "ParameterSpec": "apu_losses.bodies",
    "PenetrationLoss": "apu_losses.modules",
    "PinholeCamera": "apu_losses.camera",
    "PosePrior": "apu_losses.modules",
    "PosedBody": "apu_losses.bodies",
    "Preset": "apu_losses.fitting",
    "Scene": "apu_losses.fitting",
    "SceneContact": "apu_losses.fitting",
    "SceneFileError": "apu_losses.fitting",
    "SceneFitter": "apu_losses.fitting",
    "ScenePerson": "apu_losses.fitting",
    "SelfPenetrationLoss": "apu_losses.modules",
    "ShapePrior": "apu_losses.modules",
    "SoftContactLoss": "apu_losses.modules",
    "Stage": "apu_losses.fitting",
    "load_body": "apu_losses.bodies",
    "load_pose_mixture": "apu_losses.functional.pose_prior",
    "load_preset": "apu_losses.fitting",
    "load_scene": "apu_losses.fitting",
    "save_scene": "apu_losses.fitting",
    "scene_from_detections": "apu_losses.fitting",
    "soft_contact": "apu_losses.functional.contact",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'apu_losses' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

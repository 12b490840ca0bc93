"""Which body a set of parameters belongs to: a name tells people, the content of the body tells programs."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import torch

from apu_contacts.digest import digest
from apu_losses.bodies.protocol import BodyModel
from apu_losses.bodies.skinning import BodyData

_known: WeakKeyDictionary[BodyModel, tuple[str, str]] = WeakKeyDictionary()


def body_identity(body: BodyModel) -> str:
    """Digest of the unposed surface: of its vertices and triangles. Parameters are only ever those of one."""
    return _digests(body)[0]


def body_digest(body: BodyModel) -> str:
    """Digest of all that decides how a body is posed; another means other results."""
    return _digests(body)[1]


def _digests(body: BodyModel) -> tuple[str, str]:
    found = _known.get(body)
    if found is None:
        found = _known[body] = _computed(body)
    return found


def _computed(body: BodyModel) -> tuple[str, str]:
    data = getattr(body, "data", None)
    specs = {name: (spec.size, spec.rotation, spec.default) for name, spec in body.parameter_specs.items()}
    if isinstance(data, BodyData):
        surface = digest([np.asarray(data.v_template), np.asarray(data.faces)])
        return surface, digest([data, specs, str(getattr(body, "dtype", ""))])
    with torch.no_grad():
        place = torch.zeros(1, 3, dtype=getattr(body, "dtype", torch.float32), device=body.faces.device)
        vertices = body.pose({"transl": place}).vertices()[0].cpu().double().numpy()
    # not stored anywhere but computed: the last bits may differ between machines
    surface = digest([np.round(vertices, 4) + 0.0, body.faces])
    return surface, digest([surface, specs, body.name, body.joint_names])

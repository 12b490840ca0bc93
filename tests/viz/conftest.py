"""Simple solids and cameras for the tests of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from apu_contacts.camera import Camera
from apu_losses.viz import Mesh


@pytest.fixture
def camera() -> Camera:
    return Camera(100.0, (60.0, 45.0))


@pytest.fixture
def sphere():
    """Make a sphere: center, radius, colour, name."""

    def make(center, radius=0.3, color=(1.0, 0.0, 0.0), name="sphere") -> Mesh:
        solid = trimesh.creation.icosphere(subdivisions=3, radius=radius)
        return Mesh(solid.vertices + np.asarray(center), solid.faces, color, name)

    return make

"""Scenes with known truth for the evaluations."""

from __future__ import annotations

import dataset_layouts as layouts
import numpy as np
import pytest
from scipy import sparse

from apu_losses.synthetic import TruthScene, load_truth_scenes


@pytest.fixture(scope="session")
def scenes() -> list[TruthScene]:
    """Four scenes in contact."""
    found = load_truth_scenes("held_out", per_type=1)
    return [scene for scene in found if len(scene.contact_regions) > 1][:4]


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A regressor and a transfer matrix as people have them."""
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "J14.npy", layouts.lsp_regressor())
    sparse.save_npz(folder / "transfer.npz", layouts.transfer_matrix())
    return folder

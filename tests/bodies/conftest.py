"""Files and models of the smplx package made from the made-up body."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_body import VERTICES, made_up_arrays


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the smplx package wants it: ``smplx/SMPLX_NEUTRAL.npz``, and infants beside it."""
    root = tmp_path_factory.mktemp("models")
    (root / "smplx").mkdir()
    np.savez(root / "smplx" / "SMPLX_NEUTRAL.npz", **made_up_arrays())
    np.savez(root / "smplx" / "SMPLX_FEMALE.npz", **made_up_arrays(directions=400, seed=1, influences=9))
    np.save(root / "kid.npy", made_up_arrays()["v_template"] * [0.5, 0.35, 0.6] + 0.2)
    return root


@pytest.fixture(scope="session")
def model_file(folder: Path) -> Path:
    return folder / "smplx" / "SMPLX_NEUTRAL.npz"


@pytest.fixture(scope="session")
def kid_file(folder: Path) -> Path:
    return folder / "kid.npy"


@pytest.fixture
def smplx_create(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``smplx.create`` on the made-up files. Its vertex numbers of SMPL-X are made to fit."""
    smplx = pytest.importorskip("smplx", reason="the parity tests need the smplx package (extra [smplx])")
    small = {name: number % VERTICES for name, number in smplx.body_models.VERTEX_IDS["smplx"].items()}
    monkeypatch.setitem(smplx.body_models.VERTEX_IDS, "smplx", small)

    def create(**options: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return smplx.create(str(folder), model_type="smplx", **options)

    return create

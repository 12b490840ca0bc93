"""Load a body model by name, from a file, or from an object of the smplx package."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from apu_losses.bodies.skinning import LinearBlendBody
from apu_losses.bodies.smplx_adapter import from_smplx, smplx_object_family
from apu_losses.bodies.smplx_format import read_body_file

SEARCH_VARIABLE = "APU_BODY_MODELS"
_FREE_ASSET = "free_body.npz"
_FOLDERS = ("smplx", "smplh", "smpl")


def load_body(
    name_or_path: str | Path | object = "free",
    *,
    kid_template: str | Path | NDArray[np.floating] | None = None,
    num_betas: int = 10,
    num_expression: int = 10,
    num_pca_comps: int | None = None,
    flat_hand_mean: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    backend: str = "auto",
) -> LinearBlendBody:
    """Load a body model.

    Args:
        name_or_path: ``"free"``, the body that comes with the package; the path of a user's
            SMPL-X, SMPL-H or SMPL file (``.npz`` or ``.pkl``) or of a folder that holds one, looked for as
            given and then in the folders that the environment variable ``APU_BODY_MODELS`` lists; or an
            object of the smplx package (``SMPLX``, ``SMPLH``, ``SMPL``, their layers).
        kid_template: path of ``smplx_kid_template.npy`` (``smpl_kid_template.npy`` for SMPL and SMPL-H), or
            the array; gives a file the parameter ``age``. The free body has its own.
        num_betas: number of shape coefficients.
        num_expression: number of expression coefficients, where the file has any.
        num_pca_comps: hands as this many PCA coefficients; None: 45 axis-angle values.
        flat_hand_mean: False adds the file's mean hand pose to the hands, as the smplx package does.
        dtype: ``torch.float32`` or ``torch.float64``.
        device: where the body computes.
        backend: ``"auto"``, ``"cpu"`` (compiled) or ``"torch"``, see ``LinearBlendBody``.

    Returns:
        A ``BodyModel``. Each call reads the file again; nothing is shared between the results.

    Raises:
        FileNotFoundError: if there is no such file; the message lists where it was looked for.
        BodyFileError: if the file is no such model, with the likely cause.
        TypeError: if an object is no such model of the smplx package.

    Example:
        >>> import torch
        >>> from apu_losses import load_body
        >>> body = load_body()
        >>> body.num_vertices, body(transl=torch.zeros(2, 3)).joints.shape
        (12242, torch.Size([2, 55, 3]))
    """
    if isinstance(name_or_path, str) and name_or_path == "free":
        if kid_template is not None:
            raise ValueError("kid_template must be None for the free body, which has its own")
        with resources.files("apu_losses.bodies").joinpath("data", _FREE_ASSET).open("rb") as file:
            data = read_body_file(
                file,
                name="free",
                num_betas=num_betas,
                num_expression=num_expression,
                num_pca_comps=num_pca_comps,
                flat_hand_mean=flat_hand_mean,
            )
        return LinearBlendBody(data, dtype=dtype, device=device, backend=backend)
    if isinstance(name_or_path, str | Path):
        data = read_body_file(
            find_body_file(name_or_path),
            kid_template=kid_template,
            num_betas=num_betas,
            num_expression=num_expression,
            num_pca_comps=num_pca_comps,
            flat_hand_mean=flat_hand_mean,
        )
        return LinearBlendBody(data, dtype=dtype, device=device, backend=backend)
    if smplx_object_family(name_or_path) is not None:
        if kid_template is not None or num_pca_comps is not None:
            raise ValueError(
                "kid_template and num_pca_comps must be None for an smplx object; "
                "give age='kid' and num_pca_comps to smplx.create instead"
            )
        return from_smplx(name_or_path, dtype=dtype, device=device, backend=backend)
    raise TypeError(
        "name_or_path must be 'free', a path, or an SMPLX, SMPLH or SMPL object of the smplx package, "
        f"got {type(name_or_path).__name__}"
    )


def find_body_file(path: str | Path) -> Path:
    """Find a body model file as given, or in the folders of ``APU_BODY_MODELS``.

    Args:
        path: a file, or a folder that holds ``SMPLX_NEUTRAL``, ``SMPLH_NEUTRAL`` or ``SMPL_NEUTRAL`` as
            ``.npz`` or ``.pkl`` (itself, or in ``smplx/``, ``smplh/``, ``smpl/``); the first of them counts.

    Raises:
        FileNotFoundError: if nothing is found; the message lists the places.
    """
    given = Path(path).expanduser()
    roots = [Path(p).expanduser() for p in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep) if p]
    candidates = [given]
    if not given.is_absolute():
        candidates += [root / sub / given for root in roots for sub in ("", *_FOLDERS)]
    places = []
    for candidate in candidates:
        options = [candidate]
        if candidate.is_dir():
            options = [
                candidate / sub / f"{name.upper()}_NEUTRAL.{suffix}"
                for name in _FOLDERS
                for sub in ("", name)
                for suffix in ("npz", "pkl")
            ]
        for option in options:
            if option.is_file():
                return option
            places.append(str(option))
    hint = "" if roots else f"; {SEARCH_VARIABLE} is not set"
    raise FileNotFoundError(
        f"no body model {str(path)!r}; looked at {', '.join(places)}{hint}. "
        "'free' is the body that comes with the package; SMPL-X files come from https://smpl-x.is.tue.mpg.de"
    )

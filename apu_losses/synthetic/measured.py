"""Measured people as scenes with known truth: captured moments whose contacts geometry has closed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from apu_contacts.reading import read_arrays
from apu_contacts.regions import RegionMap
from apu_losses.bodies import load_body
from apu_losses.synthetic.build import pose_people
from apu_losses.synthetic.check import CONTACT_REACH, regions_in_contact
from apu_losses.synthetic.places import PLACES, patches
from apu_losses.synthetic.scene_truth import IntendedContact, TruthScene
from apu_losses.synthetic.truth_body import EXTRA_SHAPE_NAMES

FloatArray = NDArray[np.floating[Any]]

_COUPLE = "60/61"
_POSED = {"global_orient": slice(0, 3), "body_pose": slice(3, 66), "transl": slice(66, 69)}
_NEEDED = ("cleaned", "betas", "passed", "pair", "trial", "frame", "clean_depth")


def measured_scenes(
    path: str | Path, *, couple: bool, per_trial: int | None = None
) -> tuple[TruthScene, ...]:
    """Read moments of two people whose motion was captured, on the free body, as scenes.

    Only moments are taken whose surfaces were brought to touch without faults. What is *intended* to touch,
    which the simulated annotator knows, is here whatever comes nearer than 1 cm, in words of `PLACES`: nobody
    wrote down what these people meant.

    Args:
        path: an archive with ``cleaned (N, 2, 69)`` (root, pose and place), ``betas (N, 2, 10)``,
            ``passed (N,)``, ``pair``, ``trial``, ``frame`` and ``clean_depth (N,)``; +Y up, metres.
        couple: the moments of the one couple that dances salsa; else those of everybody else.
        per_trial: at most so many of each trial, spread over its time; all if None.

    Returns:
        Scenes by trial, then by frame. ``interaction`` is the trial, such as ``"60/61 trial 09"``, so that
        intervals are taken by trial.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another file.
    """
    arrays = read_arrays(path)
    missing = [name for name in _NEEDED if name not in arrays]
    if missing:
        raise ValueError(f"{path}: not a file of motion capture pairs: it lacks {missing}")
    own = np.asarray(arrays["passed"], bool) & ((np.asarray(arrays["pair"]) == _COUPLE) == couple)
    trials = np.array([f"{p} trial {t}" for p, t in zip(arrays["pair"], arrays["trial"], strict=True)])
    chosen = [n for trial in np.unique(trials[own]) for n in _spread(own & (trials == trial), per_trial)]
    if not chosen:
        return ()
    numbers = np.asarray(arrays["cleaned"])[chosen].astype(np.float32)
    parameters = {name: numbers[..., part] for name, part in _POSED.items()}
    parameters["betas"] = np.asarray(arrays["betas"])[chosen].astype(np.float32)
    specs = load_body("free").parameter_specs
    for name in ("age", "left_hand_pose", "right_hand_pose"):
        default = np.broadcast_to(np.asarray(specs[name].default, np.float32), specs[name].size)
        parameters[name] = np.broadcast_to(default, (len(chosen), 2, specs[name].size)).copy()
    extra = np.zeros((len(chosen), 2, len(EXTRA_SHAPE_NAMES)), np.float32)
    vertices, joints = _posed(parameters, extra)
    regions = RegionMap.load("free")
    return tuple(
        TruthScene(
            name=f"{trials[n].replace('/', '-').replace(' ', '-')}-{int(arrays['frame'][n]):05d}",
            interaction=str(trials[n]),
            seed=n,
            parameters={name: value[k] for name, value in parameters.items()},
            extra_shape=extra[k],
            vertices=vertices[k],
            joints=joints[k],
            intended=touching_places(vertices[k]),
            contact_regions=regions_in_contact(vertices[k], regions),
            deepest=float(max(arrays["clean_depth"][n], 0.0)),
        )
        for k, n in enumerate(chosen)
    )


def _spread(own: NDArray[np.bool_], count: int | None) -> list[int]:
    found = np.flatnonzero(own)
    if count is None or len(found) <= count:
        return [int(n) for n in found]
    return [int(found[i]) for i in np.linspace(0, len(found) - 1, count).round().astype(int)]


def _posed(parameters: Mapping[str, FloatArray], extra: FloatArray) -> tuple[FloatArray, FloatArray]:
    flat = {name: value.reshape(-1, value.shape[-1]) for name, value in parameters.items()}
    vertices, joints = pose_people(flat, extra.reshape(-1, extra.shape[-1]))
    return vertices.reshape(len(extra), 2, -1, 3), joints.reshape(len(extra), 2, -1, 3)


def touching_places(vertices: FloatArray, reach: float = CONTACT_REACH) -> tuple[IntendedContact, ...]:
    """Return which places of two people touch, nearest first: one contact for each pair of places.

    Args:
        vertices: ``(2, V, 3)`` metres, of the free body's mesh.
        reach: metres.
    """
    near = cKDTree(vertices[0]).sparse_distance_matrix(cKDTree(vertices[1]), reach, output_type="ndarray")
    place = _place_of_vertices()
    found: dict[tuple[str, str], IntendedContact] = {}
    for n in np.lexsort((near["j"], near["i"], near["v"])):
        a, b = int(near["i"][n]), int(near["j"][n])
        both = PLACES[place[a]], PLACES[place[b]]
        found.setdefault(both, IntendedContact(*both, a, b))
    return tuple(found.values())


@lru_cache(1)
def _place_of_vertices() -> NDArray[np.int64]:
    """``(V,)`` the place, by number in `PLACES`, whose centre is nearest on the template."""
    template = load_body("free").data.v_template.astype(np.float64)
    centers = template[[patches()[name].center for name in PLACES]]
    nearest: NDArray[np.int64] = cKDTree(centers).query(template)[1].astype(np.int64)
    return nearest

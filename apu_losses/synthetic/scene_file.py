"""True scenes on disk: parameters and contacts in one small archive; reading recomputes the meshes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.files import staged_file
from apu_losses.synthetic.build import pose_people
from apu_losses.synthetic.interactions import DEVELOPMENT_TYPES, HELD_OUT_TYPES
from apu_losses.synthetic.places import PLACES
from apu_losses.synthetic.scene_truth import IntendedContact, TruthScene

FloatArray = NDArray[np.floating[Any]]

SAMPLED_VERTICES = (9120, 4933, 7669, 8846, 8635, 3562)
"""Vertices whose positions the archive repeats, so that a reader sees whether its meshes are the same."""

_FILE = "truth_scenes.npz"
_PARAMETERS = (
    "betas",
    "age",
    "global_orient",
    "body_pose",
    "left_hand_pose",
    "right_hand_pose",
    "transl",
)
_SAME = 1e-5
_AT_ONCE = 64


def load_truth_scenes(
    split: str = "held_out",
    *,
    interactions: Sequence[str] | None = None,
    per_type: int | None = None,
) -> tuple[TruthScene, ...]:
    """Return the scenes that come with the package.

    Args:
        split: ``"development"`` (types that parameters may be tuned on), ``"held_out"`` (types that results
            are reported on), or ``"all"``.
        interactions: only these types.
        per_type: at most so many of each type, the first ones.

    Returns:
        Scenes by type, then by number. The vertices take 0.3 MB a scene.

    Raises:
        ValueError: an unknown split or type, or meshes that come out otherwise than on the machine that
            wrote the file (by more than 1e-5 m).
    """
    types = {"development": DEVELOPMENT_TYPES, "held_out": HELD_OUT_TYPES}
    types["all"] = DEVELOPMENT_TYPES + HELD_OUT_TYPES
    if split not in types:
        raise ValueError(f"split must be one of {sorted(types)}, got {split!r}")
    wanted = types[split] if interactions is None else tuple(interactions)
    unknown = sorted(set(wanted) - set(types[split]))
    if unknown:
        raise ValueError(f"interactions holds {unknown}, which the split {split!r} does not have")
    with resources.as_file(resources.files("apu_losses.synthetic").joinpath("data", _FILE)) as path:
        return read_truth_scenes(path, types=wanted, per_type=per_type)


def write_truth_scenes(path: str | Path, scenes: Sequence[TruthScene]) -> None:
    """Write scenes as one archive: float32 parameters, contacts, a sample of the vertices."""
    arrays: dict[str, NDArray[Any]] = {
        name: np.stack([scene.parameters[name] for scene in scenes]).astype(np.float32)
        for name in _PARAMETERS
    }
    arrays["extra_shape"] = np.stack([scene.extra_shape for scene in scenes]).astype(np.float32)
    arrays["name"] = np.array([scene.name for scene in scenes])
    arrays["interaction"] = np.array([scene.interaction for scene in scenes])
    arrays["seed"] = np.array([scene.seed for scene in scenes], np.int64)
    arrays["deepest"] = np.array([scene.deepest for scene in scenes], np.float32)
    arrays["sample"] = np.stack([scene.vertices[:, SAMPLED_VERTICES] for scene in scenes]).astype(np.float32)
    arrays["intended_offsets"] = _offsets([len(scene.intended) for scene in scenes])
    arrays["place"] = np.array(PLACES)
    touches = [(c.place_a, c.place_b, c.vertex_a, c.vertex_b) for s in scenes for c in s.intended]
    arrays["intended"] = np.array(
        [(PLACES.index(a), PLACES.index(b), va, vb) for a, b, va, vb in touches], np.int32
    ).reshape(-1, 4)
    arrays["contact_offsets"] = _offsets([len(scene.contact_regions) for scene in scenes])
    arrays["contact_regions"] = np.array(
        [pair for scene in scenes for pair in scene.contact_regions], np.uint8
    ).reshape(-1, 2)
    with staged_file(path) as part, part.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def _offsets(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def read_truth_scenes(
    path: str | Path, *, types: Sequence[str] | None = None, per_type: int | None = None
) -> tuple[TruthScene, ...]:
    """Read an archive of `write_truth_scenes`.

    Args:
        path: of the archive.
        types: only scenes of these types, in this order; all in the order of the file if None.
        per_type: at most so many of each type.

    Raises:
        ValueError: the recomputed meshes are not those that were written.
    """
    with np.load(path, allow_pickle=False) as archive:
        stored = {name: archive[name] for name in archive.files}
    interaction = stored["interaction"]
    order = list(dict.fromkeys(interaction.tolist())) if types is None else list(types)
    chosen = np.concatenate(
        [np.zeros(0, np.int64)] + [np.flatnonzero(interaction == name)[:per_type] for name in order]
    )
    scenes: list[TruthScene] = []
    for first in range(0, len(chosen), _AT_ONCE):
        scenes += _assemble(stored, chosen[first : first + _AT_ONCE], path)
    return tuple(scenes)


def _assemble(
    stored: dict[str, NDArray[Any]], chosen: NDArray[np.int64], path: str | Path
) -> list[TruthScene]:
    parameters = {name: stored[name][chosen] for name in _PARAMETERS}
    extra = stored["extra_shape"][chosen]
    vertices, joints = pose_people(
        {name: value.reshape(-1, value.shape[-1]) for name, value in parameters.items()},
        extra.reshape(-1, extra.shape[-1]),
    )
    vertices = vertices.reshape(len(chosen), 2, *vertices.shape[1:])
    joints = joints.reshape(len(chosen), 2, *joints.shape[1:])
    off = float(np.abs(vertices[:, :, SAMPLED_VERTICES] - stored["sample"][chosen]).max(initial=0.0))
    if not off <= _SAME:
        raise ValueError(
            f"the meshes of {path} come out {off:.2g} m from where they were written (at most {_SAME} m "
            "expected): was the free body changed without building the scenes again?"
        )
    place = stored["place"].tolist()
    result = []
    for k, n in enumerate(chosen.tolist()):
        intended = stored["intended"][slice(*stored["intended_offsets"][n : n + 2])].tolist()
        regions = stored["contact_regions"][slice(*stored["contact_offsets"][n : n + 2])].tolist()
        result.append(
            TruthScene(
                name=str(stored["name"][n]),
                interaction=str(stored["interaction"][n]),
                seed=int(stored["seed"][n]),
                parameters={name: value[k] for name, value in parameters.items()},
                extra_shape=extra[k],
                vertices=vertices[k],
                joints=joints[k],
                intended=tuple(IntendedContact(place[a], place[b], va, vb) for a, b, va, vb in intended),
                contact_regions=tuple((int(a), int(b)) for a, b in regions),
                deepest=float(stored["deepest"][n]),
            )
        )
    return result

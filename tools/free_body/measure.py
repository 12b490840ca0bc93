"""Measures the built asset against Anny: `python -m tools.free_body.measure`. Prints the table of
docs/measurements/free_body.md.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from .build import ADULT_YEARS, DEFAULT_OUT, Parts, gather, smplx_order
from .inputs import load_source
from .people import draw_phenotypes, median_phenotypes, t_posed
from .pose import POSES, pose_asset
from .rig import JOINT
from .shape import STATURE, stature_functional, vertex_areas

BODY = slice(0, 22)
BANDS = ((0, 2), (2, 6), (6, 12), (12, 18))
CHILD_YEARS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0)


def joint_lines(parts: Parts) -> list[str]:
    """Distance between regressed and true joints on people held out of the fit."""
    held = np.s_[1::2]
    groups = [("adults 18-65", parts.adults[held])]
    children = parts.children[held]
    groups.append(("children 0-18", children))
    groups += [(f"  {a}-{b} years", children[(children.years >= a) & (children.years < b)]) for a, b in BANDS]
    lines = []
    for name, people in groups:
        error = np.linalg.norm(
            np.einsum("jv,nvd->njd", parts.regressor, people.vertices) - people.joints, axis=-1
        )
        mm = error * 1e3
        lines.append(
            f"{name}: all 55 joints mean {mm.mean():.2f}, the 22 body joints mean {mm[:, BODY].mean():.2f}, "
            f"worst joint's mean {mm.mean(0).max():.2f}, max {mm.max():.1f} mm ({len(mm)} people)"
        )
    return lines


def age_lines(parts: Parts) -> list[str]:
    """Children of Anny's median against the age direction alone at the same stature."""
    years = np.array(CHILD_YEARS)
    real = t_posed(parts.source, parts.mesh, median_phenotypes(parts.source, years), years)
    space, lines = parts.space, []
    weights = stature_functional(space.template)
    full, infant = weights @ space.template[:, 1], weights @ space.infant[:, 1]
    for year, vertices, joints in zip(years, real.vertices, real.joints, strict=True):
        height = weights @ vertices[:, 1]
        age = (full - height) / (full - infant)
        model = (1 - age) * space.template + age * space.infant
        error = np.linalg.norm(model - vertices, axis=1) * 1e3
        scaled = np.linalg.norm(space.template * (height / full) - vertices, axis=1) * 1e3
        basis = np.concatenate([space.directions, (space.infant - space.template)[None]]).reshape(11, -1).T
        best = np.linalg.lstsq(basis, (vertices - space.template).reshape(-1), rcond=None)[0]
        fitted = np.linalg.norm((basis @ best).reshape(-1, 3) + space.template - vertices, axis=1) * 1e3
        off = np.linalg.norm(parts.regressor @ model - joints, axis=1)[BODY] * 1e3
        lines.append(
            f"{year:4.0f} years, {height:.2f} m: age {age:.2f}, vertices mean {error.mean():.1f} mm "
            f"(a scaled adult {scaled.mean():.1f}, with all coefficients free {fitted.mean():.1f}), "
            f"body joints mean {off.mean():.1f} mm"
        )
    return lines


def shape_lines(parts: Parts, asset: dict[str, np.ndarray]) -> list[str]:
    """Return what a unit of each coefficient changes, and how well the ten carry an adult who was not in the
    fit.
    """
    template = asset["v_template"].astype(float)
    tall = np.ptp(template[:, 1])
    steps = [np.ptp((template + asset["shapedirs"][:, :, k])[:, 1]) - tall for k in range(10)]
    weights = stature_functional(parts.space.template)
    child = parts.space.infant * (STATURE / (weights @ parts.space.infant[:, 1])) - parts.space.template
    area = np.sqrt(vertex_areas(parts.space.template, parts.mesh.faces))[:, None]
    cosines = [
        abs((d * child * area**2).sum() / np.linalg.norm(d * area) / np.linalg.norm(child * area))
        for d in parts.space.directions[1:]
    ]
    basis = parts.space.directions.reshape(10, -1).T
    years = np.random.default_rng(7).uniform(*ADULT_YEARS, 80)
    people = t_posed(parts.source, parts.mesh, draw_phenotypes(parts.source, years, 7), years)
    rest = (people.vertices - parts.space.template).reshape(len(people.vertices), -1).T
    left = (rest - basis @ np.linalg.lstsq(basis, rest, rcond=None)[0]).T.reshape(len(people.vertices), -1, 3)
    return [
        "stature per unit, mm: " + " ".join(f"{1e3 * s:.2f}" for s in steps),
        "largest |cosine| of a direction 2..10 with a child's proportions: " + f"{max(cosines):.3f}",
        "80 new adults by ten coefficients: vertices mean "
        f"{1e3 * np.linalg.norm(left, axis=-1).mean():.2f} mm",
        "variance at fixed stature: " + " ".join(f"{v:.3f}" for v in parts.space.explained),
    ]


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Volume of a closed mesh in litres."""
    p = vertices[faces]
    return float(np.einsum("fi,fi->f", p[:, 0], np.cross(p[:, 1], p[:, 2])).sum() / 6e-3)


def pose_lines(asset: dict[str, np.ndarray]) -> list[str]:
    """Volume and thickness kept at the bent joints, with plain skinning and with the correctives."""
    faces = asset["f"].astype(int)
    near = {"arms down": "shoulder", "arms up": "shoulder", "arms forward": "shoulder", "elbows 120": "elbow"}
    near |= {"knees 120": "knee", "sit": "hip"}
    lines = []
    for age in (0.0, 0.55):
        rest, rest_joints = pose_asset(asset, {}, age=age)
        for pose in [*near, "kneel", "hug"]:
            line = f"age {age}, {pose}: volume kept"
            for correct in (False, True):
                posed, joints = pose_asset(asset, POSES[pose], age=age, correct=correct)
                line += f" {100 * volume(posed, faces) / volume(rest, faces):.1f} %"
                if pose in near:
                    j = JOINT[f"left_{near[pose]}"]
                    share = asset["weights"][:, j]
                    belt = (share > 0.25) & (share < 0.75)
                    thick = np.linalg.norm(posed[belt] - joints[j], axis=1).mean()
                    before = np.linalg.norm(rest[belt] - rest_joints[j], axis=1).mean()
                    line += f" (thickness {100 * thick / before:.0f} %)"
                line += "," if not correct else ""
            lines.append(line + "  [plain, corrected]")
    return lines


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="read what it is measured against, and stop")
    if parser.parse_args().check:
        load_source()
        return
    start = time.perf_counter()
    with np.load(DEFAULT_OUT) as archive:
        asset = {k: archive[k] for k in archive.files}
    load = time.perf_counter() - start
    parts = gather()
    order = smplx_order(parts.landmarks, parts.mesh.faces, parts.mesh.size)
    if not np.array_equal(np.argsort(order)[parts.mesh.faces], asset["f"].astype(int)):
        raise SystemExit(
            "the asset on disk was not built by this code: run python -m tools.free_body.build first"
        )
    print(f"file {DEFAULT_OUT.stat().st_size / 1e6:.2f} MB, read in {load:.2f} s")
    for title, lines in (
        ("joints", joint_lines(parts)),
        ("shape", shape_lines(parts, asset)),
        ("age", age_lines(parts)),
        ("pose", pose_lines(asset)),
    ):
        print(f"\n{title}")
        print("\n".join(lines))


if __name__ == "__main__":
    main()

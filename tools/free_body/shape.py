"""The shape space: a stature direction that scales, nine directions that leave stature alone, and the age
direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .people import People

STATURE = 1.70  # metres at betas = 0, age = 0; the median of the adults drawn from the charts is 1.705
STATURE_PER_UNIT = 0.10  # metres per unit of betas[0]; the adults drawn from the charts have a sd of 9.9 cm
INFANT_STATURE = 0.65  # stature of age = 1: about five months
DIRECTIONS = 10


@dataclass(frozen=True)
class ShapeSpace:
    """Template `(V, 3)`, directions `(10, V, 3)` and infant `(V, 3)`, pelvis at the origin; joints beside
    each.
    """

    template: np.ndarray
    directions: np.ndarray
    infant: np.ndarray
    template_joints: np.ndarray
    joint_directions: np.ndarray
    infant_joints: np.ndarray
    explained: np.ndarray  # (9,) share of the variance at fixed stature


def stature_functional(template: np.ndarray) -> np.ndarray:
    """(V,) weights whose product with the heights y gives stature: the crown less the mean of 40 sole
    vertices.

    Within 3 mm of max - min on every adult and child, and linear, so that a direction can be freed from it.
    """
    out = np.zeros(len(template))
    out[np.argsort(template[:, 1])[:40]] = -1 / 40
    crown = np.isclose(template[:, 1], template[:, 1].max(), atol=1e-9)
    out[crown] += 1 / crown.sum()
    return out


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) a third of the area of the faces around each vertex."""
    p = vertices[faces]
    area = np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1) / 6
    return np.bincount(faces.ravel(), np.repeat(area, 3), len(vertices))


def fit_shape_space(adults: People, medians: People, faces: np.ndarray) -> ShapeSpace:
    """adults: the population; medians: the median child of each age, which the age direction is fitted to.

    Each adult is scaled to STATURE, so nothing that is left changes it; of that rest, what makes a
    child's proportions is removed (it belongs to age), and an area-weighted PCA gives nine unit-variance
    directions.
    """
    functional = stature_functional(adults.vertices.mean(0))
    heights = np.einsum("v,nv->n", functional, adults.vertices[:, :, 1])
    stature = STATURE
    scale = (stature / heights)[:, None, None]
    vertices, joints = adults.vertices * scale, adults.joints * scale
    template, template_joints = vertices.mean(0), joints.mean(0)

    # Age: the line from the template that comes nearest to the median children of all ages.
    child_heights = np.einsum("v,nv->n", functional, medians.vertices[:, :, 1])
    lack = stature - child_heights
    weight = lack / (lack**2).sum()
    per_metre = np.einsum("n,nvd->vd", weight, medians.vertices - template)
    per_metre_joints = np.einsum("n,njd->jd", weight, medians.joints - template_joints)
    infant = template + per_metre * (stature - INFANT_STATURE)
    infant_joints = template_joints + per_metre_joints * (stature - INFANT_STATURE)

    area = vertex_areas(template, faces)
    root = np.sqrt(area / area.sum())[None, :, None]
    rest = (vertices - template) * root
    childlike = (infant * (stature / INFANT_STATURE) - template) * root
    amount = np.einsum("nvd,avd->n", rest, childlike) / (childlike**2).sum()
    rest = vertices - template - amount[:, None, None] * (infant * (stature / INFANT_STATURE) - template)
    rest_joints = (
        joints
        - template_joints
        - amount[:, None, None] * (infant_joints * (stature / INFANT_STATURE) - template_joints)
    )
    u, s, _ = np.linalg.svd((rest * root).reshape(len(rest), -1), full_matrices=False)
    u = u[:, : DIRECTIONS - 1] * _signs(u[:, : DIRECTIONS - 1], rest, template, area)
    # A person's coefficient is u * sqrt(n), of unit variance; the direction is the mean of rest weighted
    # by it.
    mix = u / np.sqrt(len(rest))
    directions = np.einsum("nk,nvd->kvd", mix, rest)
    joint_directions = np.einsum("nk,njd->kjd", mix, rest_joints)
    grow = STATURE_PER_UNIT / stature
    return ShapeSpace(
        template,
        np.concatenate([template[None] * grow, directions]),
        infant,
        template_joints,
        np.concatenate([template_joints[None] * grow, joint_directions]),
        infant_joints,
        s[: DIRECTIONS - 1] ** 2 / (s**2).sum(),
    )


def _signs(u: np.ndarray, rest: np.ndarray, template: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(K,) signs that make + the direction in which the body gets bulkier (vertices move away from the
    pelvis axis).
    """
    outward = template * [1, 0, 1]
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    bulk = np.einsum("v,nvd,vd->n", area, rest, outward, optimize=True)
    return np.where(u.T @ bulk < 0, -1.0, 1.0)

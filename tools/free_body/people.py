"""Who the body is made from: adults and children drawn from Anny's growth-chart distributions, in T-pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import beta

from .inputs import Source
from .rig import JOINT, JOINT_NAMES, joint_sources
from .topology import Mesh
from .tpose import chain, skin, t_pose_rotations


@dataclass(frozen=True)
class People:
    """T-posed people with the pelvis at the origin: vertices `(N, V, 3)`, joints `(N, 55, 3)`, years
    `(N,)`.
    """

    vertices: np.ndarray
    joints: np.ndarray
    years: np.ndarray

    def __getitem__(self, rows: slice | np.ndarray) -> People:
        return People(self.vertices[rows], self.joints[rows], self.years[rows])


def draw_phenotypes(source: Source, years: np.ndarray, seed: int) -> np.ndarray:
    """(N, 6) phenotypes of people of given ages in years: stature, weight, muscle and proportions follow
    the charts that Anny calibrated on WHO data, by inversion of its Beta distributions (so that no global
    RNG is touched).
    """
    from anny.shape_distribution import SimpleShapeDistribution

    charts = SimpleShapeDistribution(source.model)
    rng = np.random.default_rng(seed)
    gender = rng.random(len(years))
    age = charts.morphological_age_mapping.morphological_to_anny_age(torch.as_tensor(years).double())
    columns = {"gender": gender, "age": age.numpy()}
    for name in ("muscle", "weight", "height", "proportions"):
        u = rng.random(len(years))
        by_sex = []
        for sex in ("boys", "girls"):
            a, b = getattr(charts, f"{sex}_conditional_{name}_distribution").get_distribution_params(age)
            by_sex.append(beta.ppf(u, a.numpy(), b.numpy()))
        columns[name] = np.where(gender <= 0.5, *by_sex)
    return np.stack([columns[k] for k in ("gender", "age", "muscle", "weight", "height", "proportions")], 1)


def median_phenotypes(source: Source, years: np.ndarray) -> np.ndarray:
    """(N, 6) phenotypes of the median person of each age, half girl and half boy."""
    from anny.shape_distribution import SimpleShapeDistribution

    charts = SimpleShapeDistribution(source.model)
    age = charts.morphological_age_mapping.morphological_to_anny_age(torch.as_tensor(years).double())
    columns = [np.full(len(years), 0.5), age.numpy()]
    for name in ("muscle", "weight", "height", "proportions"):
        medians = []
        for sex in ("boys", "girls"):
            a, b = getattr(charts, f"{sex}_conditional_{name}_distribution").get_distribution_params(age)
            medians.append(beta.ppf(0.5, a.numpy(), b.numpy()))
        columns.append(np.mean(medians, 0))
    return np.stack(columns, 1)


def t_posed(source: Source, mesh: Mesh, phenotypes: np.ndarray, years: np.ndarray) -> People:
    """People in T-pose on the closed mesh."""
    weights = mesh.values(source.weights)
    sources = [(JOINT[n], [source.bones.index(b) for b in bones]) for n, bones in joint_sources().items()]
    vertices = np.zeros((len(phenotypes), mesh.size, 3))
    joints = np.zeros((len(phenotypes), len(JOINT_NAMES), 3))
    for i, (rest, heads, jaw) in enumerate(source.people(phenotypes)):
        at = closed_rest(source, mesh, rest, heads)
        motions = chain(source.parents, heads, t_pose_rotations(source, heads))
        placed = np.einsum("bij,bj->bi", motions[:, :3, :3], heads) + motions[:, :3, 3]
        for j, bones in sources:
            joints[i, j] = placed[bones].mean(0)
        joints[i, JOINT["jaw"]] = joints[i, JOINT["head"]] + jaw  # the head is not turned by the T-pose
        vertices[i] = skin(at, weights, motions) - joints[i, 0]
        joints[i] -= joints[i, 0].copy()
    return People(vertices, joints, np.asarray(years, float))


def closed_rest(source: Source, mesh: Mesh, rest: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """(V, 3) the closed mesh of a person in Anny's rest pose."""
    return mesh.positions(
        rest, {s: heads[source.bones.index(f"eye.{a}")] for s, a in (("left", "L"), ("right", "R"))}
    )

"""Contacts of a data set whose people are meshes: what touches there is measured, not annotated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from apu_contacts.contacts import ContactMap
from apu_losses.evaluation.frames import FloatArray, TruthSet
from apu_losses.evaluation.measures import TOUCHING
from apu_losses.geometry.operators import contact_map_from_meshes
from apu_losses.geometry.topology import RegionIndex


def mesh_contacts(vertices: FloatArray, regions: RegionIndex, threshold: float = TOUCHING) -> ContactMap:
    """Return the region pairs of two meshes that come nearer than a threshold, vertex to vertex.

    Args:
        vertices: ``(2, V, 3)`` metres.
        regions: of these meshes.
        threshold: metres; by default that of the binary scores, so that a perfect fit has an F1 of 1.
    """
    people = torch.from_numpy(np.ascontiguousarray(vertices, dtype=np.float32))
    touching = contact_map_from_meshes(people[:1], people[1:], regions, threshold=threshold)[0]
    return ContactMap(touching.nonzero().cpu().numpy())


def with_mesh_contacts(truth: TruthSet, regions: RegionIndex) -> TruthSet:
    """Return the frames with the contacts of their true meshes; a frame in which none touches has none.

    Frames without a mesh of the region map's vertices stay as they are.
    """
    frames, without = [], 0
    for frame in truth.frames:
        if frame.vertices is None or frame.vertices.shape[1] != regions.vertex_count:
            frames.append(frame)
            continue
        found = mesh_contacts(frame.vertices, regions)
        without += not len(found)
        frames.append(replace(frame, contacts=found if len(found) else None))
    measured = sum(frame.contacts is not None for frame in frames)
    note = (
        f"true contacts are region pairs of the true meshes within {1000 * TOUCHING:.0f} mm, vertex to "
        f"vertex: in {measured} frames; in {without} no region comes so near"
    )
    return TruthSet(truth.name, frames, (*truth.notes, note))

"""How people move: the frames of a sequence hang together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from apu_contacts.keypoints.joints import BODY
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.fitting.scene.types import Scene
from apu_losses.functional.temporal import acceleration_energy, velocity_energy


@dataclass(frozen=True)
class SmoothnessTerm:
    """Body joints move steadily from frame to frame of a sequence (people with the same ``track``).

    Of a body without any of SMPL-X's body joints (given meshes), all its named points.

    Options: ``penalised``: ``"acceleration"``, square metres per frame to the fourth, which leaves steady
    motion alone; ``"velocity"``, square metres per squared frame, which holds people still. See
    `apu_losses.fitting.scene.types.sequence`.
    """

    penalised: Literal["acceleration", "velocity"] = "acceleration"

    def __post_init__(self) -> None:
        check_options(self)

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        batch = state.batch
        wanted = [i for i, name in enumerate(state.body.joint_names) if name in BODY]
        joints = state.joints[:, wanted] if wanted else state.joints
        count = 3 if self.penalised == "acceleration" else 2
        runs: list[tuple[int, ...]] = []
        frames: list[tuple[int, ...]] = []
        owner: list[int] = []
        first = 0
        for number, scene in enumerate(batch.scenes):
            for track in tracks(scene):
                for start in range(len(track) - count + 1):
                    run = track[start : start + count]
                    runs.append(tuple(first + person for person in run))
                    frames.append(tuple(scene.people[person].frame for person in run))
                    owner.append(number)
            first += len(scene.people)
        if not runs:
            return joints.new_zeros(batch.size)
        rows = torch.tensor(runs, device=joints.device, dtype=torch.int64).unbind(1)
        gaps = torch.tensor(frames, dtype=joints.dtype, device=joints.device).diff(dim=1).unbind(1)
        energy = (
            acceleration_energy(*(joints[r] for r in rows), *gaps)
            if self.penalised == "acceleration"
            else velocity_energy(*(joints[r] for r in rows), *gaps)
        )
        return batch.per_scene(energy, torch.tensor(owner, device=joints.device, dtype=torch.int64))


def tracks(scene: Scene) -> list[list[int]]:
    """Return the people of a scene who are one person in several frames, each list in order of time."""
    found: dict[str, list[int]] = {}
    for index, person in enumerate(scene.people):
        if person.track:
            found.setdefault(person.track, []).append(index)
    return [sorted(people, key=lambda i: scene.people[i].frame) for people in found.values()]

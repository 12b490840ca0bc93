"""Fitted people of a sequence as tracks: one file a person, by smplx's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apu_contacts.files import staged_file
from apu_contacts.reading import read_arrays
from apu_losses.fitting.objective.terms.motion import tracks as rows_of_tracks
from apu_losses.fitting.result.record import FitResult
from apu_losses.fitting.scene.types import Scene

_FIXED = ("frames", "identity", "body")


@dataclass(frozen=True, eq=False)
class FittedTrack:
    """One person through the frames of a fit.

    Args:
        identity: ``ScenePerson.track``.
        frames: ``(F,)`` rising.
        parameters: ``(F, size)`` by smplx's names, in the terms of ``body``.
        body: `FitResult.body_model` of the body that was fitted.

    Example:
        >>> import numpy as np
        >>> from apu_losses.fitting import FittedTrack
        >>> len(FittedTrack("ann", np.arange(3), {"transl": np.zeros((3, 3))}, "free").frames)
        3
    """

    identity: str
    frames: NDArray[np.int64]
    parameters: Mapping[str, NDArray[np.float64]]
    body: str = ""

    def save(self, path: str | Path) -> Path:
        """Write an ``.npz``: ``frames``, ``identity``, ``body`` and each parameter under its own name.

        Raises:
            ValueError: another ending.
        """
        file = Path(path)
        if file.suffix != ".npz":
            raise ValueError(f"path must end in .npz, got {file.suffix or 'none'}")
        with staged_file(file) as part:
            np.savez_compressed(
                part,
                frames=self.frames,
                identity=np.array(self.identity),
                body=np.array(self.body),
                allow_pickle=False,
                **{name: np.asarray(value) for name, value in self.parameters.items()},
            )
        return file

    @classmethod
    def load(cls, path: str | Path) -> FittedTrack:
        """Read what `save` wrote.

        Raises:
            ValueError: another file.
        """
        arrays = read_arrays(path)
        missing = [name for name in _FIXED if name not in arrays]
        values = {name: array for name, array in arrays.items() if name not in _FIXED}
        if missing or not values:
            raise ValueError(
                f"{path}: expected a track of a fit, with {', '.join(_FIXED)}; found {list(arrays)}"
            )
        frames = np.asarray(arrays["frames"])
        wrong = [name for name, value in values.items() if np.ndim(value) != 2 or len(value) != len(frames)]
        if wrong:
            raise ValueError(f"{path}: expected {len(frames)} rows, one a frame, in {', '.join(wrong)}")
        return cls(str(arrays["identity"]), frames.astype(np.int64), values, str(arrays["body"]))


def fitted_tracks(result: FitResult, scene: Scene) -> list[FittedTrack]:
    """Return the tracks of a fitted sequence, in the order in which people first appear.

    Args:
        result: of the fit.
        scene: that was fitted, see `apu_losses.fitting.sequence` and `apu_losses.fitting.scene_from_tracks`.

    Raises:
        ValueError: a scene of other people, or without tracks.

    Example:
        >>> from dataclasses import replace
        >>> from apu_losses import SceneFitter, load_preset
        >>> from apu_losses.app.demo import demo_scene
        >>> from apu_losses.fitting import fitted_tracks, sequence
        >>> preset = load_preset("no_contact")
        >>> short = replace(preset, stages=(replace(preset.stages[0], max_iterations=1),))
        >>> clip = sequence([demo_scene(), demo_scene()])
        >>> (result,) = SceneFitter(preset=short).fit([clip])
        >>> [(t.frames.tolist(), t.parameters["transl"].shape) for t in fitted_tracks(result, clip)]
        [([0, 1], (2, 3)), ([0, 1], (2, 3))]
    """
    count = len(next(iter(result.parameters.values())))
    if count != len(scene.people) or result.scene != scene.name:
        raise ValueError(
            f"scene must be the one that was fitted ({result.scene!r}, {count} people), got {scene.name!r} "
            f"with {len(scene.people)}"
        )
    found = [
        FittedTrack(
            scene.people[rows[0]].track,
            np.array([scene.people[row].frame for row in rows], dtype=np.int64),
            {name: np.asarray(value)[rows] for name, value in result.parameters.items()},
            result.body_model,
        )
        for rows in rows_of_tracks(scene)
    ]
    if not found:
        raise ValueError(f"{scene.name}: nobody has a track; apu_losses.fitting.sequence gives people theirs")
    return found

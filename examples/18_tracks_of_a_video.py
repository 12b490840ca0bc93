"""Two people of a video: tracks in, one fit of all frames, a file a person out.

What video estimators write (GVHMR and GEM, PromptHMR, WHAM, TRAM) is read as tracks: who, in which frames,
with which parameters. Here the two walk hand in hand; each frame says so. `smoothness` takes out the jitter
and `foot_lock` keeps the feet that stand where they are. FOLDER has the `results.pkl` of PromptHMR's video
pipeline.

    python examples/18_tracks_of_a_video.py FOLDER OUT WIDTH HEIGHT
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import apu_contacts as ac
import apu_losses as al
from apu_contacts.sources import BodyTrack, frames_together, read_prompthmr_video
from apu_losses.fitting import fitted_tracks, scene_from_tracks

HAND_IN_HAND = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "hand", "right")])


def main(
    tracks: Sequence[BodyTrack],
    out: str | Path,
    size: tuple[int, int],
    preset: str | al.Preset = "best",
) -> list[Path]:
    """Return the files of the fitted tracks."""
    first, second = tracks[:2]
    together = frames_together(first, second)
    contacts = {int(frame): [(first.identity, second.identity, HAND_IN_HAND)] for frame in together}

    body = al.load_body("free")
    scene = scene_from_tracks([first, second], *size, body, frames=together.tolist(), contacts=contacts)
    steady = al.load_preset(preset) if isinstance(preset, str) else preset
    steady = steady.weighted(smoothness=1e3, foot_lock=1e3)
    (result,) = al.SceneFitter(body, preset=steady).fit([scene])

    files = [track.save(Path(out) / f"{track.identity}.npz") for track in fitted_tracks(result, scene)]
    before, after = (metrics.contact_distance for metrics in (result.before, result.after))
    apart = [f"{100 * max(each):.0f}" for each in (before, after)]
    print(f"{len(together)} frames; hands {apart[0]} cm apart at most, {apart[1]} cm after the fit")
    return files


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    width, height = int(sys.argv[3]), int(sys.argv[4])
    main(read_prompthmr_video(Path(sys.argv[1]) / "results.pkl"), sys.argv[2], (width, height))

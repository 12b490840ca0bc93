"""A sequence of scenes from the tracks of a video, for a fit of all frames together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from apu_contacts.camera import Camera
from apu_contacts.contacts import ContactMap
from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_contacts.sources import BodyTrack, InitialEstimate
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.scene.types import Scene, SceneContact, ScenePerson, sequence
from apu_losses.fitting.start.from_detections import in_scene_camera, initial_body, posed_estimate

_STAND_IN = "coco17"


def scene_from_tracks(
    tracks: Sequence[BodyTrack],
    width: int,
    height: int,
    body: BodyModel,
    *,
    frames: Sequence[int] | None = None,
    keypoints: Mapping[str, Mapping[int, Keypoints2D]] | None = None,
    contacts: Mapping[int, Sequence[tuple[str, str, ContactMap]]] | None = None,
    camera: Camera | None = None,
    body_model: str | None = None,
    name: str = "sequence",
) -> Scene:
    """Return the frames of a video as one scene: who is who in them stays, and each starts where they were.

    What `read_prompthmr_video`, `read_gvhmr`, `read_wham` and `read_tram` give. The terms ``smoothness`` and
    ``foot_lock`` then tie a person's frames together; contacts and penetration stay within a frame.

    Args:
        tracks: the people, in camera frames (not ``world=True``); identities must differ.
        width, height: of the video, pixels.
        body: that is fitted; it poses the tracks' parameters where these are of another model.
        frames: which frames of the video, rising; all in which anybody is seen if None. They are numbered
            anew from 0, with the gaps between them kept.
        keypoints: what a detector saw, by identity and frame; where there is none, the start's own joints
            stand in, so that a fit stays at them.
        contacts: who touches whom in a frame of the video: two identities, and the map from the first to the
            second.
        camera: of all frames; the first that a track has if None, else 60 degrees over the longer side.
        body_model: `model_of` the body that is fitted, such as ``"smplx"``: then such tracks keep their own
            parameters.
        name: of the scene.

    Raises:
        ValueError: no tracks, an identity twice, a track in the world's frame, frames that do not rise or in
            which nobody is seen, or a contact of somebody who is not seen there.

    Example:
        >>> import numpy as np
        >>> from apu_contacts.sources import BodyTrack
        >>> from apu_losses import load_body
        >>> from apu_losses.fitting import scene_from_tracks
        >>> values = {"global_orient": np.tile([np.pi, 0, 0], (3, 1)), "body_pose": np.zeros((3, 63)),
        ...           "transl": [[0, 0.3, 3.0], [0, 0.3, 3.1], [0, 0.3, 3.3]]}
        >>> track = BodyTrack("mine", "ann", [10, 11, 13], values, "smplx")
        >>> scene = scene_from_tracks([track], 640, 480, load_body())
        >>> [(person.track, person.frame) for person in scene.people]
        [('ann', 0), ('ann', 1), ('ann', 3)]
    """
    names = [track.identity for track in tracks]
    if not tracks or len(set(names)) < len(names):
        raise ValueError(f"tracks must be people of different identities, got {names or 'none'}")
    worldly = [track.identity for track in tracks if track.world]
    if worldly:
        raise ValueError(
            f"tracks must be people in each frame's camera, got {', '.join(worldly)} in the world; "
            "read the file without world=True"
        )
    seen = sorted({int(frame) for track in tracks for frame in track.frames})
    wanted = seen if frames is None else [int(frame) for frame in frames]
    empty = [frame for frame in wanted if frame not in set(seen)]
    if not wanted or empty or sorted(set(wanted)) != wanted:
        raise ValueError(
            f"frames must be rising frames in which somebody is seen ({seen[0]} to {seen[-1]}), got "
            f"{'none' if not wanted else empty or wanted}"
        )
    if camera is None:
        camera = next((found for track in tracks if (found := _camera(track)) is not None), None)
    camera = camera or Camera.from_image_size(width, height)
    scenes = []
    for frame in wanted:
        people: list[ScenePerson] = []
        for track in tracks:
            estimate = track.estimate(frame)
            if estimate is None:
                continue
            estimate = in_scene_camera(estimate, camera)
            given = (keypoints or {}).get(track.identity, {}).get(frame)
            points = _projected(estimate, body, camera) if given is None else given
            people.append(ScenePerson(points, initial_body(estimate, body, body_model), track.identity))
        place = {person.label: k for k, person in enumerate(people)}
        edges = []
        for a, b, cmap in (contacts or {}).get(frame, ()):
            if a not in place or b not in place:
                raise ValueError(f"contacts[{frame}]: {a!r} and {b!r} are not both seen there: {list(place)}")
            edges.append(SceneContact(place[a], place[b], cmap))
        scenes.append(Scene(width, height, people, edges, camera, f"{name}: frame {frame}"))
    whole = sequence(scenes, name)
    numbered = [replace(person, frame=wanted[person.frame] - wanted[0]) for person in whole.people]
    return replace(whole, people=numbered)


def _camera(track: BodyTrack) -> Camera | None:
    return track.camera[0] if isinstance(track.camera, tuple) else track.camera


def _projected(estimate: InitialEstimate, body: BodyModel, camera: Camera) -> Keypoints2D:
    """Where the start's own joints are in the picture."""
    posed = posed_estimate(estimate, body)
    place = dict(zip(posed.joint_names, posed.joints, strict=True))
    names = SKELETONS[_STAND_IN].joint_names
    xyz = np.array([place.get(joint, np.full(3, np.nan)) for joint in names])
    known = np.isfinite(xyz).all(1) & (xyz[:, 2] > 0)
    xy = np.zeros((len(names), 2))
    xy[known] = camera.project(xyz[known])
    return Keypoints2D(_STAND_IN, xy, known.astype(np.float64))

"""Builds the region map of the free body: ``apu_contacts/regions/data/free.npz``, and the pictures in the
docs.

    python tools/build_region_map.py            # the map, from the bundled asset
    python tools/build_region_map.py --pictures # and docs/images/regions_*.png

The map follows from the asset and the rules in ``apu_contacts.regions.segment`` alone; a test rebuilds it.
"""

from __future__ import annotations

import argparse
import colorsys
import sys
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from render_mesh import look, render  # noqa: E402  the repository's folders must be on the path first

from apu_contacts.regions import NUM_REGIONS, REGIONS, RegionMap  # noqa: E402  as above

ASSET = ROOT / "apu_losses" / "bodies" / "data" / "free_body.npz"
MAP = ROOT / "apu_contacts" / "regions" / "data" / "free.npz"
IMAGES = ROOT / "docs" / "images"
PROVENANCE = "approximate: geometric rules of apu_contacts.regions.segment on the template of the free body"


def read_asset(path: Path) -> dict[str, NDArray[np.float64]]:
    """Template vertices, faces, weights and joints of a body in SMPL-X format."""
    with np.load(path, allow_pickle=False) as archive:
        vertices = archive["v_template"].astype(np.float64)
        return {
            "vertices": vertices,
            "faces": archive["f"].astype(np.int64),
            "weights": archive["weights"].astype(np.float64),
            "joints": archive["J_regressor"].astype(np.float64) @ vertices,
        }


def build(asset: dict[str, NDArray[np.float64]]) -> RegionMap:
    """Return the region map of the asset, without the warning meant for users' own templates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return RegionMap.from_template(**asset, topology="free", provenance=PROVENANCE)


def palette(labels: NDArray[np.int64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """``(75, 3)`` colours: neighbours differ in hue, a region and its mirror image share the hue."""
    mirror = np.array([region.mirror for region in REGIONS])
    pair_of = np.minimum(np.arange(NUM_REGIONS), mirror)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    touching = np.unique(pair_of[labels[edges]], axis=0)
    hues = np.linspace(0, 1, 11)[:-1]
    levels = [(0.68, 0.60), (0.80, 0.75), (0.56, 0.45)]
    swatches = [(h, light, strength) for light, strength in levels for h in hues]
    rgb = np.array([colorsys.hls_to_rgb(*swatch) for swatch in swatches])
    chosen = np.full(NUM_REGIONS, -1)
    used = np.zeros(len(swatches))
    for pair in np.unique(pair_of):
        around = np.unique(touching[(touching == pair).any(1)])
        taken = [chosen[other] for other in around if other != pair and chosen[other] >= 0]
        gap = (
            np.min([np.linalg.norm(rgb - rgb[t], axis=1) for t in taken], axis=0)
            if taken
            else np.ones(len(rgb))
        )
        best = int(np.argmax(np.minimum(gap, 0.55) - 0.08 * used))
        chosen[pair] = best
        used[best] += 1
    colors = np.zeros((NUM_REGIONS, 3))
    for region in REGIONS:
        hue, light, strength = swatches[chosen[pair_of[region.id]]]
        shade = 0.84 if region.side == "right" else 1.0
        colors[region.id] = colorsys.hls_to_rgb(hue, light * shade, strength)
    return colors


class Painter:
    """Draws the map from several sides with the ids of the regions written on them."""

    def __init__(self, asset: dict[str, NDArray[np.float64]], regions: RegionMap) -> None:
        self.vertices = asset["vertices"]
        self.faces = asset["faces"].astype(np.int64)
        self.joints = asset["joints"]
        self.labels = regions.labels()
        self.colors = palette(self.labels, self.faces)[self.labels]
        self.font = ImageFont.load_default(size=13)

    def view(
        self,
        direction: str | tuple[float, float, float],
        centre: NDArray[np.float64],
        half: tuple[float, float],
        scale: float,
        up: tuple[float, float, float] | None = None,
        smallest: int = 260,
    ) -> Image.Image:
        """One view around a point, with an id on each region that shows at least ``smallest`` pixels."""
        axes = look(
            direction if isinstance(direction, str) else np.array(direction),
            None if up is None else np.array(up),
        )
        at = axes[:2] @ centre
        picture, nearest = render(self.vertices, self.faces, self.colors, axes, at - half, at + half, scale)
        image = Image.fromarray(picture)
        draw = ImageDraw.Draw(image)
        shown = np.where(nearest >= 0, self.labels[nearest], -1)[::2, ::2]
        for rid in np.unique(shown[shown >= 0]):
            rows, columns = np.nonzero(shown == rid)
            if len(rows) < smallest:
                continue
            # The pixel of the region nearest to its centre, so that the id stands on the region.
            near = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
            where = (float(columns[near]), float(rows[near]))
            draw.text(where, str(rid), fill="black", font=self.font, anchor="mm")
        return image

    def body(self) -> Image.Image:
        """Front above back."""
        low, high = self.vertices.min(0), self.vertices.max(0)
        middle, half = 0.5 * (low + high), (0.5 * (high - low) + 0.02)[:2]
        views = [self.view(side, middle, tuple(half), 430) for side in ("front", "back")]
        return stack(views, vertical=True)

    def sides(self) -> Image.Image:
        """Left side without the near arm in the way, and from below in front."""
        low, high = self.vertices.min(0), self.vertices.max(0)
        middle = 0.5 * (low + high)
        half = (0.32, 0.5 * (high - low)[1] + 0.02)
        views = [self.view(side, middle, half, 430) for side in ("left", "right")]
        views += [self.view((1.0, -0.9, 1.0), middle, (0.62, 0.88), 430)]
        return stack(views)

    def hand(self) -> Image.Image:
        """Back of the left hand, palm, thumb's side, little finger's side."""
        centre = self.joints[20] + [0.09, -0.02, 0.01]
        turned = (0.0, 0.0, 1.0)
        views = [
            self.view("above", centre, (0.13, 0.13), 1500, turned, 500),
            self.view("below", centre, (0.13, 0.13), 1500, turned, 500),
            self.view("front", centre, (0.13, 0.09), 1500, None, 500),
            self.view("back", centre, (0.13, 0.09), 1500, None, 500),
        ]
        return stack([stack(views[:2]), stack(views[2:])], vertical=True)

    def foot(self) -> Image.Image:
        """Sole and inner side of the left foot."""
        centre = self.joints[7] + [0.0, -0.02, 0.06]
        views = [
            self.view("below", centre, (0.13, 0.16), 1200, (0.0, 0.0, 1.0), 500),
            self.view("left", centre, (0.16, 0.16), 1200, None, 500),
        ]
        return stack(views)

    def head(self) -> Image.Image:
        """Head, neck and shoulders: front, left, back."""
        centre = np.array([0.0, self.vertices[:, 1].max() - 0.24, 0.0])
        return stack(
            [self.view(side, centre, (0.27, 0.27), 900, None, 500) for side in ("front", "left", "back")]
        )


def stack(images: list[Image.Image], vertical: bool = False) -> Image.Image:
    """Pictures side by side, or one above the other, on white."""
    sizes = np.array([image.size for image in images])
    width, height = (
        (sizes[:, 0].max(), sizes[:, 1].sum()) if vertical else (sizes[:, 0].sum(), sizes[:, 1].max())
    )
    gap = 12 * (len(images) - 1)
    size = (int(width), int(height) + gap) if vertical else (int(width) + gap, int(height))
    sheet = Image.new("RGB", size, "white")
    at = 0
    for image in images:
        sheet.paste(image, (0, at) if vertical else (at, 0))
        at += (image.size[1] if vertical else image.size[0]) + 12
    return sheet


def main() -> None:
    """Build the map, prints its figures, and draw it if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--asset", type=Path, default=ASSET, help="body in SMPL-X format")
    parser.add_argument("--output", type=Path, default=MAP, help="the map to write (.npz or .json)")
    parser.add_argument("--pictures", type=Path, nargs="?", const=IMAGES, help="folder for the pictures")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    asset = read_asset(options.asset)
    regions = build(asset)
    if not options.check:
        regions.save(options.output)
    sizes = regions.sizes
    print(
        f"{regions}: vertices per region min {sizes.min()}, median {np.median(sizes):.0f}, max {sizes.max()}"
    )
    if options.pictures is not None:
        painter = Painter(asset, regions)
        options.pictures.mkdir(parents=True, exist_ok=True)
        for name in ("body", "sides", "hand", "foot", "head"):
            path = options.pictures / f"regions_{name}.png"
            image = getattr(painter, name)()
            image.save(path, optimize=True)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

"""Pictures and files of meshes, without OpenGL: overlays, views from the side, contact colours, `.glb`."""

from apu_losses.viz.film import FitFilm
from apu_losses.viz.glb import glb_bytes, write_glb
from apu_losses.viz.heat import contact_heat, distance_to_others, heat_colors, region_colors
from apu_losses.viz.mesh import PERSON_COLORS, Mesh, people_meshes, vertex_normals
from apu_losses.viz.montage import montage
from apu_losses.viz.overlay import draw_keypoints, overlay
from apu_losses.viz.render import PAPER, render_meshes
from apu_losses.viz.touches import touches_picture
from apu_losses.viz.views import VIEWS, orbit

__all__ = [
    "PAPER",
    "PERSON_COLORS",
    "VIEWS",
    "FitFilm",
    "Mesh",
    "contact_heat",
    "distance_to_others",
    "draw_keypoints",
    "glb_bytes",
    "heat_colors",
    "montage",
    "orbit",
    "overlay",
    "people_meshes",
    "region_colors",
    "render_meshes",
    "touches_picture",
    "vertex_normals",
    "write_glb",
]

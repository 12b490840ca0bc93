"""Scene files in, fitted people out: parameters, record, meshes and a picture for each scene."""

from apu_losses.generate.fit_files.results import ResultFolder
from apu_losses.generate.fit_files.run import FitSummary, fit_scenes
from apu_losses.generate.fit_files.scenes import SceneFiles, load_scenes

__all__ = ["FitSummary", "ResultFolder", "SceneFiles", "fit_scenes", "load_scenes"]

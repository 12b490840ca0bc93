"""How it is made small: stages and presets, Adam, Levenberg-Marquardt, when a scene has converged."""

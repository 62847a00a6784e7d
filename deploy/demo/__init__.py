"""The main job, seen working: `make demo`."""

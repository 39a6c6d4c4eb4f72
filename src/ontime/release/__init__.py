"""Releases: register a version, build its image, release it to a stage, promote it, roll it back."""

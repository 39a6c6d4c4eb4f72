"""Checks of a deployed environment from outside, by what a client sees."""

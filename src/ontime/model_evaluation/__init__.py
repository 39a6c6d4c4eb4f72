"""Metrics, plots and the choice of the champion."""

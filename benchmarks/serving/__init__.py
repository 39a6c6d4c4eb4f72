"""The service against other model servers with the same model, and an empty route; `python -m benchmarks.serving`."""

"""MLflow, which follows what the repository has and never leads."""

"""What every stage uses; `dvc.yaml` lists the folder as one dependency of each."""

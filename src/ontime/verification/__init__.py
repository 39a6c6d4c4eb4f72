"""The proofs: what the graph makes is what `dvc.lock` says, what runs is what was released."""

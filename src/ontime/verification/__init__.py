"""Proofs that what is committed, released and running is what the code produces."""

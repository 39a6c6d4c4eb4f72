"""The checkout as git and DVC know it: their programs, `dvc.lock`, the cache, a local S3 server."""

"""The manifests that Argo CD applies: rendered, validated, linted, compared."""

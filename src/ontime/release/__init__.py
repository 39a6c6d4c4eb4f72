"""A version's way to production: registered, built as an image, released to a stage, promoted, rolled back."""

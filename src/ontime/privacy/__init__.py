"""What is held of a person, shown, removed and proved to be gone."""

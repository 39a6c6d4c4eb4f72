"""From a champion to something that can be served, and the proof of where it came from."""

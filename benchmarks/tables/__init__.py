"""Real tables, and what usual libraries make of them in an environment of their own."""

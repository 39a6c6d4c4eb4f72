"""What is known about one dataset: its tables, its schema, its features. The only domain code."""

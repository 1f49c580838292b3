"""What is trained: one module per method, each with its own Lightning module."""

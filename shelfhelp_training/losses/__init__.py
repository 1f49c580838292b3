"""Losses that no library has: one idea a file."""

"""Figures on held-out data, taken from the exported models."""

"""Offline work on models: data sets, training with PyTorch Lightning, export to ONNX with a card, evaluation.

Nothing of this package is imported on the robot; an ONNX file and its card are all that crosses over.
"""

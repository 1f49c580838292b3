"""Data sets: loading of boxes and crops, splits, augmentation."""

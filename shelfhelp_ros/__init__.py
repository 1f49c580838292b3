"""ShelfHelp on the robot: camera images in, spoken guidance to one product out."""

__version__ = "0.1.0"

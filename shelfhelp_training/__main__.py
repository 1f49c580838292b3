"""``python -m shelfhelp_training`` is ``shelfhelp-train``."""

from shelfhelp_training.cli import train_main

if __name__ == "__main__":
    train_main()

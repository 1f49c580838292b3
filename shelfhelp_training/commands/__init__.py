"""Subcommands of ``shelfhelp-export`` and ``shelfhelp-evaluate``, each loaded when it is called."""

"""What the person hears and feels."""

"""How long the loop itself takes, beyond the work that it has done."""

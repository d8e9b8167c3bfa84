"""How long the stack of this machine takes to be there."""

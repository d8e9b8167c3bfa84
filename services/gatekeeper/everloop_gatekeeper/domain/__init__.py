"""Everything that the gatekeeper decides, and the measures that it decides on. Pure."""

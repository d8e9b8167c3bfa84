"""Everything that a rollout decides, and the measures that it decides on. Pure."""

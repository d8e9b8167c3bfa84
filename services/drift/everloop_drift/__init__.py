"""Sees that the world has moved: windows, measures and episodes of drift."""

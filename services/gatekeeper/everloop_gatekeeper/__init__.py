"""Proves a model version before it may meet traffic."""

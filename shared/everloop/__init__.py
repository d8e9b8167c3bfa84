"""Everloop: what all services share."""

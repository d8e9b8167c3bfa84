"""Shifts traffic step by step, and undoes the step when it was wrong."""

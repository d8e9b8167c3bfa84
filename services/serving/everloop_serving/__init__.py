"""Reference scorer: sticky split, shadow copies, only proven bytes."""

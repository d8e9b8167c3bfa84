"""Runnable examples. Nothing in the product imports them."""

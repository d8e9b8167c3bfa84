"""Decides when to train and on which rows, and runs the job."""

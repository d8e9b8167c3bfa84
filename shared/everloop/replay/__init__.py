"""A model's time in lock-step: rows, then the data clock, then control ticks, each until the stack is at rest.

`rows` (what is fed), `door` (how it gets in), `watching` (what the log says), `quiescence` (when all is at rest),
`lockstep` (the order of it all).
"""

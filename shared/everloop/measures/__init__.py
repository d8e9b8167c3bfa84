"""How far two samples are apart, from counts in the same bins: what drift judges by, and what its limits come from.

`statistics` has the formulas, `divergence` one standardised number per column, `running` what adds up over windows,
`policy` how often a rule raises an alarm where nothing has changed. Drift measures with them, and the trainer's job
measures the reference itself with the same ones.
"""

"""`everloop demo`: one turn of the loop on a real stack, and what the topics say of it afterwards.

`reading` (topics to events), `served` (what was served, with its labels), `summary` (what happened, pure), `books` (the
recount), `picture` (HTML), `view` (the terminal), `play` (the stream), `run` (all of it).
"""

"""What happened, told from the events alone. Pure.

`lines` says any event in one line, `links` which event led to which, `steps` turns a chain into figures, `finding`
looks up what a person names.
"""

from everloop.story.finding import UnknownIdError, find
from everloop.story.lines import LINES, moment, number, one_line, said
from everloop.story.links import version_of
from everloop.story.steps import Figure, Step, chain

__all__ = [
    "LINES",
    "Figure",
    "Step",
    "UnknownIdError",
    "chain",
    "find",
    "moment",
    "number",
    "one_line",
    "said",
    "version_of",
]

"""Mean delay by cell as bars, an SVG that loads nothing from anywhere. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

COLOURS: Final = {"ours": "#2f855a", "evidently": "#b7791f", "adwin": "#2b6cb0"}
WORDS: Final = {"ours": "Everloop", "evidently": "Evidently's statistic per window", "adwin": "ADWIN per column"}
LEFT, TOP, BAR, GAP, WIDE = 170, 46, 9, 12, 560
MOST: Final = 96


def picture(cells: Sequence[Mapping[str, Any]]) -> str:
    """Bars on a logarithmic scale, from one window to the longest that was waited for."""
    parts = [*_legend()]
    height = TOP
    for cell in cells:
        parts.append(f'<text x="{LEFT - 10}" y="{height + 19}" text-anchor="end">{cell["kind"]}, {cell["size"]}</text>')
        for side, colour in COLOURS.items():
            mean = cell["mean"][side]
            parts.append(
                f'<rect x="{LEFT}" y="{height}" width="{_wide(mean):.1f}" height="{BAR - 1}" fill="{colour}"/>'
            )
            parts.append(f'<text x="{LEFT + _wide(mean) + 4:.1f}" y="{height + BAR - 2}" font-size="8">{mean:g}</text>')
            height += BAR
        height += GAP
    size = f'viewBox="0 0 {LEFT + WIDE + 50} {height}" width="{LEFT + WIDE + 50}" height="{height}"'
    style = 'font-family="system-ui,sans-serif" font-size="11" fill="#1a202c"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{"".join(parts)}</svg>\n'


def _legend() -> Sequence[str]:
    parts = [
        '<text x="10" y="16">Mean windows until a change is found, logarithmic; all tuned to the same alarms</text>'
    ]
    for place, (side, colour) in enumerate(COLOURS.items()):
        x = 10 + 200 * place
        parts.append(f'<rect x="{x}" y="24" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="33">{WORDS[side]}</text>')
    return parts


def _wide(mean: float) -> float:
    return 4 + (WIDE - 4) * math.log(max(1.0, mean)) / math.log(MOST)

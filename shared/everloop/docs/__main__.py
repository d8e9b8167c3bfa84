"""`python -m everloop.docs`: write the generated pages, in the repository that the command is run in."""

from __future__ import annotations

import sys
from pathlib import Path

from everloop.docs import pages, read_golden


def main(root: Path) -> None:
    """Write each page below `root`."""
    for name, text in pages(read_golden(root)).items():
        (root / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name}: {len(text.splitlines())} lines\n")


if __name__ == "__main__":
    main(Path.cwd())

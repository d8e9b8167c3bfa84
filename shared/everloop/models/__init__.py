"""Models as files: what may be inside (`allowed`), the container (`archive`), dump and load (`files`), scoring.

Nothing here imports scikit-learn or skops at module import: they cost seconds, and most services that know a manifest
never load a model. `everloop.models.probe` loads a file in a child process first; it is imported by its own name.
"""

from __future__ import annotations

from everloop.models.files import dump, load
from everloop.models.manifest import Kind, ModelManifest, Task, frame
from everloop.models.preprocessing import pipeline
from everloop.models.scorer import Scorer

__all__ = ["Kind", "ModelManifest", "Scorer", "Task", "dump", "frame", "load", "pipeline"]

"""The reference profile of a model version: what its inputs, scores and quality looked like when it was made.

`values` has the pydantic values that `ModelVersionCreated` carries, `cells` counts raw values into bins (one rule for
reference and current data), `build` makes a profile from columns, `groups` merges bins for PSI, `segments` splits it by
the values of declared columns.
"""

from everloop.profile.build import MAX_BINS, MAX_CATEGORIES, Task, build_profile
from everloop.profile.groups import PSI_GROUPS, column_groups, merge_groups, psi_groups
from everloop.profile.values import Calibration, ColumnProfile, Profile, QualityProfile, Season, Segmentation

__all__ = [
    "MAX_BINS",
    "MAX_CATEGORIES",
    "PSI_GROUPS",
    "Calibration",
    "ColumnProfile",
    "Profile",
    "QualityProfile",
    "Season",
    "Segmentation",
    "Task",
    "build_profile",
    "column_groups",
    "merge_groups",
    "psi_groups",
]

"""The training matrix of a snapshot: its labelled rows, in one order, in one file, with a digest of what stands in it.

`MatrixBuilder` is the port, `LocalBuilder` what implements it on one machine, out of core with DuckDB; what another one
(a Spark or Ray job in a cluster) must give is in `docs/snapshots.md`, and `naming` finds the one that a setting names.
`content` is the digest, `staging` brings files that are verified beside each other.
"""

from everloop.matrix.building import LocalBuilder
from everloop.matrix.content import Content
from everloop.matrix.naming import builder_of
from everloop.matrix.ports import Fetch, Matrix, MatrixBuilder

__all__ = ["Content", "Fetch", "LocalBuilder", "Matrix", "MatrixBuilder", "builder_of"]

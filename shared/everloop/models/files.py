"""From a fitted estimator to bytes and back. Bytes: skops in our canonical container; never pickle."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from pydantic import ValidationError

from everloop.errors import InvalidError
from everloop.models.allowed import TRUSTED
from everloop.models.archive import MANIFEST, malformed, pack, read_schema, unpack
from everloop.models.arrays import without_padding
from everloop.models.manifest import ModelManifest
from everloop.models.scorer import Scorer
from everloop.models.trees import check_trees

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


def dump(estimator: BaseEstimator, manifest: ModelManifest) -> bytes:
    """Give the file of a fitted estimator: the same estimator gives the same bytes, in any process.

    Raises `InvalidError`: `untrusted_type` when something in it could not be loaded again, `shape` when the manifest
    is not that of this estimator.
    """
    import skops.io  # noqa: PLC0415 - costs seconds; only a trainer pays

    Scorer(estimator, manifest)
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as archive:
        members = {name: without_padding(archive.read(name)) for name in archive.namelist()}
    members[MANIFEST] = manifest.model_dump_json().encode()
    return pack(read_schema(members), members)


def load(data: bytes) -> Scorer:
    """Give the scorer of a file whose digest was verified. Raises `InvalidError` for anything that is not on our list.

    Reasons: `malformed`, `too_large`, `untrusted_type`, `shape`. In a service, `probe_in_child` comes first.
    """
    members = unpack(data)
    schema = read_schema(members)
    try:
        manifest = ModelManifest.model_validate_json(members[MANIFEST])
    except ValidationError as error:
        raise malformed("its manifest is not valid") from error
    return Scorer(_build(pack(schema, members)), manifest)


def _build(canonical: bytes) -> BaseEstimator:
    """Let skops build what the audit has passed; its own audit, with our list, is the second lock."""
    import skops.io  # noqa: PLC0415 - costs seconds; only who loads a model pays
    from skops.io.exceptions import UntrustedTypesFoundException  # noqa: PLC0415 - as above

    try:
        estimator: BaseEstimator = skops.io.loads(canonical, trusted=TRUSTED)
        check_trees(estimator)
    except UntrustedTypesFoundException as error:
        raise InvalidError("untrusted_type", f"skops refused the model file: {error}") from error
    except InvalidError:
        raise
    except Exception as error:  # crafted content can make any constructor raise anything
        raise malformed(f"it cannot be built ({type(error).__name__})") from error
    return estimator

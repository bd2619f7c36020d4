"""The tiny data set and settings of tests/train, for runs that are kept on disk."""

from tests.train.conftest import config, dataset

__all__ = ["config", "dataset"]

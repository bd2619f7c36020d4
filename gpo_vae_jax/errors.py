"""The errors of the library: each says what was wrong and what to do about it."""


class ConfigError(ValueError):
    """A setting has an unknown name or an impossible value."""


class DataError(ValueError):
    """The data cannot be used as it is."""


class TrainingError(RuntimeError):
    """A run could not go on: a loss that is not finite, or a run folder that does not fit."""

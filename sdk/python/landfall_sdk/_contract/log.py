from wit_world.imports import log as _log

_LEVELS = {level.name.lower(): level for level in _log.Level}


def log(level: str, message: str) -> None:
    _log.log(_LEVELS[level], message)

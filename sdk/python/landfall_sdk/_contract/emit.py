from wit_world.imports import emit as _emit

from .._failure import CapabilityError
from .payload import errors, payload_of


def emit(hook, event_type, headers, body, key, delay_s):
    emission = _emit.Emission(hook, event_type, headers, payload_of(body), key, delay_s)
    with errors(CapabilityError):
        return _emit.emit(emission)

from wit_world.imports import kv as _kv

from .._failure import CapabilityError
from .payload import errors, payload_of


def get(key):
    with errors(CapabilityError):
        payload = _kv.get(key)
    return None if payload is None else payload.value


def set(key, value, expires_in_s):
    payload = payload_of(value)
    with errors(CapabilityError):
        _kv.set(key, payload, expires_in_s)


def delete(key):
    with errors(CapabilityError):
        _kv.delete(key)


def list_keys(prefix, after, limit):
    with errors(CapabilityError):
        return _kv.list_keys(prefix, after, limit)


def compare_and_set(key, expected, value, expires_in_s):
    before = None if expected is None else payload_of(expected)
    payload = payload_of(value)
    with errors(CapabilityError):
        return _kv.compare_and_set(key, before, payload, expires_in_s)


def increment(key, by, expires_in_s):
    with errors(CapabilityError):
        return _kv.increment(key, by, expires_in_s)

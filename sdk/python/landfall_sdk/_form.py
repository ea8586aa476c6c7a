"""The text fields of a form, of either content type. The other SDKs read the same forms."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]+)"|([^;\s"]+))', re.IGNORECASE)
_BOUNDARY_MAX = 70
_NAME = re.compile(rb';\s*name=(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))', re.IGNORECASE)
_FILE = re.compile(rb';\s*filename\*?=', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:(.*)$", re.IGNORECASE | re.MULTILINE)
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')


def form_fields(content_type: str, body: bytes) -> list[tuple[str, str]] | None:
    """Names and values in their order, without files. None if the body is not a form."""
    essence = content_type.split(";")[0].strip().lower()
    if essence == "application/x-www-form-urlencoded":
        return parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    if essence == "multipart/form-data":
        found = _BOUNDARY.search(content_type)
        boundary = (found[1] or found[2]) if found else ""
        if not boundary or len(boundary) > _BOUNDARY_MAX:
            return None
        return _multipart(boundary.encode(), body)
    return None


def _multipart(boundary: bytes, body: bytes) -> list[tuple[str, str]] | None:
    fields: list[tuple[str, str]] = []
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:]:
        if part.startswith(b"--"):
            return fields
        head, _, value = part.partition(b"\r\n\r\n")
        if not re.match(rb"[ \t]*\r\n", part) or not _:
            return None
        field = _field(head, value)
        if field is not None:
            fields.append(field)
    # The last boundary is missing: the body was cut.
    return None


def _field(head: bytes, value: bytes) -> tuple[str, str] | None:
    disposition = _DISPOSITION.search(head)
    if disposition is None or _FILE.search(_QUOTED.sub(b'""', disposition[1])):
        return None
    name = _NAME.search(disposition[1])
    if name is None:
        return None
    raw = re.sub(rb"\\(.)", rb"\1", name[1] if name[1] is not None else name[2])
    try:
        return raw.decode(), value.decode()
    except UnicodeDecodeError:
        return None

from __future__ import annotations

from .state import Current, Emitted


def emit(
    hook: str,
    event_type: str | None,
    headers: list[tuple[str, str]],
    body: str | bytes,
    key: str | None,
    delay_s: int | None,
) -> str:
    Current.state.emitted.append(Emitted(hook, event_type, dict(headers), body, key, delay_s))
    return f"019c1234-5678-7abc-8def-{len(Current.state.emitted):012}"

"""Line 8 fails: the test looks for it."""

from landfall_sdk import kv


def total(items: list[dict[str, int]]) -> int:
    kv.get("a module beside the handler uses kv")
    return sum(item["price"] for item in items)

"""Google's discovery documents, as google-api-python-client ships them: which calls there are, and what each takes."""

import json
import os
import re

import googleapiclient

DOCS = os.path.join(os.path.dirname(googleapiclient.__file__), "discovery_cache", "documents")


def load(*names):
    return [json.load(open(os.path.join(DOCS, name + ".json"))) for name in names]


def methods(resource):
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from methods(inner)


def pattern(api, method):
    """`v1/{+parent}/messages:send` as a regular expression."""
    path = method.get("flatPath") or method["path"]
    path = api["servicePath"] + path if not path.startswith(api["servicePath"]) else path
    parts = re.split(r"\{\+?([A-Za-z]+)\}", path)
    return "/" + "".join(re.escape(part) if at % 2 == 0 else "[^/]+" for at, part in enumerate(parts))


def routes(apis):
    return [(api, method, re.compile(pattern(api, method) + "$")) for api in apis for method in methods(api)]


def problem(api, schema, value, where="body"):
    """Why the value is not one of the schema; none where it is."""
    if "$ref" in schema:
        schema = api["schemas"][schema["$ref"]]
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        if not isinstance(value, dict):
            return f"{where} is no object"
        for key, inner in value.items():
            if key not in schema["properties"]:
                return f"{where}.{key} is not known"
            found = problem(api, schema["properties"][key], inner, f"{where}.{key}")
            if found:
                return found
    elif kind == "object":
        inner = schema.get("additionalProperties", {})
        if not isinstance(value, dict):
            return f"{where} is no object"
        for key, one in value.items():
            found = problem(api, inner, one, f"{where}.{key}")
            if found:
                return found
    elif kind == "array":
        if not isinstance(value, list):
            return f"{where} is no list"
        for at, one in enumerate(value):
            found = problem(api, schema["items"], one, f"{where}[{at}]")
            if found:
                return found
    elif kind in ("string", "boolean", "integer", "number"):
        types = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}[kind]
        if not isinstance(value, types) or (kind != "boolean" and isinstance(value, bool)):
            return f"{where} is no {kind}"
        if "enum" in schema and value not in schema["enum"]:
            return f"{where} is none of {schema['enum']}"
    return None

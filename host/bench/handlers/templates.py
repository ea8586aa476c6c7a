"""Parses the body and answers one field of it, by a template that the first call compiles."""

# Jinja imports these only when it needs them: without a line here, the build leaves them out.
import encodings.unicode_escape
import jinja2.debug
from functools import cache

from jinja2 import Environment, Template

from landfall_sdk import Event, Reply, handler

SOURCE = """
{%- macro text(value) -%}
{{ value | tojson }}
{%- endmacro -%}
{%- set fields = {"ref": ref} -%}
{
{%- for name, value in fields | dictsort -%}
{{ text(name) }}: {{ text(value) }}{%- if not loop.last %}, {% endif -%}
{%- endfor -%}
}
"""


@cache
def template() -> Template:
    return Environment(trim_blocks=True).from_string(SOURCE)


@handler
def handle(event: Event) -> Reply:
    body = event.json()

    return Reply(200, template().render(ref=body["ref"]).strip(), {"content-type": "application/json"})

from wit_world.imports.settings import all, get

__all__ = ["all", "get"]

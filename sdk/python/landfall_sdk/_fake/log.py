from .state import Current


def log(level: str, message: str) -> None:
    Current.state.logs.append(f"{level}: {message}")

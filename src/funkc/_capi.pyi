from typing import Any

_API: Any

def addresses() -> dict[str, int]: ...

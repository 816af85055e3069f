"""Values as they are written in a scenario file: :func:`written`."""

from __future__ import annotations

import datetime
import json
from typing import Any

__all__ = ["written"]


def written(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {written(item)}' for key, item in value.items())} }}" if value else "{}"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)

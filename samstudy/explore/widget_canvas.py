"""ipympl's canvas without its side effect: once imported, it would be the backend of every later figure."""

from __future__ import annotations

import matplotlib

_backend = matplotlib.get_backend(auto_select=False) or "agg"

from ipympl.backend_nbagg import Canvas, FigureManager  # noqa: E402

matplotlib.use(_backend)

__all__ = ["Canvas", "FigureManager"]

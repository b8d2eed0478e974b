"""Explore in JupyterLab: click a prompt, see the mask, keep what was found.

``explore()`` opens the instrument, ``browse()`` the results of the study by score. What they know is in modules
without any widget (:mod:`~samstudy.explore.session`, :mod:`~samstudy.explore.sources`,
:mod:`~samstudy.explore.saving`, :mod:`~samstudy.explore.score_rows`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from samstudy.explore.browser import browse
    from samstudy.explore.panel import explore

__all__ = ["browse", "explore"]


def __getattr__(name: str) -> Any:
    """Import the widgets when they are asked for: the state needs none of them."""
    if name == "explore":
        from samstudy.explore.panel import explore as found
    elif name == "browse":
        from samstudy.explore.browser import browse as found
    else:
        raise AttributeError(f"module 'samstudy.explore' has no attribute {name!r}")
    return found

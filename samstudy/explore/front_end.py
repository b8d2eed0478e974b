"""Whether there is a browser to show a widget in, and what a widget needs of JupyterLab."""

from __future__ import annotations

import sys

from IPython.display import Javascript, display

KEYBOARD_CLASS = "samstudy-keys"
_NO_FRONT_END = (
    "{what} needs a browser: nothing interactive is shown here. Open the notebook in JupyterLab (`samstudy lab`) or "
    "VS Code and run this cell."
)


def has_front_end() -> bool:
    """Whether this Python answers a notebook that a person has open.

    papermill, nbconvert and other runners execute without input allowed; a terminal has no kernel.
    """
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    kernel = getattr(shell, "kernel", None)
    return kernel is not None and bool(getattr(kernel, "_allow_stdin", True))


def say_none(what: str) -> None:
    """Print that ``what`` cannot be shown here, and how to use it."""
    sys.stdout.write(_NO_FRONT_END.format(what=what) + "\n")


def keep_keys() -> None:
    """Keep the shortcuts of JupyterLab's command mode away from widgets of the class ``samstudy-keys``.

    There `b` inserts a cell and `x` cuts one, also while the focus is on a figure; the attribute is Lumino's way to ask
    for the keys. Other front ends do not look at it.
    """
    display(
        Javascript(
            "let tries = 0; const mark = () => { "
            f"const found = document.querySelectorAll('.{KEYBOARD_CLASS}');"
            "found.forEach(e => e.setAttribute('data-lm-suppress-shortcuts', 'true'));"
            "if (tries++ < 20) setTimeout(mark, 500); }; mark();"
        )
    )

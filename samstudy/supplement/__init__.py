"""The supplement of a paper: everything that a profile made, as one web page and as a PDF.

Nothing is computed again: :mod:`~samstudy.supplement.content` reads what the executed notebooks wrote,
:mod:`~samstudy.supplement.methods` writes the methods from ``study.yaml`` and the registries,
:mod:`~samstudy.supplement.page` and :mod:`~samstudy.supplement.pdf` lay it out.
"""

from samstudy.supplement.write import add_arguments, run, write_supplement

__all__ = ["add_arguments", "run", "write_supplement"]

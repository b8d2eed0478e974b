"""A small name-to-thing registry; everything that can be added to the study is found through one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from samstudy.errors import unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Ordered mapping from a public name to a registered object.

    Parameters
    ----------
    kind : str
        Singular noun used in error sentences (``"prompt"``, ``"dataset"``).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under ``name``.

        Raises
        ------
        ValueError
            If the name is taken: two things of one name would hide each other.
        """

        def keep(item: T) -> T:
            if name in self._items:
                raise ValueError(f"the {self.kind} name {name!r} is registered twice.")
            self._items[name] = item
            return item

        return keep

    def __getitem__(self, name: str) -> T:
        if name not in self._items:
            raise unknown_name(self.kind, name, self._items)
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

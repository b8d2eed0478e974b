"""A section of ``study.yaml`` that knows where it stands, so that every complaint can say so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from samstudy.errors import StudyError, unknown_name

_NO_WORDS: Mapping[str, int] = MappingProxyType({})


class Section:
    """A YAML mapping.

    Parameters
    ----------
    entries : Any
        What YAML gave for it.
    where : str
        Its place, dot-separated; ``""`` at the top.
    required, optional : tuple of str
        Keys it must and may have; without any, every key is allowed.

    Raises
    ------
    StudyError
        If it is no mapping, or a key is unknown (near misses are offered) or missing. The readers below raise it for
        a value of another type.
    """

    def __init__(
        self, entries: Any, where: str, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
    ) -> None:
        self.where = where
        if not isinstance(entries, dict) or not entries:
            raise self._wrong("", "a section of `name: value` lines", entries)
        self.entries = entries
        known = (*required, *optional)
        for key in entries if known else ():
            if key not in known:
                raise unknown_name(f"entry in {where or 'the top level'}", str(key), known)
        missing = [key for key in required if key not in entries]
        if missing:
            raise StudyError(f"{where or 'the top level'} lacks the entry {missing[0]!r}; add it.")

    def section(self, key: str, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> Section:
        return Section(self.entries[key], f"{self.where}.{key}".lstrip("."), required, optional)

    def text(self, key: str) -> str:
        value = self.entries[key]
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, "text", value)
        return value

    def integer(self, key: str, minimum: int = 0, words: Mapping[str, int] = _NO_WORDS) -> int:
        """Return a whole number; ``words`` may stand for some of them."""
        value = self.entries[key]
        read = _number_of(value, words)
        if not _is_integer(read, minimum):
            raise self._wrong(key, f"a whole number from {minimum} up{_or(words)}", value)
        return read

    def number(self, key: str) -> float:
        value = self.entries[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(key, "a number", value)
        return float(value)

    def choice(self, key: str, words: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in words:
            raise StudyError(f"{self.where}.{key}: {unknown_name('word', value, words)}")
        return value

    def cap(self, key: str) -> int | None:
        value = self.entries[key]
        if value is not None and not _is_integer(value, 1):
            raise self._wrong(key, "null (all images) or a whole number from 1 up", value)
        return value

    def names(self, key: str) -> tuple[str, ...]:
        value = self.entries[key]
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
            raise self._wrong(key, "a list of names such as [box, point_center]", value)
        return self._distinct(key, value)

    def integers(self, key: str, minimum: int, words: Mapping[str, int] = _NO_WORDS) -> tuple[int, ...]:
        """Return a list of whole numbers; ``words`` may stand for some of them."""
        value = self.entries[key]
        read = [_number_of(each, words) for each in value] if isinstance(value, list) else []
        if not read or not all(_is_integer(each, minimum) for each in read):
            raise self._wrong(key, f"a list of whole numbers from {minimum} up{_or(words)}", value)
        self._distinct(key, value)
        return tuple(read)

    def _distinct(self, key: str, value: list) -> tuple:
        if len(set(value)) < len(value):
            raise StudyError(f"{self.where}.{key} names something twice: {value}. List each once.")
        return tuple(value)

    def _wrong(self, key: str, expected: str, value: Any) -> StudyError:
        where = f"{self.where}.{key}".strip(".") or "the file"
        return StudyError(f"{where}: expected {expected}, found {value!r}.")


def _number_of(value: Any, words: Mapping[str, int]) -> Any:
    return words.get(value, value) if isinstance(value, str) else value


def _or(words: Mapping[str, int]) -> str:
    return "".join(f", or the word {word}" for word in words)


def _is_integer(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum

"""Text that would control a terminal, and the characters that are safe to show."""

import unicodedata

EVIL = "\x1b[2J\x1b]0;title\x07\r\x08\x7f\x9b31m\u202e\u2028\u200b\t[red]:smile:"


def plain(char: str) -> bool:
    return char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp")

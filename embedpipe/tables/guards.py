"""Cells that a spreadsheet would calculate, and the apostrophe that prevents it.

A spreadsheet takes a cell of a CSV file that begins with ``=``, ``+``, ``-``, ``@``, a tab or a
line break for a formula, and a formula in a file name or a class name can start a program. The
writer puts one apostrophe before such a text, and before a text that begins with apostrophes and
then one of these characters. The reader takes one apostrophe off where one of these characters
follows the apostrophes. So every text is read back as it was. A plain negative number is no
formula and has no apostrophe.
"""

from __future__ import annotations

import re

__all__ = ["guard", "unguard"]

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"-[0-9]+(?:\.[0-9]+)?", re.ASCII)


def guard(cell: str) -> str:
    """Return the text that stands for `cell` in a CSV file.

    Examples
    --------
    >>> guard("=1+1"), guard("'=1+1"), guard("-5"), guard("cat")
    ("'=1+1", "''=1+1", '-5', 'cat')
    """
    if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def unguard(cell: str) -> str:
    """Return the text that a cell of a CSV file stands for: the inverse of `guard`.

    Examples
    --------
    >>> unguard("'=1+1"), unguard("''=1+1"), unguard("'s-Gravenhage")
    ('=1+1', "'=1+1", "'s-Gravenhage")
    """
    if cell.startswith("'") and _FORMULA.match(cell):
        return cell[1:]
    return cell

r"""Labels: the log in the workspace, files of ``path, label``, and how they meet a dataset.

Labels are keyed by an item's id, its path relative to the dataset's folder; never by base name,
because two folders may both hold ``img_001.jpg``.

`formats` holds the formats of ``labels import`` and ``labels export``. To add one, register a
subclass of `Format`::

    from embedpipe.labels import Entry, Format, formats

    @formats.register("pairs")
    class PairsFormat(Format):
        '''Text with the path of an item, a tab and its class on each line.'''

        suffix = ".txt"
        only_labelled = True

        def read_entries(self, path, options):
            for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
                item, _, label = line.partition("\t")
                yield Entry(f"{path}, line {number}", item, label)

        def write_items(self, path, items, options):
            path.write_text("".join(f"{item.path}\t{item.label}\n" for item in items), "utf-8")

`read_entries` yields what the file holds, with the place of each entry; the base class checks it
and finds the items of the dataset. `write_items` gets checked items and an unfinished path; the
base class moves the finished file or folder to its place. `Format` lists the class attributes, such
as `Format.carries`; `WriteOptions.place_image` copies or links an image. The first line of the
docstring is the one that ``embedpipe list formats`` prints.
"""

from __future__ import annotations

from ..tables import table_format, write_table
from .exchange import Entry, Format, Labelled, ReadOptions, WriteOptions, formats
from .label_files import read_labels, write_labels
from .log import LabelLog
from .log_event import Event
from .log_state import Current, Matched, State, replay
from .matching import resolve_labels, rows_for
from .metadata import read_metadata
from .resolver import PathResolver

__all__ = [
    "Current",
    "Entry",
    "Event",
    "Format",
    "LabelLog",
    "Labelled",
    "Matched",
    "PathResolver",
    "ReadOptions",
    "State",
    "WriteOptions",
    "formats",
    "read_labels",
    "read_metadata",
    "replay",
    "resolve_labels",
    "rows_for",
    "table_format",
    "write_labels",
    "write_table",
]

r"""Labels: the label log, label files, and the formats of other programs.

The key of a label is the item's id: its path relative to the dataset's folder. The file name alone
is not a key: two folders may contain ``img_001.jpg``.

`formats` contains the formats of ``labels import`` and ``labels export``. To add a
format, register a subclass of `Format`::

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

`read_entries` yields unchecked entries, each with its place in the file. The base class validates
them and finds their items. `write_items` writes checked items to a temporary path. The base class
moves that path into place. `WriteOptions.place_image` copies or links an image.
``embedpipe list formats`` prints the first line of the docstring.
"""

from __future__ import annotations

from .._deprecated import old_names
from ..datasets.resolver import PathResolver
from ..tables import table_format, write_table
from .exchange import Entry, Format, Labelled, ReadOptions, WriteOptions, formats
from .label_files import read_labels, write_labels
from .log import LabelLog
from .log_event import Event
from .log_state import Current, Matched, State, rebuild_states
from .matching import resolve_labels, rows_for
from .metadata import read_metadata

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
    "rebuild_states",
    "resolve_labels",
    "rows_for",
    "table_format",
    "write_labels",
    "write_table",
]

__getattr__ = old_names(__name__, {"replay": "embedpipe.labels:rebuild_states"})

"""A label format: a path, a tab and a class on each line."""

from embedpipe.labels import Entry, Format


class PairsFormat(Format):
    """Text with the path of an item, a tab and its class on each line."""

    suffix = ".txt"
    only_labelled = True

    def read_entries(self, path, options):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            item, _, label = line.partition("\t")
            yield Entry(f"{path}, line {number}", item, label)

    def write_items(self, path, items, options):
        path.write_text("".join(f"{item.path}\t{item.label}\n" for item in items), "utf-8")

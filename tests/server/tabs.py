"""A tab of a real browser, as a person at the keyboard uses it."""

from __future__ import annotations

from typing import Any

KINDS = ("red", "green", "blue")
ROW = "() => document.querySelector('.single').dataset.row"


def kind_of(path: str) -> str:
    return KINDS[int(path[-8:-4]) % 3]


class Tab:
    """One tab of a browser, with whatever it complained about; it opens Single by default."""

    def __init__(self, context: Any, url: str, view: str | None = "single") -> None:
        self.page = context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)
        self.page.wait_for_selector("#progress:not(:empty)")
        if view is not None and not self.page.url.endswith(f"#{view}"):
            self.page.evaluate("view => { location.hash = view; }", view)
            self.wait("v => document.querySelector(`nav a[data-view=${v}][aria-current]`)", view)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def wait(self, expression: str, argument: Any = None) -> Any:
        return self.page.wait_for_function(expression, arg=argument)

    def shows(self, selector: str, words: str) -> None:
        """Wait until an element contains words."""
        contains = "([place, words]) => document.querySelector(place)?.textContent.includes(words)"
        self.wait(contains, [selector, words])

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def row(self) -> str:
        """Return the row of the image in Single, once there is one."""
        self.wait(f"() => ({ROW})() !== ''")
        return str(self.page.evaluate(ROW))

    def classes(self) -> list[str]:
        return list(self.page.locator("#classes button:not(:last-child) span").all_inner_texts())

    def give(self, name: str) -> None:
        """Give a class by keyboard: by its key, or as a new one."""
        known = self.classes()
        if name in known:
            self.press(str(known.index(name) + 1))
            return
        self.press("n")
        self.page.keyboard.type(name)
        self.press("Enter")
        self.wait("n => document.querySelectorAll('#classes button').length > n", len(known) + 1)

    def label_next(self, name: str | None = None) -> str:
        """Label the image in Single and return its path, when the next one is there."""
        self.wait("() => !document.querySelector('.single').classList.contains('paused')")
        row = self.row()
        path = self.text(".about .path")
        self.give(name or kind_of(path))
        self.wait(f"row => ({ROW})() !== row", row)
        return path

    def settled(self) -> None:
        """Wait until all is stored."""
        self.wait("() => !document.querySelector('#progress').textContent.includes('saving')")

    def progress(self, words: str) -> None:
        self.wait("w => document.querySelector('#progress').textContent.includes(w)", words)

"""The labelling interface of a project: the control whose choices are the classes of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from ...errors import FormatError
from ...labels.exchange.label_studio import choice_result
from ...labels.exchange.label_studio_tasks import CHOICE, chosen_class

__all__ = ["ChoiceControl", "choice_control"]

MAX_CHARACTERS = 1_000_000
"""Maximum characters of a labelling interface."""


@dataclass(frozen=True)
class ChoiceControl:
    """A Choices control for whole images."""

    name: str
    image: str  # name of the image tag
    key: str  # key of the image in the data of a task
    values: Mapping[str, str]  # by class: its value in results, which may be an alias

    def result_of(self, label: str, confidence: float) -> list[dict[str, Any]]:
        """Return the result of a prediction; empty if the control does not offer the class."""
        if label not in self.values:
            return []
        chosen = choice_result(self.values[label], control=self.name, image=self.image)
        return [{**chosen, "score": confidence}]

    def class_in(self, where: str, answer: Mapping[str, Any]) -> str | None:
        """Return the class that an annotation or prediction chooses, or None."""
        value = chosen_class(where, answer, self.name)
        if value is None:
            return None
        names = (name for name, each in self.values.items() if each == value)
        return next(names, value.strip()) or None


def choice_control(config: Any, wanted: str | None = None) -> ChoiceControl:
    """Return the control with the classes: `wanted`, else ``choice``, else the only control.

    Only Choices controls of a whole image count.

    Raises
    ------
    FormatError
        If the labelling interface is not XML, or has no such control.

    Examples
    --------
    >>> control = choice_control(
    ...     '<View><Image name="photo" value="$url"/><Choices name="kind" toName="photo">'
    ...     '<Choice value="hat"/><Choice value="shoe" alias="s"/></Choices></View>'
    ... )
    >>> control.name, control.image, control.key, control.values
    ('kind', 'photo', 'url', {'hat': 'hat', 'shoe': 's'})
    """
    root = _parsed(config)
    keys = {
        tag.get("name", ""): tag.get("value", "").lstrip("$")
        for tag in root.iter()
        if tag.tag == "Image"
    }
    found = {}
    for tag in root.iter("Choices"):
        image = next((name for name in tag.get("toName", "").split(",") if name in keys), None)
        if image is None or tag.get("perRegion", "").lower() == "true":
            continue
        name = tag.get("name", "")
        found[name] = ChoiceControl(name, image, keys[image], _values(tag))
    name = wanted or (CHOICE if CHOICE in found or len(found) != 1 else next(iter(found)))
    if name in found:
        return found[name]
    if not found:
        raise FormatError(
            "the labelling interface has no Choices control for a whole image. Add one, or use the "
            "config.xml of `embedpipe labels export --format label-studio`."
        )
    raise FormatError(
        f"the labelling interface has no Choices control {name!r} for a whole image; it has "
        f"{', '.join(sorted(found))}. Choose one with --control."
    )


def _values(control: ElementTree.Element) -> dict[str, str]:
    """Return the value of each class in results."""
    values = {}
    for choice in control.iter("Choice"):
        value = choice.get("value", "")
        if value.strip():
            values[value.strip()] = choice.get("alias") or value
    return values


def _parsed(config: Any) -> ElementTree.Element:
    if not isinstance(config, str) or not config.strip():
        raise FormatError("the labelling interface is missing; expected XML.")
    # Entities could expand to a text that fills the memory.
    if len(config) > MAX_CHARACTERS or "<!" in config.replace("<!--", ""):
        raise FormatError(
            f"the labelling interface has more than {MAX_CHARACTERS:,} characters, or a document "
            "type; expected plain XML."
        )
    try:
        return ElementTree.fromstring(config)
    except ElementTree.ParseError as error:
        raise FormatError(f"the labelling interface is not XML: {error}.") from None

"""What is wrong with a declaration, in one sentence: the line, the entry in words, the mistake, and what is allowed."""

import difflib
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

_NEEDED = {
    "list_type": "a list is needed here",
    "string_type": "text is needed here",
    "too_short": "at least one entry is needed here",
    "missing": "it is missing",
}
_MAPPING_NEEDED = ("model_type", "model_attributes_type", "dict_type")


def explain(model: type[BaseModel], document: Any, node: yaml.Node, error: ValidationError) -> tuple[int, str]:
    """(line, sentence) of the mistake to mend first: an unknown word before the word that it stands in place of."""
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    alternatives = [e for e in errors if e["loc"][:-1] == first["loc"][:-1] and e["type"] not in ("missing",)]
    if first["type"] in ("extra_forbidden", "missing") or not _is_choice(first["loc"]):
        alternatives = [first]
    line, entry = _locate(node, document, ("attributes", *first["loc"]), first["type"] == "missing")
    message = ", or ".join(_message(model, e) for e in alternatives)
    more = len(errors) - len(alternatives)
    return line, f"{entry}: {message}" + (f" ({more} more in this file)" if more else "")


def nearest(word: str, allowed: list[str]) -> str:
    """`Did you mean …? Allowed: …`"""
    close = difflib.get_close_matches(word, allowed, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{hint}Allowed: {', '.join(sorted(allowed))}"


def repeated_key(node: yaml.Node) -> tuple[int, str] | None:
    """(line, word) of the first word that stands twice in one mapping: YAML would silently take the last."""
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                return key.start_mark.line + 1, key.value
            seen.add(str(key.value))
            children.append(value)
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    return next((found for child in children if (found := repeated_key(child))), None)


def _is_choice(location: tuple[int | str, ...]) -> bool:
    """True where pydantic tried several shapes for one value, and so names the shape last: `Reference`, `literal[…]`."""
    last = location[-1] if location else ""
    return isinstance(last, str) and (last[:1].isupper() or "[" in last or last == "constrained-str")


def _message(model: type[BaseModel], error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    allowed = _models_at(model, error["loc"])
    if kind == "extra_forbidden":
        parents = _models_at(model, error["loc"][:-1])
        word = str(error["loc"][-1])
        return f"{word!r} is not a known word here. {nearest(word, _words(parents))}"
    if kind == "union_tag_invalid":
        return f"{context['tag']!r} is not a known {_unquoted(context['discriminator'])}; allowed: {_unquoted(context['expected_tags'])}"
    if kind == "union_tag_not_found":
        tag = _unquoted(context["discriminator"])
        return f"{tag!r} is missing; allowed: {', '.join(_tag(m, tag) for m in allowed)}"
    if kind == "literal_error":
        return f"{error['input']!r} is not allowed here; allowed: {_unquoted(context['expected'])}"
    if kind in _MAPPING_NEEDED:
        return f"a mapping is needed here, with the words: {', '.join(_words(allowed))}"
    return _NEEDED.get(kind) or error["msg"].removeprefix("Value error, ").replace("Input should", "it should")


def _words(models: list[Any]) -> list[str]:
    return list(dict.fromkeys(word for m in models for word in m.model_fields))


def _unquoted(text: object) -> str:
    return str(text).replace("'", "").replace(" or ", ", ")


def _tag(model: Any, field: str) -> str:
    return str(model.model_fields[field].annotation.__args__[0])


def _models_at(model: Any, location: tuple[int | str, ...]) -> list[Any]:
    """The models that may stand at `location`: found by walking from the outermost along the error's location."""
    models = [model]
    for part in location:
        if not isinstance(part, str):
            continue
        fields = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        if fields:
            models = [inner for annotation in fields for inner in _models_in(annotation)]
        else:
            models = [m for m in models if part == m.__name__ or part == _mode_of(m)] or models
    return models


def _models_in(annotation: Any) -> list[Any]:
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]


def _mode_of(model: Any) -> str | None:
    """The word by which a model is chosen among several: that of its capture `mode`, or of its `check`."""
    return next((_tag(model, word) for word in ("mode", "check") if _is_tag(model, word)), None)


def _is_tag(model: Any, word: str) -> bool:
    return word in model.model_fields and hasattr(model.model_fields[word].annotation, "__args__")


def _locate(node: yaml.Node, document: Any, location: tuple[int | str, ...], missing: bool) -> tuple[int, str]:
    """The line of the innermost YAML node on the way, and the entry in words: `crm, dbo.Customer, capture, mode`."""
    attributes = document.get("attributes") if isinstance(document, dict) else None
    words = [str(attributes.get("system", "?") if isinstance(attributes, dict) else "?")]
    line = node.start_mark.line + 1
    value = document
    for step, part in enumerate(location):
        if isinstance(node, yaml.MappingNode) and isinstance(part, str):
            child = next(((k, v) for k, v in node.value if k.value == part), None)
            if child is not None:
                line, node = child[0].start_mark.line + 1, child[1]
                value = value.get(part)
            if part not in ("attributes", "tables", "queues") and (child or (missing and step == len(location) - 1)):
                words.append(part)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node, value = node.value[part], value[part]
            line = node.start_mark.line + 1
            words.append(str(value.get("name", part)) if isinstance(value, dict) else str(part))
    return line, ", ".join(words)

"""What follows from the model of the customer document: the validator of its collection, its columns, its reference page."""

import datetime as dt
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from bson import Decimal128
from pydantic import BaseModel

from sv_assets.customers.model import Customer
from sv_assets.mongo import Document
from sv_assets.sealing.declaration import CUSTOMERS, Node, load_declaration

_BSON_TYPES: dict[Any, str | list[str]] = {
    str: "string",
    bool: "bool",
    int: ["int", "long"],
    float: ["double", "int", "long"],
    dt.datetime: "date",
    Decimal128: "decimal",
    type(None): "null",
}


@dataclass(frozen=True)
class Column:
    """One field, by its path (`emails[].value`), its type in words, and what it means."""

    path: str
    type: str
    description: str
    required: bool


def validator() -> Document:
    """The `$jsonSchema` of the collection. Fields that are not declared are allowed: adding one is no migration. What is declared to
    be sealed may be binary as well."""
    sealed = load_declaration().tree(CUSTOMERS)
    return {"$jsonSchema": _object(Customer, sealed)}


def columns(model: type[BaseModel] = Customer, prefix: str = "") -> Iterator[Column]:
    """All fields, however deep, in their order."""
    for column, inner in _fields(model):
        path = f"{prefix}{column.path}"
        yield Column(path, column.type, column.description, column.required)
        if inner is not None:
            yield from columns(inner, f"{path}[]." if column.type.startswith("list") else f"{path}.")


def reference_page() -> str:
    """The tables of `docs/customer.md`: one for each part of the document, in the order in which they come."""
    parts: dict[type[BaseModel], None] = {Customer: None}
    waiting: list[type[BaseModel]] = [Customer]
    while waiting:
        inner = [found for _, found in _fields(waiting.pop(0)) if found is not None and found not in parts]
        parts.update(dict.fromkeys(inner))
        waiting += dict.fromkeys(inner)
    return "\n".join(_section(part) for part in parts)


def _section(part: type[BaseModel]) -> str:
    lines = [
        f"## {part.__name__}",
        "",
        (part.__doc__ or "").strip(),
        "",
        "| field | type | what it is |",
        "|---|---|---|",
    ]
    for column, inner in _fields(part):
        name = f"[{column.type}](#{inner.__name__.lower()})" if inner else column.type
        sealed = _sealed_in(column.path) if part is Customer else ""
        lines.append(
            f"| `{column.path}` | {name}{'' if column.required else ', or left out'} | {column.description}{sealed} |"
        )
    return "\n".join([*lines, ""])


def _sealed_in(field: str) -> str:
    """What is kept sealed of a field of the customer, in words."""
    inside = [path.partition(".")[2] for path in load_declaration().paths(CUSTOMERS) if path.partition(".")[0] == field]
    return f" (sealed: {', '.join(f'`{path}`' for path in inside)})" if inside else ""


def _fields(model: type[BaseModel]) -> Iterator[tuple[Column, type[BaseModel] | None]]:
    for name, info in model.model_fields.items():
        inner, words = _inner(info.annotation)
        description = info.description or ((inner.__doc__ or "").strip().splitlines()[0].rstrip(".") if inner else "")
        yield Column(info.alias or name, words, description, info.is_required()), inner


def _object(model: type[BaseModel], sealed: Node | None = None) -> Document:
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    required = [name for name, info in fields.items() if info.is_required()]
    return {
        "bsonType": "object",
        **({"required": required} if required else {}),
        "properties": {name: _property(info.annotation, name, sealed or {}) for name, info in fields.items()},
    }


def _property(annotation: Any, name: str, sealed: Node) -> Document:
    if name not in sealed:
        return _schema(annotation)
    schema = _schema(annotation, sealed[name])
    if sealed[name] is None and "bsonType" in schema:
        schema["bsonType"] = [*_as_list(schema["bsonType"]), "binData"]
    return schema


def _schema(annotation: Any, sealed: Node | None = None) -> Document:
    annotation = _bare(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return {}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"bsonType": "array", "items": _schema(arguments[0], sealed)}
    if origin is dict:
        return {"bsonType": "object", "additionalProperties": _schema(arguments[1])}
    if origin in (Union, types.UnionType):
        schemas = [_schema(argument, sealed) for argument in arguments]
        kinds = [kind for schema in schemas for kind in _as_list(schema["bsonType"])]
        merged = {key: value for schema in schemas for key, value in schema.items()}
        return {**merged, "bsonType": kinds}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _object(annotation, sealed)
    return {"bsonType": _BSON_TYPES[annotation]}


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The model inside an annotation, if there is one, and the type in words."""
    annotation = _bare(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return None, "any"
    if origin is Literal:
        return None, " or ".join(f"`{argument}`" for argument in arguments)
    if origin is list:
        inner, words = _inner(arguments[0])
        return inner, f"list of {words}"
    if origin is dict:
        return None, f"object of {_inner(arguments[1])[1]}"
    if origin in (Union, types.UnionType):
        inner, words = _inner(next(a for a in arguments if a is not type(None)))
        return inner, f"{words} or null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, "object"
    kinds = _as_list(_BSON_TYPES[annotation])
    return None, kinds[0]


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

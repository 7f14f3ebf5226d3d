"""Check a config against its JSON schema, and say what is wrong in words of YAML."""

import datetime
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from autojudge.errors import InputError
from autojudge.workflow.label_sources import OF_JOBS

# Of a number, 2.0 is no integer: where a count is wanted, Python takes no float.
VALIDATOR = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
READ_AS = {  # what YAML makes of a name or a text without quotes
    bool: "a truth value, as it does with on, off, yes and no",
    int: "a number",
    float: "a number",
    datetime.date: "a date",
    datetime.datetime: "a date",
    type(None): "nothing",
}
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}


def check_schema(config: Mapping[str, Any], schema: str | Path) -> None:
    """Check that names are text, integers have no point, numbers are finite, and all is as the schema says.

    Parameters
    ----------
    config : mapping
        The merged config.
    schema : str or Path
        The JSON schema, as YAML.

    Raises
    ------
    InputError
        Names the key and the remedy.
    """
    _check_scalars(config)
    validator = VALIDATOR(yaml.safe_load(Path(schema).read_text(encoding="utf-8")))
    fault = jsonschema.exceptions.best_match(validator.iter_errors(config))
    if fault is not None:
        fault = _closest(fault)
        raise InputError(f"config key `{_key(fault.absolute_path)}`: {_explain(fault)}")


def remedy(value: Any, wanted: set[str]) -> str:
    """Tell how to write a scalar that YAML reads as none of the wanted types; empty where that is not known."""
    if "string" in wanted and type(value) in READ_AS:
        return f"; YAML reads it as {READ_AS[type(value)]}: put it in quotes"
    if {"object", "null"} <= wanted and isinstance(value, bool):
        return "; write {} for the default settings, or null for none"
    if "boolean" in wanted and isinstance(value, str | int):
        return "; write true or false, without quotes"
    if wanted & {"integer", "number"} and isinstance(value, str | float):
        number = _as_number(value)
        if number is not None and (isinstance(number, int) or "number" in wanted):
            text = f"YAML reads {value!r} as text: " if isinstance(value, str) else ""
            return f"; {text}write {yaml.safe_dump(number).split()[0]}"
    return ""


def _check_scalars(value: Any, path: tuple[str | int, ...] = ()) -> None:
    """Check that every name in a part of the config is text, and every number finite, which no schema can ask."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"config key `{_key(path)}`: {value} is not a finite number; give one")
    if isinstance(value, Mapping):
        for name, entry in value.items():
            if not isinstance(name, str):
                read = READ_AS.get(type(name), "something else")
                raise InputError(
                    f"config key `{_key(path)}`: the name {_shown(name)} is not text, as YAML reads it as {read}; "
                    "put the name in quotes"
                )
            _check_scalars(entry, (*path, name))
    elif isinstance(value, list):
        for i, entry in enumerate(value):
            _check_scalars(entry, (*path, i))


def _key(path: Iterable[str | int]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).lstrip(".") or "(top level)"


def _closest(fault: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Return what is wrong with the only alternative of the value's type, for a fault that tells of all."""
    inner = [f for f in fault.context or () if f.relative_path or not _of_another_type(f)]
    if len({f.schema_path[0] for f in inner}) != 1:
        return fault
    return _closest(next((f for f in inner if f.validator == "additionalProperties"), inner[0]))


def _explain(fault: jsonschema.ValidationError) -> str:
    if fault.validator == "oneOf" and not fault.context:
        keys = [key for choice in fault.validator_value for key in choice.get("required", [])]
        given = [key for key in keys if fault.instance.get(key) is not None]
        return f"{' and '.join(f'`{key}`' for key in given)} exclude one another; set all but one to null"
    if fault.validator == "additionalProperties" and isinstance(fault.instance, dict):
        declared, path = fault.schema.get("properties", {}).keys(), list(fault.absolute_path)
        unknown = sorted(fault.instance.keys() - declared)
        known = declared - OF_JOBS if path[:1] == ["label_sources"] and len(path) == 2 else declared
        hint = " (a space is to follow its colon)" if any(":" in key for key in unknown) else ""
        return f"unknown key {', '.join(f'`{u}`' for u in unknown)}{hint}; known are {', '.join(sorted(known))}"
    if fault.validator == "contains":
        misread = (
            f"; {_shown(item)} is no name{hint}" for item in fault.instance if (hint := remedy(item, {"string"}))
        )
        among = f"[{', '.join(map(_shown, fault.instance))}]"
        return (
            f"`{fault.validator_value['const']}` must be among {among}{next(misread, '')}; config/config.schema.yaml "
            "says why"
        )
    if fault.validator == "pattern" and (forms := fault.schema.get("examples")):
        return f"{_shown(fault.instance)} is not of the form {' or '.join(forms)} (letters, digits, `-`, `_` and `.`)"
    message = fault.message.replace(repr(fault.instance), _shown(fault.instance), 1)
    return f"{message}{remedy(fault.instance, _wanted(fault))}; config/config.schema.yaml describes it"


def _shown(value: Any) -> str:
    """Return a value as a config shows it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value) if isinstance(value, datetime.date) else repr(value)


def _of_another_type(fault: jsonschema.ValidationError) -> bool:
    constant = fault.validator == "const" and type(fault.validator_value) is not type(fault.instance)
    return fault.validator == "type" or constant


def _wanted(fault: jsonschema.ValidationError) -> set[str]:
    """Return the types that a value may have."""
    if fault.validator == "enum":
        return {TYPES[type(value)] for value in fault.validator_value if value is not None}
    if fault.validator == "anyOf":
        return {kind for choice in fault.context if not choice.relative_path for kind in _wanted(choice)}
    wanted = fault.validator_value if fault.validator == "type" else []
    return {wanted} if isinstance(wanted, str) else set(wanted)


def _as_number(value: str | float) -> int | float | None:
    """Return the number that a text or a float tells, an int where it is whole; None where it tells none."""
    try:
        number = float(value)
    except ValueError:
        return None
    return None if not math.isfinite(number) else int(number) if number.is_integer() else number

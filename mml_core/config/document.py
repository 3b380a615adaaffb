"""Generate `docs/configuration.md` and the JSON schemas from the models, so that neither can differ from them.

Run as `python -m mml_core.config.document` (`make docs`); a test fails where the files in the repository are stale.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mml_core.config.dataset import DatasetConfig
from mml_core.config.project import ProjectConfig
from mml_core.config.recipe import RecipeConfig

INTRODUCTION = """# Configuration

Generated from the models in `mml_core/config` by `make docs`; do not edit.

Three kinds of YAML files say what is run. All are checked before anything runs: unknown keys, wrong types and values out
of range are errors that name the file, the key and, where one is near, the key that was probably meant.

| file | says |
|---|---|
| `config/config.yaml` | which data set and which recipes; overridden by `--config key=value` |
| `config/datasets/NAME.yaml` | videos, annotations, and what is made of every video |
| `config/recipes/NAME.yaml` | stages of training, test protocols, tables |

Editors complete keys with the JSON schemas in `config/schemas`: begin a file with
`# yaml-language-server: $schema=../schemas/dataset.schema.json`.

Paths are relative to the folder that Snakemake runs in, absolute, or begin with `~`, the home folder. Variables of the shell
(`$DATA`) are not replaced.

## How recipes are put together

- `extends: [a.yaml, b.yaml]` lays `b.yaml` over `a.yaml` and the recipe's own keys over both: mappings are merged key by
  key, anything else is replaced. Paths are relative to the recipe. So a small overlay changes the scale of a whole recipe.
- `defaults.stage` and `defaults.network` fill in keys that a stage or a network does not set itself.
- `init: stage.network` starts a network from the weights of another stage's network. The first convolution is converted
  where the modalities have different numbers of channels; the classifier is kept unless `reset_head` is set, or that stage
  learned other classes. `init: {part: stage.network}` and `init: {part: stage.network.part}` start parts of a network by
  themselves.
- `first_weights: {imagenet2: imagenet}` names weights to start from. `init: imagenet2` then stands for them, and an overlay
  changes what they are for all stages at once, as `first_weights: {imagenet: random}` does at the scale of the demo.
- `seeds: 3` runs every stage three times, with its `seed`, `seed + 1000` and `seed + 2000`; each run starts from the weights
  of its own. Tables then carry the mean, the standard deviation and intervals over seeds and videos.
- A stage's results are in a folder named by the stage and a digest of everything that defines its weights. Order of keys,
  comments and values that equal the default do not matter; stages that recipes share are trained once.
"""


def recipe_schema() -> dict[str, Any]:
    """Return the JSON schema of recipe files: keys may also come from what is extended and from the defaults."""
    schema = _without_name(RecipeConfig.model_json_schema())
    # What decides between several blocks may come from elsewhere too, so that more than one of them may fit.
    schema = json.loads(json.dumps(schema).replace('"oneOf"', '"anyOf"'))
    for block in [schema, *schema["$defs"].values()]:
        block.pop("required", None)
    names = {"type": "object", "additionalProperties": {"type": "string"}}
    schema["properties"]["first_weights"] = names
    schema["properties"]["extends"] = {"type": "array", "items": {"type": "string"}}
    (network,) = schema["$defs"]["StageConfig"]["properties"]["networks"]["patternProperties"].values()
    of = {"stage": {"$ref": "#/$defs/StageConfig"}, "network": network}
    schema["properties"]["defaults"] = {"type": "object", "properties": of, "additionalProperties": False}
    objective = schema["$defs"]["StageConfig"]["properties"]["objective"]
    kinds = {"type": "string", "enum": list(objective["discriminator"]["mapping"])}
    schema["$defs"]["StageConfig"]["properties"]["objective"] = {"anyOf": [kinds, objective]}
    members = schema["$defs"]["EnsembleConfig"]["properties"]["members"]
    listed = {"type": "array", "items": {"type": "string"}}
    schema["$defs"]["EnsembleConfig"]["properties"]["members"] = {"anyOf": [listed, members]}
    return schema


def dataset_schema() -> dict[str, Any]:
    """Return the JSON schema of data set files."""
    return _without_name(DatasetConfig.model_json_schema())


def project_schema() -> dict[str, Any]:
    """Return the JSON schema of config/config.yaml."""
    schema = ProjectConfig.model_json_schema()
    schema["properties"]["recipe"] = {"anyOf": [{"type": "string"}, schema["properties"]["recipe"]]}
    return schema


def _without_name(schema: dict[str, Any]) -> dict[str, Any]:
    schema["properties"].pop("name")
    schema["required"] = [key for key in schema.get("required", []) if key != "name"]
    return schema


def _models(model: type[BaseModel], found: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """Return `model` and all models of its fields by name, each once, in reading order."""
    found.setdefault(model.__name__, model)
    for field in model.model_fields.values():
        for inner in _inner_models(field.annotation):
            if inner.__name__ not in found:
                _models(inner, found)
    return found


def _inner_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _inner_models(part)]


def _type_text(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type_text(part) for part in schema[several])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return f"[{'; '.join(_type_text(part) for part in schema['prefixItems'])}]"
    if schema.get("type") == "array":
        return f"list of {_type_text(schema.get('items', {}))}"
    if schema.get("type") == "object":
        patterns = list(schema.get("patternProperties", {}).values())  # keys of the form of a name
        inner = patterns[0] if patterns else schema.get("additionalProperties")
        return f"mapping to {_type_text(inner)}" if isinstance(inner, dict) else "mapping"
    return _with_range(schema)


def _with_range(schema: dict[str, Any]) -> str:
    name = {"null": "null", "integer": "integer", "number": "number", "boolean": "true or false"}
    text = "path" if schema.get("format") == "path" else name.get(schema.get("type", ""), "text")
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    return f"{text} {', '.join(limits)}" if limits else text


def _default_text(schema: dict[str, Any], required: bool) -> str:
    if required:
        return "(required)"
    value = json.dumps(schema.get("default"), ensure_ascii=False)
    return f"`{value}`" if len(value) <= 60 else "see below"


def _section(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    schema = schema["$defs"][model.__name__] if schema.get("$ref") else schema
    lines = [f"### {model.__name__}", "", inspect.cleandoc(model.__doc__ or ""), ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, block in schema["properties"].items():
        if key == "name":
            continue
        default = _default_text(block, key in schema.get("required", []))
        meaning = block.get("description", "").replace("|", "\\|")
        lines.append(f"| `{key}` | {_type_text(block)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def configuration_page() -> str:
    """Return the text of docs/configuration.md."""
    parts = [INTRODUCTION]
    tops = {
        "config/config.yaml": ProjectConfig,
        "Data sets: config/datasets/*.yaml": DatasetConfig,
        "Recipes: config/recipes/*.yaml": RecipeConfig,
    }
    for title, top in tops.items():
        parts.append(f"## {title}\n")
        parts += [_section(model) for model in _models(top, {}).values()]
    return "\n".join(parts)


def generated_files() -> dict[str, str]:
    """Return the generated files: path below the project's root to content."""
    schemas = {"dataset": dataset_schema(), "recipe": recipe_schema(), "config": project_schema()}
    files = {
        f"config/schemas/{name}.schema.json": json.dumps(schema, indent=1) + "\n" for name, schema in schemas.items()
    }
    return {"docs/configuration.md": configuration_page(), **files}


def main() -> None:
    """Write the generated files below the current folder."""
    for name, text in generated_files().items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()

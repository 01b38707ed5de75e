#!/usr/bin/env python3
"""Provider schemas out of the CDKTF bindings that HashiCorp generated from them.

    schema.py PROVIDER BINDINGS MODULES... >schema.json

BINDINGS is the unpacked npm package (@cdktf/provider-aws and its like). Only the resources and data sources that the
`.tf` files below MODULES name are given. Lists and sets of blocks come without their limits, other than "one or many".
Never: a guess about a type that the bindings do not have; that is an error.
"""

import json
import pathlib
import re
import sys

PROVIDER, BINDINGS, MODULES = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
PRIMITIVES = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "string[]": ["list", "string"],
    "number[]": ["list", "number"],
}
MEMBER = re.compile(r"    readonly (\w+)(\??): (.+);$")


def snake(name):
    return re.sub(r"([A-Z])", lambda found: "_" + found.group(1).lower(), name)


def kinds(script):
    """Which attributes are sets; the declarations say list for both."""
    found, lines = {}, script.splitlines()
    for number, line in enumerate(lines):
        kind = re.match(r'\s+type: "(\w+)",', line)
        name = re.match(r"\s+(\w+): \{$", lines[number - 3]) if kind else None
        if name:
            found[name.group(1)] = kind.group(1)
    return found


def members(source, opening):
    """Name, whether it may be left out, type and comment of each member of what begins with this line."""
    lines = iter(source.splitlines())
    for line in lines:
        if line.startswith(opening):
            break
    else:
        raise SystemExit(f"`{opening}` is not in the bindings of {PROVIDER}")
    comment, found = [], []
    for line in lines:
        if line == "}":
            return found
        if line.endswith(": {"):
            line = f"{line} {next(lines).strip()} {next(lines).strip()}"
        member = MEMBER.match(line)
        if member:
            found.append((*member.groups(), "\n".join(comment)))
            comment = []
        elif line.strip() == "/**":
            comment = []
        else:
            comment.append(line)
    raise SystemExit(f"`{opening}` has no end in the bindings of {PROVIDER}")


def type_of(text, name, sets):
    text = text.replace("| cdktf.IResolvable", "").strip()
    if text == "{ [key: string]: string; }":
        return ["map", "string"]
    kind = PRIMITIVES.get(text, "dynamic")
    return ["set", kind[1]] if isinstance(kind, list) and sets.get(name) == "set" else kind


def block_of(interface, source, sets):
    attributes, blocks = {}, {}
    for _, optional, kind, comment in members(source, f"export interface {interface} "):
        name = re.search(r"#(\w+) ", comment).group(1)
        if re.search(rf"\* {name} block", comment):
            inner = kind.replace("| cdktf.IResolvable", "").strip()
            many = inner.endswith("[]")
            blocks[name] = {
                "nesting": "set" if sets.get(name) == "set" and many else "list",
                "min": 0 if optional else 1,
                "max": 0 if many else 1,
                "block": block_of(inner.removesuffix("[]"), source, sets),
            }
        else:
            kind = type_of(kind, name, sets)
            attributes[name] = {"type": kind, "required": not optional, "optional": bool(optional), "computed": bool(optional)}
    return {"attributes": attributes, "blocks": blocks}


def whole(folder, config):
    source = (BINDINGS / "lib" / folder / "index.d.ts").read_text()
    sets = kinds((BINDINGS / "lib" / folder / "index.js").read_text())
    block = block_of(config + "Config", source, sets)
    inside = False
    for line in source.splitlines():
        inside = line.startswith(f"export declare class {config} ") or (inside and line != "}")
        getter = re.match(r"    get (\w+)\(\): (.+);$", line) if inside else None
        if getter is None:
            continue
        name, kind = getter.groups()
        name = snake(name)
        if name.endswith("_input") or name in block["attributes"] or name in block["blocks"]:
            continue
        kind = PRIMITIVES.get(kind.split(" |")[0], "dynamic")
        block["attributes"][name] = {"type": kind, "required": False, "optional": False, "computed": True}
    block["attributes"].setdefault("id", {"type": "string", "required": False, "optional": True, "computed": True})
    return block


def named(keyword):
    pattern = re.compile(rf'^{keyword} "({PROVIDER}_\w+)"', re.M)
    files = [file for module in MODULES for file in pathlib.Path(module).rglob("*.tf")]
    return sorted({name for file in files for name in pattern.findall(file.read_text())})


def main():
    schema = {"resources": {}, "data": {}, "provider": None}
    for keyword, place, prefix in (("resource", "resources", ""), ("data", "data", f"data-{PROVIDER}-")):
        for name in named(keyword):
            words = name.removeprefix(PROVIDER + "_").split("_")
            folder = prefix + "-".join(words)
            source = (BINDINGS / "lib" / folder / "index.d.ts")
            if not source.is_file():
                raise SystemExit(f"{name} is not in the bindings of {PROVIDER}")
            config = re.search(r"export interface (\w+)Config extends", source.read_text()).group(1)
            schema[place][name] = whole(folder, config)
    source = BINDINGS / "lib" / "provider"
    config = re.search(r"export interface (\w+)Config ", (source / "index.d.ts").read_text()).group(1)
    sets = kinds((source / "index.js").read_text())
    schema["provider"] = block_of(config + "Config", (source / "index.d.ts").read_text(), sets)
    schema["provider"]["attributes"].pop("alias", None)
    json.dump(schema, sys.stdout)


main()

"""`python -m keyward_policy.build MODULE -o POLICY.wasm`: a policy's module becomes a component."""

from __future__ import annotations

import argparse
import importlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import __version__

_CONTRACT = Path(__file__).with_name("wit") / "policy.wit"
_ENTRY = """
from keyward_policy import _exports
from {module} import policy

Guard, Handler = _exports.of(policy)
"""


def narrowed(contract: str, permissions: list[str]) -> str:
    """The contract with a world that imports these interfaces and no other."""

    def kept(line: re.Match[str]) -> str:
        return line[0] if line[1] == "types" or line[1] in permissions else ""

    return re.sub(r"^  import ([a-z]+);\n", kept, contract, flags=re.M)


def permissions_of(module: str, folder: Path) -> list[str]:
    """The interfaces that a policy's module imports when it is loaded. Loads it."""
    sys.path.insert(0, str(folder))
    loaded = importlib.import_module(module)
    # Only now: importing it earlier would not change what is granted, but reads as if it did.
    from . import _permissions
    from .policy import Policy

    if not isinstance(getattr(loaded, "policy", None), Policy):
        raise SystemExit(f"error: the module `{module}` has no variable `policy = Policy()`")
    return _permissions.granted()


def build(module: str, folder: Path, output: Path) -> list[str]:
    """Builds a module found in `folder` into the file `output`; gives its permissions."""
    program = shutil.which("componentize-py", path=str(Path(sys.executable).parent))
    program = program or shutil.which("componentize-py")
    if program is None:
        raise SystemExit("error: componentize-py is missing: pip install 'keyward-policy[build]'")
    permissions = permissions_of(module, folder)
    with tempfile.TemporaryDirectory(prefix="keyward-policy-") as scratch:
        contract = Path(scratch) / "policy.wit"
        contract.write_text(narrowed(_CONTRACT.read_text(), permissions))
        entry = Path(scratch) / "entry"
        entry.mkdir()
        (entry / "keyward_policy_entry.py").write_text(_ENTRY.format(module=module))
        # The package alone, not everything that is installed beside it.
        package = Path(scratch) / "package" / "keyward_policy"
        leave = shutil.ignore_patterns("__pycache__", "_memory", "_wit", "testing.py", "build.py")
        shutil.copytree(Path(__file__).parent, package, ignore=leave)
        paths = [entry, package.parent, folder]
        command = [program, "-q", "-d", str(contract), "-w", "policy", "componentize"]
        command += [word for path in paths for word in ("-p", str(path))]
        output.parent.mkdir(parents=True, exist_ok=True)
        command += ["--stub-wasi", "keyward_policy_entry", "-o", str(output)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            raise SystemExit(f"error: {module} does not build:\n{run.stdout}{run.stderr}")
    with output.open("ab") as component:
        component.write(section("keyward:sdk", f"keyward_policy {__version__}"))
    return permissions


def section(name: str, text: str) -> bytes:
    """A custom section, to be appended to a component: hosts and tools show what is in `keyward:sdk`,
    and nothing depends on it. Lengths are below 128, so that each is one byte of LEB128."""
    content = bytes([len(name)]) + name.encode() + text.encode()
    if len(content) > 127:
        raise ValueError("the section is too long")
    return bytes([0, len(content)]) + content


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m keyward_policy.build", description=__doc__)
    parser.add_argument("module", help="the policy's module, such as `approvals`")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("-p", "--path", type=Path, default=Path(), help="the folder it is in")
    arguments = parser.parse_args()
    permissions = build(arguments.module, arguments.path.resolve(), arguments.output)
    size = arguments.output.stat().st_size
    print(f"{arguments.output}: {size} bytes; imports {', '.join(permissions) or 'nothing'}")


if __name__ == "__main__":
    main()

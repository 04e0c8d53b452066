"""Generates `src/keyward_policy/_wit`, the contract's types, and copies the contract.

    python scripts/generate.py [--check]

With `--check` nothing is written; it fails where what is there is not what would be.
"""

import filecmp
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CONTRACT = HERE.parent.parent / "wit" / "policy.wit"
PACKAGE = HERE / "src" / "keyward_policy"


def generate(folder: Path) -> None:
    """Writes `_wit` and `wit` into the folder."""
    (folder / "wit").mkdir()
    shutil.copyfile(CONTRACT, folder / "wit" / "policy.wit")
    with tempfile.TemporaryDirectory() as scratch:
        program = Path(sys.executable).with_name("componentize-py")
        command = [program, "-q", "-d", CONTRACT, "-w", "policy", "bindings", scratch]
        subprocess.run(command, check=True)
        wit = folder / "_wit"
        shutil.copytree(Path(scratch) / "wit_world", wit)
        shutil.copyfile(Path(scratch) / "componentize_py_types.py", wit / "componentize_py_types.py")
    for file in wit.rglob("*.py"):
        dots = "." * len(file.relative_to(wit).parts)
        text = file.read_text()
        text = re.sub(r"^from componentize_py_types", f"from {dots}componentize_py_types", text, flags=re.M)
        file.write_text(text)


def differences(left: Path, right: Path) -> list[str]:
    """Files below `left` that `right` lacks, or has otherwise."""
    return [
        str(file.relative_to(left))
        for file in sorted(left.rglob("*"))
        if file.suffix in {".py", ".wit"}
        and not (
            (right / file.relative_to(left)).exists()
            and filecmp.cmp(file, right / file.relative_to(left), shallow=False)
        )
    ]


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        new = Path(scratch)
        generate(new)
        if "--check" in sys.argv:
            stale = differences(new, PACKAGE) + [
                f"_wit/{name}" for name in differences(PACKAGE / "_wit", new / "_wit")
            ]
            if stale:
                print(f"not what wit/policy.wit gives: {', '.join(stale)}; run scripts/generate.py")
                return 1
            return 0
        for name in ("_wit", "wit"):
            shutil.rmtree(PACKAGE / name, ignore_errors=True)
            shutil.copytree(new / name, PACKAGE / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())

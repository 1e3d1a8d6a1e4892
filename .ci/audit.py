"""Ask whether a known vulnerability concerns what .ci/requirements/ pins: `audit.py [pip-audit's options]`.

pip-audit runs in a virtual environment of its own, pinned by hash like the rest. It asks the package index's JSON
API: that needs the network, and an index that has one (a mirror often has not). Exit code 0: nothing is known of
any; 1: something is; 3: it could not be found out, of some or of all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

SETS = Path(__file__).parent / "requirements"
_PIP = (
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--only-binary",
    ":all:",
    "--require-hashes",
)
_MOST_LINES = 5


def audit(options: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as made:
        venv = Path(made) / "venv"
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        python = venv / "bin" / "python"
        installed = subprocess.run([python, *_PIP, "--requirement", SETS / "audit.txt"], check=False)
        if installed.returncode:
            sys.stderr.write("audit: pip-audit can't be had: nothing was looked up\n")
            return 3
        asked = [word for file in sorted(SETS.glob("*.txt")) for word in ("--requirement", str(file))]
        report = Path(made) / "report.json"
        words = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]
        done = subprocess.run(
            [python, "-m", "pip_audit", *words, "--output", report, *asked, *options],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if not report.exists():
            sys.stderr.write(
                f"{_last(done.stderr)}\naudit: pip-audit did not get an answer: nothing was looked up\n"
            )
            return 3
        lines, code = told(json.loads(report.read_text()))
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        return code


def told(report: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """What pip-audit found, in lines, and the exit code. It takes for harmless what it could not look up."""
    packages = {(one["name"], one.get("version", "")): one for one in report["dependencies"]}
    skipped = [str(one["skip_reason"]) for one in packages.values() if "skip_reason" in one]
    found = [line for one in packages.values() for line in _vulnerabilities(one)]
    lines = [*found, *skipped[:_MOST_LINES]]
    if len(skipped) > _MOST_LINES:
        lines.append(f"… and {len(skipped) - _MOST_LINES} more")
    if found:
        return (*lines, f"audit: {len(found)} known in {len(packages)} packages: renew the pins (make lock)"), 1
    if skipped:
        return (*lines, f"audit: {len(skipped)} of {len(packages)} packages could not be looked up, see above"), 3
    return (f"audit: nothing is known of {len(packages)} packages",), 0


def _vulnerabilities(package: Mapping[str, Any]) -> Iterator[str]:
    for one in package.get("vulns", ()):
        mended = ", ".join(one["fix_versions"]) or "no release yet"
        yield f"{package['name']} {package['version']}: {one['id']} (mended in {mended})"


def _last(text: str) -> str:
    return next(reversed([line for line in text.splitlines() if line.strip()]), "")


if __name__ == "__main__":
    sys.exit(audit(sys.argv[1:]))

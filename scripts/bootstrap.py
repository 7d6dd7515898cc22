"""Makes .venv, and puts uv into .venv/tools, with nothing but Python's standard library. `make` calls it when needed.

.venv itself gets no pip: its site-packages holds what uv.lock names, and nothing else.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ENVIRONMENT = Path(".venv")
OLDEST = (3, 11)


def main() -> None:
    """The version of uv that the argument names is in .venv/tools/uv-VERSION/bin."""
    if sys.version_info < OLDEST:
        stop(f"Baton needs Python {OLDEST[0]}.{OLDEST[1]} or newer; {sys.executable} is {sys.version.split()[0]}.\n"
             "Name another one: make PYTHON=python3.12 …")  # fmt: skip
    version = sys.argv[1]
    target = ENVIRONMENT / "tools" / f"uv-{version}"
    if (target / "bin" / "uv").exists():
        return
    make_environment()
    with tempfile.TemporaryDirectory() as scratch:
        run(sys.executable, "-m", "venv", scratch)
        pip = [str(Path(scratch, "bin", "python")), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        half = Path(scratch, "uv")
        run(*pip, "--no-deps", "--target", str(half), f"uv=={version}")
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(half, target)


def make_environment() -> None:
    """.venv is an environment whose Python runs."""
    require_venv()
    python = ENVIRONMENT / "bin" / "python"
    if python.exists() and attempt(str(python), "-c", "").returncode == 0:
        return
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    run(sys.executable, "-m", "venv", "--without-pip", str(ENVIRONMENT))


def require_venv() -> None:
    """Python can make environments. Debian ships that apart; it is installed if we are root."""
    if find_spec("venv") and find_spec("ensurepip"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not shutil.which("apt-get") or os.geteuid() != 0:
        stop(f"This Python cannot make environments. Install it: sudo apt-get install {package}")
    sys.stderr.write(f"installing {package} …\n")
    quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y")
    install = (*quiet, "install", "--no-install-recommends", package)
    if attempt(*install).returncode != 0:
        run(*quiet, "update")
        run(*install)


def run(*command: str) -> None:
    """The command has succeeded, or the program ends with what it said."""
    done = attempt(*command)
    if done.returncode != 0:
        stop(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")


def attempt(*command: str) -> "subprocess.CompletedProcess[str]":
    """The command has ended, somehow."""
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 it is ours


def stop(reason: str) -> None:
    """The program ends; a person reads why."""
    sys.exit(f"scripts/bootstrap.py: {reason}")


if __name__ == "__main__":
    main()

"""Runs the command line: ``python -m pytorch_accelerated``."""

from pytorch_accelerated.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

#!/usr/bin/env bash
# Runs the quick tests that need no torch on every other Python of this machine that the package is
# for. All of them share one folder of test tools, which stays for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${VENV:-.venv}/bin/python
tools=${VENV:-.venv}/tools
own=$("$python" -c 'import sys; print(sys.version_info.minor)')

if [ ! -e "$tools/installed" ]; then
    # In pure Python, so for all of them; the last three are what only the oldest one needs.
    "$python" -m pip install --quiet --disable-pip-version-check --target "$tools" \
        --python-version 3.10 --only-binary=:all: --implementation py --abi none --platform any \
        pytest pytest-timeout hypothesis mpmath exceptiongroup tomli typing_extensions
    touch "$tools/installed"
fi
export PYTHONPATH=$PWD:$tools PYTHONDONTWRITEBYTECODE=1

for minor in 10 11 12 13 14; do
    [ "$minor" = "$own" ] && continue
    found=
    for one in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor".*/bin/python; do
        # One that is found may still be a stand-in for a version that is not there.
        "$one" -c "" 2>/dev/null && found=$one && break
    done
    if [ -z "$found" ]; then
        echo "Python 3.$minor: not on this machine"
        continue
    fi
    echo "Python 3.$minor:"
    # Each file has to be read, as not all are imported below.
    find pytorch_accelerated examples -name "*.py" -exec "$found" -W error -c "
import sys, pathlib
for one in sys.argv[1:]: compile(pathlib.Path(one).read_text('utf-8'), one, 'exec')" {} +
    "$found" -W error -m pytorch_accelerated preview "cosine(100)" -o "$tools/plan.csv"
    "$found" -m pytest -q -p no:cacheprovider tests/schedules pytorch_accelerated/schedules \
        pytorch_accelerated/checks.py --ignore tests/schedules/test_properties.py \
        --ignore tests/schedules/test_arrays.py \
        --ignore tests/schedules/test_accuracy.py
done

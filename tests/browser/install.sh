#!/bin/sh
# Installs the browser of the tests in this folder from Debian's or Ubuntu's packages.
# Where that cannot be done they are skipped, so a failure here is no error.
set -u
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
run=""
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "No chromium, and no right to install it: the browser tests are skipped." >&2
        exit 0
    fi
    run="sudo -n"
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "No chromium and no apt-get: the browser tests are skipped." >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
if ! { $run apt-get update -qq && $run apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1; then
    echo "chromium could not be installed: the browser tests are skipped." >&2
fi
exit 0

#!/usr/bin/env bash
# Check the licences of what an environment holds: licences.sh PYTHON. Only permissive and weak copyleft ones are taken;
# each LGPL package has to be named in docs/explanation/security.md.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
allowed='MIT;BSD;Apache;ISC;Internet Systems Consortium;PSF;Python Software Foundation;Python-2.0;MPL-2.0;Mozilla Public License 2.0'
allowed+=';LGPL-3.0-only;GNU Lesser General Public License v2 or later;GNU Lesser General Public License v3;Unlicense;CC0;Zlib;HPND;Public Domain'
# their metadata name no licence: vodozemac is Apache-2.0, peewee MIT
unstated=(vodozemac peewee)
.venv/bin/pip-licenses --python="$python" --partial-match --allow-only="$allowed" --ignore-packages "${unstated[@]}" > /dev/null
.venv/bin/pip-licenses --python="$python" --format=json | .venv/bin/python -c '
import json, pathlib, sys
page = pathlib.Path("docs/explanation/security.md").read_text("utf-8")
lesser = [each["Name"] for each in json.load(sys.stdin) if "LGPL" in each["License"] or "Lesser" in each["License"]]
missing = [name for name in lesser if f"`{name}`" not in page]
sys.exit(f"docs/explanation/security.md does not name these LGPL packages: {missing}" if missing else 0)'
echo "licences: permissive or named"

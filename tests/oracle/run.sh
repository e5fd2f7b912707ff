#!/bin/sh
# run.sh SCRIPT ARG...: runs a Python oracle with the venv that PUMICE_TEST_VENV names, or
# with python3; exits with 77 and the reason where there is none.
python=${PUMICE_TEST_VENV:+$PUMICE_TEST_VENV/bin/}python3
command -v "$python" > /dev/null || { echo "skipped: $python is not there"; exit 77; }
exec "$python" "$@"

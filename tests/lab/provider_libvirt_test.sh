#!/bin/bash
# tests/lab/provider_libvirt_test.sh: provider libvirt against real containers, in a lab of its own.
#
# LAMPLIGHTER_TEST_STRIDE=N kills the calls at every Nth of their system calls (37; 1 takes an hour).
# The last line has the counts. Needs root and a Debian 12 or 13.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
lab=$top/vagrant/lab
program=build/tests/lab/provider_libvirt_test
export LAB_NAME=provider-$$
work=$(mktemp -d)

finish() {
    "$lab" down >/dev/null 2>&1 || true
    rm -rf -- "$work"
}
trap finish EXIT

cd "$top"
make --no-print-directory -s "$program"
"$lab" up >"$work/up" || { cat "$work/up" && exit 1; }
ssh-keygen -q -t ed25519 -N '' -C login -f "$work/login"
"$lab" run -- env LAMPLIGHTER_TEST_DIR="$work" "./$program" >"$work/out" 2>&1 || true
# Again, with instances that stand on a signed image instead of a directory.
"$lab" run -- env LAMPLIGHTER_TEST_DIR="$work" LAMPLIGHTER_TEST_SIGNED=yes "./$program" >>"$work/out" 2>&1 || true
grep -vE '^\[ RUN|^\[=====' "$work/out" || true
# Counted in what was run: a program that dies has fewer results than beginnings.
begun=$(grep -c '^\[ RUN' "$work/out" || true)
passed=$(grep -c '^\[       OK' "$work/out" || true)
skipped=$(grep -c '^\[  SKIPPED \] test_[a-z0-9_]*$' "$work/out" || true)
failed=$((begun - passed - skipped))
# A leak found at the end is a failure of its own.
if [[ $begun -eq 0 ]] || grep -q 'ERROR: .*Sanitizer' "$work/out"; then failed=$((failed + 1)); fi
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[[ $failed -eq 0 ]]

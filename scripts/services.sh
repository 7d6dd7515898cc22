#!/usr/bin/env bash
# What the tests need from Debian. Quiet and quick when it is there; a note, not an error, when it cannot be installed:
# the tests themselves decide whether to skip or to fail (BATON_TEST_REQUIRE=all).
set -euo pipefail

note() { printf 'scripts/services.sh: %s\n' "$*" >&2; }

install() { # package
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1" >/dev/null
}

need() { # command, package, what happens without it
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    note "$1 is missing, so $3; as root: apt-get install $2"
    return
  fi
  note "installing $2 …"
  install "$2" 2>/dev/null && return
  apt-get update -qq >&2 || true
  install "$2" || { sleep 5 && install "$2"; } || note "$2 cannot be installed, so $3"
}

case "${1:-test}" in
  test) need chromium chromium "the browser tests are skipped" ;;
  *)
    note "what for? say: scripts/services.sh test"
    exit 2
    ;;
esac

#!/usr/bin/env bash
# What the tests need from Debian: installed, never started; the tests start their own on free ports. Quiet and quick when
# it is there; a note, not an error, when it cannot be installed: the tests themselves decide whether to skip or to fail
# (BATON_TEST_REQUIRE=all).
set -euo pipefail

note() { printf 'scripts/services.sh: %s\n' "$*" >&2; }

install() { # package…
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

absent=() packages=()

need() { # command or file, package
  if ! command -v "$1" >/dev/null && ! compgen -G "$1" >/dev/null; then
    absent+=("$1")
    packages+=("$2")
  fi
}

settle() {
  [ ${#absent[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    note "missing: ${absent[*]}; their tests are skipped. As root: apt-get install ${packages[*]}"
    return
  fi
  note "installing ${packages[*]} …"
  install "${packages[@]}" 2>/dev/null && return
  apt-get update -qq >&2 || true
  install "${packages[@]}" || { sleep 5 && install "${packages[@]}"; } ||
    note "cannot be installed: ${packages[*]}; their tests are skipped"
}

case "${1:-test}" in
  test)
    need chromium chromium
    need redis-server redis-server
    need redis-sentinel redis-sentinel
    need '/usr/lib/postgresql/*/bin/initdb' postgresql
    need pgbouncer pgbouncer
    need haproxy haproxy
    need nginx nginx-light
    need promtool prometheus
    settle
    ;;
  *)
    note "what for? say: scripts/services.sh test"
    exit 2
    ;;
esac

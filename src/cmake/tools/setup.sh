#!/usr/bin/env bash
# Everything a build needs, fetched once: Debian packages, .venv, the film of the demo. Prints nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/../../.."

packages=(
  g++ cmake ninja-build ccache pkg-config git ca-certificates
  libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libavfilter-dev libavdevice-dev ffmpeg
  libopencv-core-dev libopencv-imgproc-dev libopencv-video-dev libopencv-objdetect-dev libopencv-calib3d-dev libopencv-features2d-dev opencv-data
  libpango1.0-dev libcairo2-dev fonts-dejavu-core
  nlohmann-json3-dev libfmt-dev libeigen3-dev libutf8proc-dev doctest-dev libbenchmark-dev python3-venv python3-dev
)

say() { printf '\n== %s\n' "$*"; }
apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@"; }

system_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "No dpkg here: install the counterparts of these Debian packages; the build names what it misses: ${packages[*]}"
    return
  fi
  local missing=() package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if [[ $EUID -ne 0 ]]; then
    printf 'Vidloom misses %d packages. Install them once, then run make again:\n\n  sudo apt-get install --no-install-recommends %s\n\n' \
      "${#missing[@]}" "${missing[*]}" >&2
    exit 1
  fi
  say "Installing ${#missing[@]} Debian packages"
  apt update
  apt install -y --no-install-recommends "${missing[@]}"
}

python_environment() {
  local stamp=.venv/.requirements
  if [[ -f $stamp ]] && cmp -s "$stamp" tests/support/requirements.txt && .venv/bin/python -c '' 2>/dev/null; then return; fi
  local python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    printf 'Vidloom needs Python 3.10 or newer; %s is %s. Choose another: make PYTHON=python3.12\n' "$python" "$("$python" -V 2>&1)" >&2
    exit 1
  }
  .venv/bin/python -c '' 2>/dev/null || { say "Making .venv with $("$python" -V)"; "$python" -m venv --clear .venv; }
  say "Installing the Python packages of the build and the tests into .venv"
  .venv/bin/python -m pip install -qq --disable-pip-version-check --requirement tests/support/requirements.txt
  cp tests/support/requirements.txt "$stamp"
}

# The films of Debian's opencv-doc: a street with people (vtest.avi), and a few that are odd in useful ways.
films() {
  local wanted=(vtest.avi tree.avi Megamind.avi Megamind_bugy.avi box.mp4 cup.mp4) clips=build/clips root=/usr/share/doc/opencv-doc work=""
  local film found all=1
  for film in "${wanted[@]}"; do [[ -f $clips/$film ]] || all=0; done
  if ((all)) || [[ -f $clips/.tried ]]; then return 0; fi
  mkdir -p "$clips"
  if [[ -z $(find "$root" -name 'vtest.avi*' -print -quit 2>/dev/null) ]]; then
    root=""
    if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
      say "Fetching the demo's film (opencv-doc, 96 MB, unpacked into build/clips only)"
      work=$(mktemp -d)
      chmod 755 "$work"
      if (cd "$work" && { apt download opencv-doc || { [[ $EUID -eq 0 ]] && apt update && apt download opencv-doc; }; }) &&
        dpkg-deb -x "$work"/opencv-doc_*.deb "$work/tree"; then
        root=$work/tree
      fi
    fi
  fi
  touch "$clips/.tried"
  if [[ -n $root ]]; then
    for film in "${wanted[@]}"; do
      found=$(find "$root" \( -name "$film" -o -name "$film.gz" \) -print -quit)
      case $found in
        *.gz) gzip -dc "$found" >"$clips/$film" ;;
        ?*) cp "$found" "$clips/$film" ;;
      esac
    done
  fi
  [[ -z $work ]] || rm -rf "$work"
  if [[ ! -f $clips/vtest.avi ]]; then
    say "The film could not be had (package opencv-doc): the demo shows Vidloom's own test pattern instead"
  fi
}

system_packages
python_environment
films

#!/bin/sh
# Fetches what composites.py pastes, by pinned version, into the folder given (build/logos). Nothing of it is committed.
set -eu
mkdir -p "$1" && cd "$1"
for package in simple-icons@13.21.0 @fortawesome/fontawesome-free@6.7.2; do
  file=$(npm pack --silent "$package")
  mkdir -p "${file%.tgz}" && tar -xzf "$file" -C "${file%.tgz}" && rm "$file"
done
if [ ! -d doc ]; then
  apt-get download opencv-doc
  dpkg-deb -x opencv-doc_*.deb doc
  rm opencv-doc_*.deb
  # Some pictures are packed.
  find doc -name '*.gz' \( -name '*.png.gz' -o -name '*.jpg.gz' \) -exec gunzip {} +
fi

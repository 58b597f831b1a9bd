#!/bin/sh
# ./package.sh [DIRECTORY]: builds release binaries and makes, in DIRECTORY (dist/),
#   bryo-VERSION-linux-ARCH.tar.gz   programs, units, AppArmor profile, completions, documents: unpack, then bin/bryo setup
#   bryo_VERSION_ARCH.deb            the same for Debian and its kin
# The bytes follow from the commit alone: times are the commit's, names are sorted, owners are root. Needs git and dpkg-deb.
# BRYO_BIN_DIR takes programs that are built already.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cd "$here"
out=${1:-dist}
umask 022
export LC_ALL=C TZ=UTC

# The programs of an installation: the same as in src/cli/setup/contents.cpp.
programs="bryo bryod bryo-host bryo-init bryo-monitor bryo-oci bryo-rootless bryo-usernet"

git() { command git -c safe.directory="$here" "$@"; }
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
version=$(sed -n 's/^project(bryo VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
machine=$(uname -m)

if [ -z "${BRYO_BIN_DIR:-}" ]; then
  cmake --preset release >/dev/null
  # shellcheck disable=SC2086
  cmake --build --preset release --target $programs
  BRYO_BIN_DIR=build/release/bin
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

copy() {  # copy FILE TARGET [MODE]
  mkdir -p "$(dirname "$2")"
  install -m "${3:-644}" "$1" "$2"
}

copy_programs() {  # copy_programs DIRECTORY
  for program in $programs; do copy "$BRYO_BIN_DIR/$program" "$1/$program" 755; done
}

completion() {  # completion SHELL FILE
  mkdir -p "$(dirname "$2")"
  "$BRYO_BIN_DIR/bryo" completion "$1" > "$2"
}

completions() {  # completions SHARE
  completion bash "$1/bash-completion/completions/bryo"
  completion zsh "$1/$2/_bryo"
  completion fish "$1/fish/vendor_completions.d/bryo.fish"
}

# All times are the commit's.
settle() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

tarball() {
  name=bryo-$version-linux-$machine
  root=$work/$name
  copy_programs "$root/bin"
  completions "$root/share" zsh/site-functions
  for file in packaging/systemd/*.service packaging/systemd/*.socket packaging/systemd/user/*; do copy "$file" "$root/units/${file#packaging/systemd/}"; done
  copy packaging/default/bryo "$root/units/default/bryo"
  copy packaging/sysusers.conf "$root/units/sysusers.conf"
  copy packaging/apparmor/bryo "$root/apparmor/bryo"
  copy packaging/install "$root/install" 755
  for file in README.md LICENSE docs/install.md docs/limits.md; do copy "$file" "$root/$file"; done
  settle "$root"
  tar --create --directory "$work" --sort=name --format=ustar --numeric-owner --owner=0 --group=0 --mtime="@$SOURCE_DATE_EPOCH" "$name" |
    gzip --no-name -9 > "$out/$name.tar.gz"
  echo "$out/$name.tar.gz"
}

# Packages of the libraries that the programs are linked to, as "a (>= 1), b": from dpkg's own records on this machine.
library_packages() {
  for program in $programs; do
    readelf -d "$BRYO_BIN_DIR/$program" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
  done | sort -u | while read -r library; do
    path=$(ldconfig -p | sed -n "s|^[[:space:]]*$library (.*x86-64.*=> ||p; s|^[[:space:]]*$library (.*AArch64.*=> ||p" | head -n 1)
    [ -n "$path" ] || continue
    for file in "$path" "$(readlink -f "$path")" "/usr$path"; do
      package=$(dpkg-query -S "$file" 2>/dev/null | sed -n 's/^\([^:,]*\)[:,].*/\1/p' | head -n 1)
      if [ -n "$package" ]; then echo "$package"; break; fi
    done
  done | sort -u | while read -r package; do
    version_of=$(dpkg-query -W -f '${Version}' "$package" | sed 's/-[^-]*$//; s/+.*//')
    echo "$package (>= $version_of)"
  done | paste -s -d , | sed 's/,/, /g'
}

deb() {
  architecture=$(dpkg --print-architecture)
  root=$work/deb
  copy_programs "$root/usr/bin"
  completions "$root/usr/share" zsh/vendor-completions
  copy packaging/systemd/bryo.service "$root/lib/systemd/system/bryo.service"
  copy packaging/systemd/bryo.socket "$root/lib/systemd/system/bryo.socket"
  copy packaging/systemd/user/bryo.service "$root/usr/lib/systemd/user/bryo.service"
  copy packaging/sysusers.conf "$root/usr/lib/sysusers.d/bryo.conf"
  copy packaging/default/bryo "$root/etc/default/bryo"
  copy packaging/apparmor/bryo "$root/etc/apparmor.d/bryo"
  for file in README.md docs/install.md docs/limits.md; do copy "$file" "$root/usr/share/doc/bryo/${file##*/}"; done
  copy LICENSE "$root/usr/share/doc/bryo/copyright"
  size=$(du -sk --apparent-size "$root" | cut -f1)
  mkdir -p "$root/DEBIAN"
  sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@SIZE@/$size/" -e "s/@LIBRARIES@/$(library_packages)/" \
    packaging/debian/control > "$root/DEBIAN/control"
  printf '/etc/default/bryo\n/etc/apparmor.d/bryo\n' > "$root/DEBIAN/conffiles"
  for script in postinst prerm postrm; do copy packaging/debian/$script "$root/DEBIAN/$script" 755; done
  settle "$root"
  dpkg-deb --root-owner-group -Zgzip --build "$root" "$out/bryo_${version}_$architecture.deb" >/dev/null
  echo "$out/bryo_${version}_$architecture.deb"
}

mkdir -p "$out"
tarball
if command -v dpkg-deb >/dev/null; then deb; else echo "no dpkg-deb here: no package for Debian" >&2; fi

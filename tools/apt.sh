# tools/apt.sh: the one list of Debian 12 packages, sourced by run.sh, test.sh and bench/run.sh:
#
#   . tools/apt.sh
#   apt_need build run test
#
# apt_need installs what is missing of the groups named, as root or, for an ordinary user, with sudo. It prints nothing and starts
# nothing when all is there. No package that it installs may start a service (docker.io would start dockerd on the developer's machine).

APT_GROUP_build="g++ cmake ninja-build ccache pkg-config libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  libboost-system1.81-dev libcurl4-openssl-dev libssl-dev libarchive-dev libisal-dev libzstd-dev libsqlite3-dev libseccomp-dev libcap-dev
  libnl-route-3-dev libmnl-dev libsubid-dev libsystemd-dev libspdlog-dev libfmt-dev libcli11-dev libgtest-dev libgmock-dev zlib1g-dev libslirp-dev
  libbz2-dev liblzma-dev libyaml-dev"
APT_GROUP_run="nftables iproute2 uidmap passwd busybox-static python3 procps util-linux"
APT_GROUP_test="crun fuse-overlayfs podman rootlesskit slirp4netns passt conmon libnss-extrausers clang-format docker-registry skopeo umoci mmdebstrap python3-pytest docker.io git jq curl openssl e2fsprogs"
APT_GROUP_bench="crun runc podman rootlesskit slirp4netns passt iperf3 gcc libc6-dev docker.io docker-registry skopeo busybox-static python3 jq"
APT_GROUP_fuzz="clang libclang-rt-14-dev"
APT_GROUP_vm="qemu-system-x86 busybox-static cpio zstd xz-utils"

# Set-up scripts run as whoever called us; what needs root goes through this.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -- "$@"; fi
}

apt_missing() {
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^[ih]i  *//p')
  # A docker from elsewhere (docker-ce) serves as well as Debian's, which conflicts with it.
  if command -v dockerd >/dev/null 2>&1; then installed="$installed
docker.io"; fi
  printf '%s\n' "$@" | sort -u | grep -vxF "$installed"
}

apt_need() {
  wanted=""
  for group in "$@"; do
    eval "wanted=\"\$wanted \$APT_GROUP_$group\""
  done
  # shellcheck disable=SC2086
  missing=$(apt_missing $wanted | sort -u | tr '\n' ' ')
  [ -z "${missing% }" ] && return 0
  echo "installing with apt: $missing" >&2
  policy=/usr/sbin/policy-rc.d
  ours=""
  if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  status=0
  # shellcheck disable=SC2086
  apt_install $missing || { as_root apt-get update -qq >&2 && apt_install $missing; } || status=$?
  if [ -n "$ours" ]; then as_root rm -f "$policy"; fi
  if [ "$status" -ne 0 ]; then
    echo "apt could not install: $missing" >&2
    echo "install them by hand (see tools/apt.sh) and start again" >&2
  fi
  return "$status"
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" >&2 </dev/null
}

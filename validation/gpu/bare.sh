#!/usr/bin/env bash
# Unpacks what `make gpu-node` made in a Debian that has a shell and little else, in a chroot, and
# runs a command in its folder (root; Debian's packages are downloaded, not installed):
#   validation/gpu/bare.sh                        a training on 2 ranks
#   validation/gpu/bare.sh COMMAND [ARCHIVE]
# Where this machine has CUDA's libraries they are shown there too.
set -euo pipefail
cd "$(dirname "$0")/../.."
command=${1:-./run mpirun -np 2 czhpc configs/demo.yaml --set train.epochs=1}
archive=$(realpath "${2:-build/gpu-node/czhpc-gpu.tar.gz}")
packages=(libc6 libc-bin bash coreutils libtinfo6 libselinux1 libpcre2-8-0 libacl1 libattr1 libgmp10
    libcrypt1 libstdc++6 libgcc-s1 grep sed mawk tar gzip findutils hostname libssl3)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{proc,dev,sys,tmp,etc,usr/bin,usr/lib,usr/lib64,usr/local/cuda/lib64} "$work/debs"
for link in bin lib lib64; do ln -s usr/$link "$root/$link"; done
(cd "$work/debs" && apt-get -qq download "${packages[@]}" 2>/dev/null)
for package in "$work"/debs/*.deb; do
    dpkg --fsys-tarfile "$package" | tar -C "$root" --keep-directory-symlink -xf -
done
ln -s mawk "$root/usr/bin/awk"
echo 'root:x:0:0:root:/:/bin/bash' >"$root/etc/passwd"
mkdir "$root/elsewhere"
tar -C "$root/elsewhere" --strip-components=1 -xzf "$archive"

cuda=$(dirname "$(ldconfig -p | awk '/libcublasLt\.so/ {print $NF; exit}')")
# The mounts are of a namespace of their own and end with it.
# shellcheck disable=SC2016 # the inner shell's
unshare -m bash -euc '
    for place in proc dev sys; do mount --rbind /$place "$0/$place"; done
    mount -t tmpfs tmpfs "$0/tmp"
    [ ! -e "$2/libcublasLt.so" ] || mount --bind "$2" "$0/usr/local/cuda/lib64"
    cd "$0" && exec chroot "$0" /usr/bin/env -i PATH=/usr/bin:/bin bash -c "cd /elsewhere && $1"
' "$root" "$command" "$cuda"

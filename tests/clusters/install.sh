#!/bin/sh
# What the clusters on one machine need, quietly, where root and apt can bring it.
set -eu
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then
    exit 0
fi
for program in slurmctld slurmd munged sshd ssh-keygen ip openssl; do
    if ! command -v "$program" > /dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends \
            slurm-wlm munge openssh-server openssh-client iproute2 openssl > /dev/null
        exit 0
    fi
done

#!/bin/sh
# alone.sh COMMAND…: in namespaces of its own. No network but loopback, since Ray listens on every interface it finds;
# and no process but those that COMMAND starts, so that nothing else can be ended by mistake, nor anything outlive it.
set -e
INKLING_OUTSIDE=$(readlink /proc/self/ns/pid)
export INKLING_OUTSIDE
own="--net --pid --fork --kill-child --mount-proc"
if [ "$(id -u)" != 0 ]; then own="--map-root-user $own"; fi
# The shell stays, as process 1: it reaps what has lost its parent.
# shellcheck disable=SC2086
exec unshare $own sh -c 'ip link set lo up && "$@"' alone "$@"

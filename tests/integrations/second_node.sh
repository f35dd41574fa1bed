#!/bin/sh
# mpirun calls it instead of ssh. It runs the daemon of a second node on this machine, without the other variables of mpirun.
#
#     second_node.sh HOST COMMAND...
shift
exec env -i HOME="$HOME" PATH="$PATH" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 setsid sh -c "$*"

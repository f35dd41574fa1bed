#!/bin/sh
# Stands for ssh to a second node, for mpirun: runs its daemon on this machine, in an environment without any other variable.
#
#     second_node.sh HOST COMMAND...
shift
exec env -i HOME="$HOME" PATH="$PATH" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 setsid sh -c "$*"

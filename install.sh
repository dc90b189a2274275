#!/usr/bin/env bash
echo "install.sh: to come" >&2
exit 1

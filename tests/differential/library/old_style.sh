#!/bin/sh
. "$1"
printf '{"changed": true, "said": "%s", "rc": %s}\n' "$say" "${rc:-0}"

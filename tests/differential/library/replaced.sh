#!/bin/sh
cat <<'END'
{"given": <<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>}
END

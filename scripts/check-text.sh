#!/usr/bin/env bash
# Refuses text that must not be in any file of the repository: the address of a package registry (the tools' own settings
# say where packages come from), an absolute path of somebody's machine, a private key.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bad=false
# refuse WHY PATTERN: PATTERN is an extended regular expression; written so that it does not match itself.
refuse() {
  local found code=0
  found=$(git grep -nIE --untracked -e "$2" -- .) || code=$?
  case $code in
    0) ;;
    1) return 0 ;; # nothing found; anything above is a failure of the search
    *) echo "check-text: git grep failed" >&2; exit 2 ;;
  esac
  bad=true
  echo "$1:"
  cut -c1-200 <<<"$found" | sed 's/^/  /'
}

refuse "a package registry's host" \
  '(proxy|sum|index)[.]golang[.]org|(pypi|pythonhosted)[.]org|registry[.](npmjs|yarnpkg)[.]|(^|[^a-z.])crates[.]io|(repo1?|search)[.](maven|apache)[.]|deb[.]debian[.]org|archive[.]ubuntu[.]|[.]pkg[.]dev'
refuse "an absolute path of a machine" \
  '(^|[^A-Za-z0-9_.})/-])/(root|work|home/[a-z]|Users/[A-Za-z]|mnt/[a-z])[A-Za-z0-9_-]*/'
refuse "a private key" \
  '-----BEGIN ([A-Z]+ )*PRIVATE[ ]KEY-----'
if $bad; then exit 1; fi

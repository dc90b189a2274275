#!/bin/sh
# Renews the bundled country database: packaging/renew-countries.sh [FILE.mmdb]
# Without a file it takes the newest npm package; the new database must answer before it is taken.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
package=@ip-location-db/geo-whois-asn-country-mmdb
target=$here/src/pyfilter/data/country.mmdb
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT

if [ $# -gt 0 ]; then
    cp -- "$1" "$folder/new.mmdb"
    version=$1
else
    command -v npm >/dev/null || { echo "npm is missing: install it, or name a .mmdb file" >&2; exit 1; }
    (cd "$folder" && npm pack --silent "$package" >/dev/null && tar -xzf ./*.tgz)
    mv "$folder/package/geo-whois-asn-country.mmdb" "$folder/new.mmdb"
    version=$(sed -n 's/^ *"version": "\(.*\)",/\1/p' "$folder/package/package.json")
fi

python=$here/.venv/bin/python
[ -x "$python" ] || python=python3
PYTHONPATH=$here/src "$python" - "$folder/new.mmdb" <<'CHECK'
import sys
from pyfilter.countries import Countries
countries = Countries(sys.argv[1])
wrong = [a for a, c in (("8.8.8.8", "US"), ("212.58.244.20", "GB")) if countries.code(a) != c]
if wrong:
    sys.exit(f"the new database does not know {', '.join(wrong)}; the old one stays")
CHECK
chmod 0644 "$folder/new.mmdb"
mv "$folder/new.mmdb" "$target"
echo "$target is now of $version; write that into LICENSE-country.txt beside it and commit both"

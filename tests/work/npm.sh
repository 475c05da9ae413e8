# A Node project: a package installed from a file, its tests run, what was installed removed. npm keeps its logs and its cache
# in the home directory and removes old ones there.
set -eu
mkdir -p "$HOME/.npm/_logs"
for number in 0 1 2 3 4 5 6 7 8 9; do echo old >"$HOME/.npm/_logs/2026-01-0${number}T00_00_00_000Z-debug-0.log"; done
mkdir package shop
cat >package/package.json <<'END'
{"name": "left", "version": "1.0.0", "main": "index.js", "bin": {"left": "left.js"}}
END
echo 'module.exports = (text, length) => String(text).padStart(length);' >package/index.js
printf '#!/usr/bin/env node\nconsole.log(require("./index.js")("x", 3));\n' >package/left.js
chmod +x package/left.js
tar -czf left-1.0.0.tgz package
cd shop
cat >package.json <<'END'
{"name": "shop", "version": "1.0.0", "private": true, "scripts": {"test": "node test.js && left"}}
END
cat >test.js <<'END'
const left = require("left");
require("assert").strictEqual(left("7", 3), "  7");
console.log("right");
END
npm install --offline --no-audit --no-fund ../left-1.0.0.tgz | sed 's/ in .*//'
npm test --silent
find . -type f | sort
rm -rf node_modules
ls

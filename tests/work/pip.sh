# A Python project: a virtual environment, a package installed into it from a directory of wheels, tests, removal.
set -eu
export PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir wheels
python3 - <<'END'
import zipfile
info = "hello-1.0.dist-info"
with zipfile.ZipFile("wheels/hello-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("hello.py", "def greet(name):\n    return f'hello {name}'\n")
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "hello.py,,\n" + "".join(f"{info}/{name},,\n" for name in ["METADATA", "WHEEL", "RECORD"]))
END
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install --no-index --find-links wheels hello
cat >test_hello.py <<'END'
import pathlib, tempfile, unittest
import hello
class Hello(unittest.TestCase):
    def test_greets(self):
        self.assertEqual(hello.greet("you"), "hello you")
    def test_writes(self):
        with tempfile.TemporaryDirectory() as directory:
            pathlib.Path(directory, "greeting").write_text(hello.greet("you"))
END
venv/bin/python -m unittest 2>&1 | sed 's/ in .*//'
python3 -m pip --python venv/bin/python uninstall --yes hello | sed 's/^    .*//'
rm -rf __pycache__
find . -type f -not -path './venv/*' | sort

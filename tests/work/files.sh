# What editors and test suites do to files: saved by renaming, changed in bulk, ten thousand made and deleted.
set -eu
mkdir -p text/deep
for number in 1 2 3 4 5 6 7 8 9; do echo "colour $number" >text/deep/file$number.txt; done
find text -name '*.txt' -exec sed -i 's/colour/color/' {} +
grep -rl color text | sort | xargs sed -i.bak 's/color/hue/'
find text -name '*.bak' -delete
vim.tiny -u NONE -es -c 'set backup backupcopy=no' -c '%s/hue/shade/' -c wq text/deep/file1.txt </dev/null
rm -f text/deep/file1.txt~
python3 - <<'END'
import os, shutil, tempfile
path = "text/deep/file2.txt"
with tempfile.NamedTemporaryFile("w", dir="text/deep", delete=False) as new:
    new.write("saved by renaming\n")
os.chmod(new.name, 0o644)
os.replace(new.name, path)
place = tempfile.mkdtemp(prefix="suite-")
for number in range(5000):
    open(f"{place}/{number}", "w").close()
shutil.rmtree(place)
for number in range(5000):
    name = f"text/deep/case-{number}"
    open(name, "w").close()
    os.unlink(name)
print("ten thousand")
END
tar -czf text.tgz text
rm -rf text
tar -xzf text.tgz
mv text moved
cat moved/deep/file1.txt moved/deep/file2.txt moved/deep/file3.txt
find . -type f | sort

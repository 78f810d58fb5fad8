#!/usr/bin/env python3
"""What programs that were compiled against iscsicore.h rely on: sizes, offsets, values of enums, prototypes.

    ffi-c/tests/layout.py             compares the header with tests/layout.txt, the table of this ABI; exits with 1 when they differ
    ffi-c/tests/layout.py --update    writes the table anew

Lines may be added to the table while the soname stays; a line that changes or goes breaks programs that exist. The table is that of
64-bit systems (LP64); on others there is nothing to compare.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

FFI = pathlib.Path(__file__).resolve().parent.parent
HEADER, TABLE = FFI / "include" / "iscsicore.h", FFI / "tests" / "layout.txt"


def declarations():
    """The header without comments."""
    return re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)


def fields(body):
    """The names of the fields of a struct or union."""
    for declaration in body.split(";"):
        pointer = re.search(r"\(\*(\w+)\)\s*\(", declaration)
        name = pointer or re.search(r"(\w+)\s*(?:\[\w+\])?\s*$", declaration.strip())
        if name:
            yield name[1]


def program(text):
    """A C program that prints sizes, offsets and values."""
    lines = []
    for kind, name, body in re.findall(r"typedef (struct|union) (iscsicore_\w+) \{(.*?)\n\} \2;", text, re.S):
        lines.append(f'printf("{kind} {name} %zu\\n", sizeof({name}));')
        for field in fields(body):
            lines.append(f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));')
    for name in re.findall(r"^\s*(ISCSICORE_\w+) = ", text, re.M):
        lines.append(f'printf("{name} %lld\\n", (long long){name});')
    return "#include <stdio.h>\n#include <iscsicore.h>\nint main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n"


def prototypes(text):
    """Every function, in one line."""
    found = re.findall(r"^(?:const char \*|iscsicore_status )iscsicore_\w+\(.*?\);", text, re.M | re.S)
    return [re.sub(r"\s+", " ", prototype) for prototype in found]


def table():
    """All lines, sorted."""
    text = declarations()
    with tempfile.TemporaryDirectory() as folder:
        source, binary = pathlib.Path(folder, "layout.c"), pathlib.Path(folder, "layout")
        source.write_text(program(text))
        subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-I", str(HEADER.parent), "-o", str(binary), str(source)], check=True)
        lines = subprocess.check_output([str(binary)], text=True).splitlines()
    return sorted(lines + prototypes(text))


def main():
    if sys.maxsize < 2**32:
        print("layout: not a 64-bit system, nothing to compare")
        return 0
    now = table()
    if "--update" in sys.argv:
        TABLE.write_text("\n".join(now) + "\n")
        return 0
    then = TABLE.read_text().splitlines()
    gone, new = sorted(set(then) - set(now)), sorted(set(now) - set(then))
    for line in gone:
        print(f"changed or gone: {line}")
    for line in new:
        print(f"new: {line}")
    if gone:
        print("this breaks compiled programs, unless it is a struct that only the library makes, grown at its end (then --update);")
        print("otherwise it needs another soname, or is a mistake")
    if new and not gone:
        print("only additions: ffi-c/tests/layout.py --update")
    print(f"layout: {len(now)} lines, {len(gone)} gone, {len(new)} new")
    return 1 if gone or new else 0


if __name__ == "__main__":
    sys.exit(main())

#!/bin/sh
# Makes one object of a static library of Rust's, in which only the names of one interface can be seen.
#
#   pkg/prelink.sh LIBRARY.a PREFIX RESULT.a        keeps the names that begin with PREFIX
#
# What rustc writes has all of Rust's standard library in it, under names that the program sees. Two such libraries in one
# program collide, as soon as they are of one compiler. Here the objects that the interface needs are linked into one;
# groups of sections that the linker would merge with those of another library become plain sections; all other names
# become local; debug information is left out. LD, OBJCOPY, AR and NM can name other tools.
set -eu
library=$1 prefix=$2 result=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

${NM:-nm} -g --defined-only "$library" 2>/dev/null |
    awk -v prefix="$prefix" 'NF == 3 && index($3, prefix) == 1 { print "-u\n" $3 }' >"$work/names"
[ -s "$work/names" ] || { echo "$library has no name that begins with $prefix" >&2; exit 1; }
${LD:-ld} -r --force-group-allocation "@$work/names" -o "$work/all.o" "$library"
# LLVM's intermediate code, which crates compiled for two uses carry along, is of no use to other compilers: their tools
# stumble over it.
object=$work/$(basename "$result" .a).o
${OBJCOPY:-objcopy} --wildcard --keep-global-symbol "$prefix*" --strip-debug \
    --remove-section .llvmbc --remove-section .llvmcmd "$work/all.o" "$object"
rm -f "$result"
${AR:-ar} rcsD "$result" "$object"

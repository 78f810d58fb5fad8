#!/usr/bin/env bash
# The one test command: format, lints, all Rust tests, builds, then server and initiator against software that others wrote.
#
#   ./test.sh            everything; as root it installs what is missing (apt-get)
#   ./test.sh --quick    without the part that needs other software
#
# ISCSICORE_REQUIRE_PEERS=1 makes a step that had to be skipped a failure.
set -uo pipefail
cd "$(dirname "$0")"

QUICK=
case "${1-}" in
    "") ;;
    --quick) QUICK=1 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0"; [ "$1" = --help ]; exit ;;
esac

PACKAGES="libiscsi-bin tgt istgt qemu-utils qemu-block-extra tshark valgrind sg3-utils strace gcc g++ clang cmake make pkg-config binutils"
PROGRAMS="iscsi-test-cu iscsi-perf iscsi-ls tgtd istgt qemu-img qemu-io tshark valgrind sg_inq strace gcc g++ clang clang++ cmake make pkg-config nm readelf"
BINARY="${CARGO_TARGET_DIR:-target}/release/iscsicored"
EXERCISE="${CARGO_TARGET_DIR:-target}/release/exercise"
passed=0 failed=0 skipped=0 summary="" python_found=""

step() { # NAME COMMAND...: runs a step, prints its time, remembers the outcome
    local name=$1 began=$SECONDS status
    shift
    printf '\n==> %s\n' "$name"
    if "$@"; then status=passed; passed=$((passed + 1)); else status=FAILED; failed=$((failed + 1)); fi
    printf '<== %s: %s after %d s\n' "$name" "$status" $((SECONDS - began))
    summary+=$(printf '%-8s %5d s  %s' "$status" $((SECONDS - began)) "$name")$'\n'
    [ "$status" = passed ]
}

skip() { # NAME REASON
    printf '\n==> %s\n<== SKIPPED: %s\n' "$1" "$2"
    summary+=$(printf '%-8s %5s    %s: %s' SKIPPED - "$1" "$2")$'\n'
    skipped=$((skipped + 1))
}

missing_programs() {
    local program found=""
    for program in $PROGRAMS; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || found+=" $program"
    done
    qemu_speaks_iscsi || found+=" qemu-block-extra(iscsi)"
    printf '%s' "$found"
}

qemu_speaks_iscsi() { # the module is refused when it is of another version than qemu-img
    [[ $(qemu-img info iscsi://127.0.0.1:1/iqn.none/0 2>&1) == *"iSCSI: Failed to connect"* ]]
}

install_peers() {
    local version
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || return 1
    version=$(LC_ALL=C apt-cache policy qemu-block-extra | sed -n 's/ *Candidate: //p')
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends --allow-downgrades \
        ${PACKAGES/qemu-utils qemu-block-extra/qemu-utils=$version qemu-block-extra=$version}
}

python_command() { # prints a Python of at least 3.11
    local python
    for python in python3 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
}

# The C library: installed as its users install it, and everything in C and C++ built with that.
c_library() {
    local place
    step "libiscsicore: layout of the ABI" "$python_found" ffi-c/tests/layout.py
    step "libiscsicore: install, link, symbols" "$python_found" ffi-c/tests/install.py
    step "libiscsicore: C tests, valgrind, sanitizers" "$python_found" ffi-c/tests/c.py
    step "libiscsicore: C++ tests" "$python_found" ffi-c/tests/cpp.py
    step "libiscsicore: manual" "$python_found" ffi-c/tests/manual.py
    step "libiscsicore: fuzzing for 30 s" "$python_found" ffi-c/fuzz/run.py --seconds 30
    place=$(mktemp -d) || return
    trap 'rm -rf "$place"; trap - RETURN' RETURN
    step "libiscsicore: examples" c_examples "$place" || return
    export ISCSICORE_C_EXAMPLES=$place/examples
    step "interop: C programs under valgrind" env \
        ISCSICORE_C_WRAPPER="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect" \
        "$python_found" interop/test_c.py
    for suite in tools login wire hostile; do
        step "interop: $suite on the C target" "$python_found" "interop/test_$suite.py" --target c
    done
    step "interop: iscsi-test-cu on the C target" "$python_found" interop/test_cu.py --required --target c
    step "interop: kill -9 on the C target" "$python_found" interop/kill9.py --rounds 10 --target c
    step "interop: initiator" "$python_found" interop/test_initiator.py
}

c_examples() { # DIRECTORY: installs the library there, and the examples with it
    make -s -C ffi-c install PREFIX="$1" &&
        PKG_CONFIG_PATH=$1/lib/pkgconfig make -s -C examples/c BUILD="$1/examples"
}

interop() {
    local missing
    missing=$(missing_programs)
    if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        step "install:$missing" install_peers
        missing=$(missing_programs)
    fi
    if [ -n "$missing" ]; then
        skip "interop and libiscsicore" "missing:$missing. Install: apt-get install $PACKAGES"
        return
    fi
    if [ ! -x "$BINARY" ]; then
        skip "interop" "$BINARY was not built"
        return
    fi
    export ISCSICORED=$BINARY ISCSICORE_EXERCISE=$EXERCISE
    step "interop: tools" "$python_found" interop/test_tools.py
    step "interop: login" "$python_found" interop/test_login.py
    step "interop: wire" "$python_found" interop/test_wire.py
    if [ -x "$EXERCISE" ]; then
        c_library
    else
        skip "libiscsicore and interop: initiator" "$EXERCISE was not built"
    fi
    step "interop: hostile bytes" "$python_found" interop/test_hostile.py
    step "interop: iscsi-test-cu on glommio" "$python_found" interop/test_cu.py --required --runtime glommio
    step "interop: iscsi-test-cu on tokio" "$python_found" interop/test_cu.py --required --runtime tokio
    step "interop: kill -9 on tokio" "$python_found" interop/kill9.py --rounds 10 --trace --runtime tokio
    step "interop: kill -9 on glommio" "$python_found" interop/kill9.py --rounds 10 --runtime glommio
    step "instructions per command" cargo bench --locked -p iscsicore --bench instructions -- --check
    step "interop: bench smoke (data verified)" "$python_found" interop/bench.py --smoke
}

command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.88 or newer" >&2; exit 1; }
python_found=$(python_command)

component() { # NAME COMMAND...: a step of a part of Rust that a minimal installation leaves out
    if cargo "$2" --version >/dev/null 2>&1; then
        step "$1" cargo "${@:2}"
    else
        skip "$1" "cargo $2 is missing: rustup component add rustfmt clippy"
    fi
}

component "format" fmt --all --check
component "clippy" clippy --workspace --all-targets --locked -- -D warnings
step "tests" cargo test --workspace --locked
step "build iscsicored" cargo build --release --locked -p iscsicored
[ -n "$QUICK" ] || step "build exercise and iscsictl" cargo build --release --locked -p iscsicore-interop -p iscsictl
step "build examples" cargo build --locked -p iscsicore-examples --all-targets
if [ -n "$python_found" ]; then
    step "interop scripts" "$python_found" interop/test_own.py
    [ -n "$QUICK" ] || interop
else
    skip "interop scripts" "Python 3.11 or newer is missing: apt-get install python3"
fi
if [ -x ../shared/tools/compliance ]; then
    step "RFC clauses" ../shared/tools/compliance
else
    printf '\n(the tool that counts covered RFC clauses is not here; the tests that cover them ran above)\n'
fi

printf '\n%s%d steps passed, %d failed, %d skipped in %d s\n' "$summary" "$passed" "$failed" "$skipped" "$SECONDS"
[ "$failed" = 0 ] || exit 1
if [ "$skipped" != 0 ] && [ "${ISCSICORE_REQUIRE_PEERS-}" = 1 ]; then
    echo "ISCSICORE_REQUIRE_PEERS=1: a skipped step is a failure" >&2
    exit 1
fi

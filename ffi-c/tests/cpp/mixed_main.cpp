/// One program, of files that were compiled for different standards, with exceptions and without: each has what it was
/// compiled with.
#include "check.hpp"

#if defined(ISCSICORE_NO_EXCEPTIONS)
#error "exceptions are off"
#endif

int failures_without_exceptions();

int main() {
    int caught = 0;
    try {
        ic::transmitter().advance(1).value();
    } catch (const ic::error &) {
        ++caught;
    }
    CHECK(caught == 1 && failures_without_exceptions() == 1);
}

/// Without exceptions value() ends the program, with the reason on standard error. To be compiled with -fno-exceptions, or with
/// ISCSICORE_NO_EXCEPTIONS.
#include "check.hpp"

#if !defined(ISCSICORE_NO_EXCEPTIONS)
#error "exceptions are on"
#endif

int main() {
    const ic::receiver none;
    CHECK(none.buffered().status() == ISCSICORE_STATUS_NULL_POINTER);
    return none.buffered().value() == 0 ? 0 : 1;
}

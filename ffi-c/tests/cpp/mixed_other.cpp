/// The part of mixed_main.cpp that is compiled without exceptions.
#include "check.hpp"

#if !defined(ISCSICORE_NO_EXCEPTIONS)
#error "exceptions are on"
#endif

int failures_without_exceptions();

int failures_without_exceptions() {
    ic::transmitter good = ic::transmitter::create().value();
    good.advance(0).value();
    return ic::transmitter().advance(1) ? 0 : 1;
}

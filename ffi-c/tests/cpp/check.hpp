/// What the tests have in common.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <cstdio>
#include <cstdlib>

#include <iscsicore.hpp>

namespace ic = iscsicore;

/// Ends the program with a message when something is not so.
#define CHECK(claim)                                                             \
    do {                                                                         \
        if (!(claim)) {                                                          \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim); \
            std::exit(1);                                                        \
        }                                                                        \
    } while (false)

/// 32 bytes, the same at every run: tests have no need of randomness.
inline ic::seed seed_of(std::uint8_t number) {
    ic::seed made{};
    made.fill(number);
    return made;
}

/// Time goes on by a millisecond with every look at it.
inline ic::instant tick() {
    static std::chrono::milliseconds now{1000};
    now += std::chrono::milliseconds(1);
    return now;
}

#endif

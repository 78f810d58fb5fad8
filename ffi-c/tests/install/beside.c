/* Two static libraries of Rust's in one program, one of which panics. */
#include <iscsicore.h>

int beside_unwinds(void);

int main(void) {
    iscsicore_transmitter *transmitter = NULL;
    if (iscsicore_transmitter_new(&transmitter) != ISCSICORE_STATUS_OK || beside_unwinds() != 1)
        return 1;
    return iscsicore_transmitter_free(transmitter) == ISCSICORE_STATUS_OK ? 0 : 1;
}

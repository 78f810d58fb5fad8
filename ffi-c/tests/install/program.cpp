// The header in C++, and the wrapper of it where that is installed.
#include <iscsicore.h>
#if __has_include(<iscsicore.hpp>)
#include <iscsicore.hpp>
#endif

#include <cstdio>
#include <memory>
#include <string>
#include <type_traits>

namespace {

struct Free {
    void operator()(iscsicore_receiver *receiver) const noexcept { iscsicore_receiver_free(receiver); }
};

static_assert(std::is_same_v<iscsicore_iovec, struct iovec>, "what readv takes");
static_assert(std::is_trivial_v<iscsicore_limits>, "a struct of options can be zeroed");

} // namespace

int main() {
    iscsicore_limits limits{};
    limits.size = sizeof limits;
    iscsicore_receiver *made = nullptr;
    if (iscsicore_receiver_new(&limits, &made) != ISCSICORE_STATUS_OK)
        return 1;
    std::unique_ptr<iscsicore_receiver, Free> receiver(made);
    size_t len = 1;
    if (iscsicore_receiver_buffered(receiver.get(), &len) != ISCSICORE_STATUS_OK || len != 0)
        return 1;
    std::printf("libiscsicore %s\n", std::string(iscsicore_version()).c_str());
}

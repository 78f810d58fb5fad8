/// The program's own memory functions, set before anything else is called.
#include <cstdlib>

#include "check.hpp"

namespace {

struct counts {
    long blocks = 0;
    std::size_t bytes = 0;
};

void *allocate(void *context, std::size_t len, std::size_t alignment) noexcept {
    auto *counted = static_cast<counts *>(context);
    ++counted->blocks;
    counted->bytes += len;
    const std::size_t whole = (len + alignment - 1) / alignment * alignment;
    return std::aligned_alloc(alignment < sizeof(void *) ? sizeof(void *) : alignment,
                              whole < sizeof(void *) ? sizeof(void *) : whole);
}

void give_back(void *context, void *memory, std::size_t len, std::size_t) noexcept {
    auto *counted = static_cast<counts *>(context);
    --counted->blocks;
    counted->bytes -= len;
    std::free(memory);
}

}  // namespace

int main() {
    static counts counted;
    auto functions = ic::options<iscsicore_allocator>();
    functions.allocate = allocate;
    functions.free = give_back;
    functions.context = &counted;
    ic::set_allocator(functions).value();
    CHECK(counted.blocks == 1);
    {
        ic::command command = ic::command::write(0, 0, ic::payload::copy(std::string(512, 'x')), 512).value();
        CHECK(counted.blocks > 1 && counted.bytes > 512 && command.data_out().value() == 512);
    }
    CHECK(counted.blocks == 1);
    CHECK(ic::set_allocator(functions).status() == ISCSICORE_STATUS_WRONG_STATE);
}

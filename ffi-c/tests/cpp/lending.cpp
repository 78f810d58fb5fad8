/// Payload: who owns it when, and handles that move.
#include <string>
#include <type_traits>

#include "check.hpp"

namespace {

/// What can be lent, found out without a compiler error.
template <class C, class = void>
constexpr bool can_lend = false;
template <class C>
constexpr bool can_lend<C, std::void_t<decltype(ic::payload::lend(std::declval<C>()))>> = true;

template <class F, class = void>
constexpr bool can_release = false;
template <class F>
constexpr bool can_release<F, std::void_t<decltype(ic::payload::lend(ic::bytes(), std::declval<F>()))>> = true;

struct not_bytes {
    std::string inside;
};

static_assert(can_lend<std::string> && can_lend<std::vector<std::uint8_t>> && can_lend<std::array<char, 4>>);
static_assert(can_lend<std::shared_ptr<const std::string>> && can_lend<std::shared_ptr<std::vector<int>>>);
// What only looks at memory owns nothing that could be lent, and what is not moved in stays the caller's.
static_assert(!can_lend<std::string_view> && !can_lend<ic::span<const std::uint8_t>>);
static_assert(!can_lend<std::string &> && !can_lend<const std::vector<std::uint8_t> &>);
static_assert(!can_lend<std::vector<not_bytes>> && !can_lend<int>);
// The library calls it, and nothing may be thrown through that.
static_assert(can_release<void (*)() noexcept> && !can_release<void (*)()>);

/// A receiver in the middle of a PDU takes bytes and keeps them, which is all that is needed here.
ic::receiver one() { return ic::receiver::create().value(); }

void what_is_lent_lives_until_it_is_used_no_more() {
    auto shared = std::make_shared<const std::string>(20, '\0');
    {
        ic::receiver to = one();
        ic::payload lent = ic::payload::lend(shared);
        CHECK(shared.use_count() == 2 && lent.size() == 20);
        to.push(std::move(lent)).value();
        CHECK(lent.size() == 0);
        CHECK(to.buffered().value() == 20);
        to.push(ic::payload::lend(std::string(10, '\0'))).value();
        to.push(ic::payload::lend(std::vector<std::uint8_t>(5))).value();
        to.push(ic::payload::lend(std::array<std::uint16_t, 2>{})).value();
        CHECK(to.buffered().value() == 39);
    }
    CHECK(shared.use_count() == 1);
}

void a_call_that_fails_takes_nothing() {
    auto shared = std::make_shared<const std::string>(20, '\0');
    int released = 0;
    {
        ic::receiver none;
        ic::payload lent = ic::payload::lend(shared);
        CHECK(none.push(std::move(lent)).status() == ISCSICORE_STATUS_NULL_POINTER);
        // It is still there, for another try.
        CHECK(shared.use_count() == 2 && lent.size() == 20);
        ic::receiver to = one();
        to.push(std::move(lent)).value();

        ic::payload other = ic::payload::lend(*shared == "" ? ic::bytes() : ic::bytes_of(*shared),
                                              [&released]() noexcept { ++released; });
        CHECK(!none.push(std::move(other)));
        CHECK(released == 0);
    }
    CHECK(released == 1 && shared.use_count() == 1);
}

void release_is_called_once() {
    const std::string memory(16, '\0');
    int released = 0;
    auto count = [&released]() noexcept { ++released; };
    {
        ic::receiver to = one();
        to.push(ic::payload::lend(ic::bytes_of(memory), count)).value();
        to.push(ic::payload::lend(ic::bytes_of(""), count)).value();
        CHECK(released == 1);
    }
    CHECK(released == 2);
    // Not lent at all.
    { ic::payload unused = ic::payload::lend(ic::bytes_of(memory), count); }
    CHECK(released == 3);
}

void copies_need_not_live() {
    ic::receiver to = one();
    {
        std::string soon_gone(12, '\0');
        to.push(ic::payload::copy(soon_gone)).value();
        std::vector<std::uint8_t> bytes(3);
        to.push(ic::payload::copy(bytes)).value();
    }
    to.push(ic::payload()).value();
    CHECK(to.buffered().value() == 15);
}

void payload_in_slices_is_described_as_in_c() {
    std::string memory(9, '\0');
    iscsicore_iovec list[] = {{memory.data(), 4}, {memory.data() + 4, 5}};
    int released = 0;
    iscsicore_payload described{};
    described.slices = list;
    described.count = 2;
    described.context = &released;
    described.release = [](void *context) { ++*static_cast<int *>(context); };
    {
        ic::receiver to = one();
        ic::payload lent = ic::payload::of(described);
        CHECK(lent.size() == 9);
        to.push(std::move(lent)).value();
        CHECK(to.buffered().value() == 9 && lent.size() == 0);
    }
    CHECK(released == 1);
}

void payload_moves() {
    auto shared = std::make_shared<const std::string>("0123456789");
    ic::payload first = ic::payload::lend(shared);
    ic::payload second = std::move(first);
    CHECK(first.size() == 0 && second.size() == 10 && shared.use_count() == 2);
    ic::payload &same = second;
    second = std::move(same);
    CHECK(second.size() == 10 && shared.use_count() == 2);
    second = ic::payload();
    CHECK(second.size() == 0 && shared.use_count() == 1);
}

void handles_move() {
    ic::transmitter first = ic::transmitter::create().value();
    iscsicore_transmitter *const held = first.get();
    ic::transmitter second = std::move(first);
    CHECK(!first && second.get() == held);
    ic::transmitter &same = second;
    second = std::move(same);
    CHECK(second.get() == held && second.queued().value() == 0);
    second = ic::transmitter::create().value();
    CHECK(second);
    second.free();
    CHECK(!second && second.queued().status() == ISCSICORE_STATUS_NULL_POINTER);

    iscsicore_transmitter *made = nullptr;
    CHECK(iscsicore_transmitter_new(&made) == ISCSICORE_STATUS_OK);
    CHECK(ic::transmitter::adopt(made).queued().value() == 0);

    std::vector<ic::receiver> many;
    for (int i = 0; i < 10; ++i) {
        many.push_back(one());
    }
    many.erase(many.begin() + 3);
    CHECK(many.size() == 9 && many[3].buffered().value() == 0);
}

void what_calls_back_finds_the_handle_busy() {
    iscsicore_status within = ISCSICORE_STATUS_OK;
    std::string memory(4, '\0');
    ic::receiver to = one();
    iscsicore_receiver *const held = to.get();
    auto call_back = [&within, held]() noexcept {
        std::size_t len = 0;
        within = iscsicore_receiver_buffered(held, &len);
    };
    to.push(ic::payload::lend(ic::bytes_of(memory), call_back)).value();
    to.free();
    CHECK(within == ISCSICORE_STATUS_BUSY);
}

void buffers_are_shared() {
    ic::buffer_pool pool = ic::buffer_pool::create(8192, 1).value();
    ic::receiver to = one();
    pool.lend(to).value();
    ic::span<std::uint8_t> room = to.want().value();
    CHECK(room.size() >= 48);
    room[0] = 0;
    to.advance(1).value();
    CHECK(to.buffered().value() == 1);
    pool.take_back(to).value();
    CHECK(ic::buffer_pool::create(1, 1).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);
    CHECK(to.advance(1u << 30).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);
    CHECK(to.buffered().value() == 1);
    to.advance(0).value();
}

}  // namespace

int main() {
    what_is_lent_lives_until_it_is_used_no_more();
    a_call_that_fails_takes_nothing();
    release_is_called_once();
    copies_need_not_live();
    payload_in_slices_is_described_as_in_c();
    payload_moves();
    handles_move();
    what_calls_back_finds_the_handle_busy();
    buffers_are_shared();
}

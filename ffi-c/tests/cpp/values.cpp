/// Results, spans, time and text: what needs no connection.
#include <cstring>
#include <string>
#include <type_traits>

#include "check.hpp"

namespace {

void results_hold_a_value_or_a_failure() {
    auto good = ic::receiver::create();
    CHECK(good);
    CHECK(good.has_value() && good.status() == ISCSICORE_STATUS_OK);
    CHECK(std::strlen(good.message()) == 0);

    auto limits = ic::options<iscsicore_limits>();
    limits.read_buffer = 1;
    auto bad = ic::receiver::create(&limits);
    CHECK(!bad);
    CHECK(bad.status() == ISCSICORE_STATUS_INVALID_ARGUMENT);
    CHECK(std::strstr(bad.message(), "read_buffer is 1") != nullptr);
    CHECK(!*bad);

    // The message is of this failure, whatever fails after it.
    const std::string before = bad.message();
    limits.size = 3;
    CHECK(ic::receiver::create(&limits).status() == ISCSICORE_STATUS_INVALID_SIZE);
    CHECK(before == bad.message());
    CHECK(std::string(ic::status_text(bad.status())) == "an argument is invalid");
    CHECK(std::string(ic::status_text(99)) == "unknown status");
}

void results_move() {
    auto made = ic::transmitter::create();
    iscsicore_transmitter *const held = made->get();
    auto moved = std::move(made);
    CHECK(moved && moved->get() == held);
    ic::transmitter out = std::move(moved).value();
    CHECK(out.get() == held);
    CHECK(std::move(moved).value_or(ic::transmitter()).get() == nullptr);

    static_assert(!std::is_copy_constructible_v<ic::result<int>>);
    static_assert(std::is_nothrow_move_constructible_v<ic::result<int>>);
    static_assert(std::is_nothrow_move_constructible_v<ic::receiver>);
    static_assert(std::is_nothrow_move_assignable_v<ic::receiver>);
    static_assert(!std::is_copy_constructible_v<ic::receiver>);
    static_assert(!std::is_copy_assignable_v<ic::receiver>);
    // It would be taken for the value.
    static_assert(!std::is_constructible_v<bool, ic::result<bool>>);
    static_assert(std::is_constructible_v<bool, ic::result<int>>);
    static_assert(!std::is_convertible_v<ic::result<int>, bool>);
    static_assert(sizeof(ic::result<void>) == sizeof(void *));
}

#if !defined(ISCSICORE_NO_EXCEPTIONS)
void value_throws_where_exceptions_are_on() {
    ic::receiver none;
    int caught = 0;
    try {
        none.advance(1).value();
    } catch (const ic::error &why) {
        ++caught;
        CHECK(why.status() == ISCSICORE_STATUS_NULL_POINTER);
        CHECK(std::string(why.what()) == "iscsicore: iscsicore_receiver is NULL");
    }
    try {
        (void)none.buffered().value();
    } catch (const std::runtime_error &) {
        ++caught;
    }
    CHECK(caught == 2);
    // And nothing throws that is not asked for its value.
    CHECK(!none.buffered());
}
#endif

int sum(ic::span<const int> numbers) {
    int all = 0;
    for (int number : numbers) {
        all += number;
    }
    return all;
}

void spans_are_made_of_containers() {
    std::vector<int> vector{1, 2, 3};
    const std::vector<int> constant{4, 5};
    std::array<int, 2> array{6, 7};
    int plain[] = {8, 9};
    CHECK(sum(vector) == 6 && sum(constant) == 9 && sum(array) == 13 && sum(plain) == 17);
    ic::span<int> writable = vector;
    writable[1] = 20;
    CHECK(vector[1] == 20 && writable.front() == 1 && writable.back() == 3);
    ic::span<const int> part = ic::span<const int>(writable).subspan(1, 2);
    CHECK(part.size() == 2 && part.data() == vector.data() + 1 && part.size_bytes() == 2 * sizeof(int));
    CHECK(writable.first(1).size() == 1 && writable.last(1)[0] == 3 && writable.subspan(3).empty());
    CHECK(ic::span<int>().empty() && ic::span<int>().data() == nullptr);
    static_assert(!std::is_convertible_v<ic::span<const int>, ic::span<int>>);
    static_assert(!std::is_convertible_v<const std::vector<int> &, ic::span<int>>);
    static_assert(!std::is_convertible_v<std::vector<char> &, ic::span<int>>);
    static_assert(!std::is_convertible_v<int, ic::span<int>>);

    CHECK(ic::bytes_of("abc").size() == 3 && ic::bytes_of("abc")[2] == 'c');
    char text[] = "hello";
    iscsicore_iovec list[] = {{text, 2}, {text + 2, 0}, {text + 2, 3}};
    CHECK(ic::joined(list, 3) == std::vector<std::uint8_t>({'h', 'e', 'l', 'l', 'o'}));
    CHECK(ic::joined(nullptr, 0).empty() && ic::slices(list, 3).size() == 3);
    CHECK(ic::text(nullptr).empty() && ic::text("x") == "x");
}

void time_comes_from_chrono() {
    using namespace std::chrono_literals;
    const ic::instant later = 3s;
    CHECK(later.count() == 3000000000u && later.since_epoch() == 3s);
    CHECK(ic::instant(-1ns).count() == 0 && ic::nanos(-1s) == 0 && ic::nanos(5ms) == 5000000);
    const auto at = std::chrono::steady_clock::now();
    const ic::instant same = at;
    CHECK(same.since_epoch() == at.time_since_epoch() && same <= ic::instant::now());
    CHECK(ic::instant(1s) < later && later != same && later == ic::instant::from_count(3000000000u));

    CHECK(ic::milliseconds_until(std::nullopt, 1s) == -1);
    CHECK(ic::milliseconds_until(ic::instant(1s), 1s) == 0 && ic::milliseconds_until(ic::instant(1s), 2s) == 0);
    // A timer that fires early would find nothing to do.
    CHECK(ic::milliseconds_until(ic::instant(1s + 1ns), 1s) == 1);
    CHECK(ic::milliseconds_until(ic::instant(1002ms), 1s) == 2);
    CHECK(ic::milliseconds_until(ic::instant::from_count(UINT64_MAX - 1), 0s) == 1000000);
}

void options_know_their_size() {
    const auto limits = ic::options<iscsicore_limits>();
    CHECK(limits.size == sizeof(iscsicore_limits) && limits.queue_depth == 0);
    CHECK(std::string(ic::version()).find('.') != std::string::npos);
}

}  // namespace

int main() {
    results_hold_a_value_or_a_failure();
    results_move();
#if !defined(ISCSICORE_NO_EXCEPTIONS)
    value_throws_where_exceptions_are_on();
#endif
    spans_are_made_of_containers();
    time_comes_from_chrono();
    options_know_their_size();
}

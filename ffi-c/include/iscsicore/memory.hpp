/// Memory, text and time, as C++ has them.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_MEMORY_HPP
#define ISCSICORE_MEMORY_HPP

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "result.hpp"

#if ISCSICORE_CPLUSPLUS >= 202002L
#include <span>
#endif

namespace iscsicore {
inline namespace ISCSICORE_ABI {

#if ISCSICORE_CPLUSPLUS >= 202002L
template <class T>
using span = std::span<T>;
#else
/// What std::span of C++20 is, as far as it is needed here.
template <class T>
class span {
    template <class C>
    using element_of = std::remove_pointer_t<decltype(std::data(std::declval<C &>()))>;
    /// As for pointers: const may be added, and nothing else changed.
    template <class U>
    using if_compatible = std::enable_if_t<std::is_convertible_v<U (*)[], T (*)[]>>;

public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using size_type = std::size_t;
    using iterator = T *;

    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class C, class = if_compatible<element_of<C>>, class = decltype(std::size(std::declval<C &>()))>
    constexpr span(C &&container) noexcept : data_(std::data(container)), size_(std::size(container)) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t at) const noexcept { return data_[at]; }
    constexpr T &front() const noexcept { return data_[0]; }
    constexpr T &back() const noexcept { return data_[size_ - 1]; }
    constexpr span first(std::size_t count) const noexcept { return span(data_, count); }
    constexpr span last(std::size_t count) const noexcept { return span(data_ + size_ - count, count); }
    constexpr span subspan(std::size_t offset) const noexcept { return span(data_ + offset, size_ - offset); }
    constexpr span subspan(std::size_t offset, std::size_t count) const noexcept {
        return span(data_ + offset, count);
    }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

/// Bytes to read.
using bytes = span<const std::uint8_t>;

/// The bytes of a slice.
inline bytes bytes_of(const iscsicore_iovec &slice) noexcept {
    return bytes(static_cast<const std::uint8_t *>(slice.iov_base), slice.iov_len);
}

/// The bytes of text, without a NUL.
inline bytes bytes_of(std::string_view text) noexcept {
    return bytes(reinterpret_cast<const std::uint8_t *>(text.data()), text.size());
}

/// Payload that the library shows: `for (const auto &slice : slices(e.data, e.data_count)) use(bytes_of(slice));`
inline span<const iscsicore_iovec> slices(const iscsicore_iovec *data, std::size_t count) noexcept {
    return span<const iscsicore_iovec>(data, count);
}

/// A copy of payload that the library shows.
inline std::vector<std::uint8_t> joined(const iscsicore_iovec *data, std::size_t count) {
    std::size_t len = 0;
    // Slices that the library shows are sound: only the room is missing.
    (void)iscsicore_gather(data, count, nullptr, 0, &len);
    std::vector<std::uint8_t> all(len);
    (void)iscsicore_gather(data, count, all.data(), all.size(), &len);
    return all;
}

/// Text that the library shows; NULL is empty. It lives as long as what it is a part of.
inline std::string_view text(const char *string) noexcept {
    return string != nullptr ? std::string_view(string) : std::string_view();
}

/// A struct of options with its size filled in and everything else at its default.
template <class T>
T options() noexcept {
    T made{};
    made.size = sizeof(T);
    return made;
}

/// 32 bytes of randomness, never to be used twice.
using seed = std::array<std::uint8_t, 32>;

/// A length of time for the C interface; less than nothing is nothing.
constexpr std::uint64_t nanos(std::chrono::nanoseconds length) noexcept {
    return length.count() < 0 ? 0 : static_cast<std::uint64_t>(length.count());
}

/// A point in time: nanoseconds of a clock that never goes back, the same for all calls with a handle.
class instant {
public:
    template <class Rep, class Period>
    constexpr instant(std::chrono::duration<Rep, Period> since) noexcept
        : nanos_(nanos(std::chrono::duration_cast<std::chrono::nanoseconds>(since))) {}
    template <class Duration>
    constexpr instant(std::chrono::time_point<std::chrono::steady_clock, Duration> at) noexcept
        : instant(at.time_since_epoch()) {}

    /// What steady_clock says.
    static instant now() noexcept { return instant(std::chrono::steady_clock::now()); }

    /// A number of the C interface.
    static constexpr instant from_count(std::uint64_t nanos) noexcept {
        instant made{std::chrono::nanoseconds(0)};
        made.nanos_ = nanos;
        return made;
    }

    /// A number for the C interface.
    constexpr std::uint64_t count() const noexcept { return nanos_; }

    constexpr std::chrono::nanoseconds since_epoch() const noexcept {
        return std::chrono::nanoseconds(static_cast<std::int64_t>(nanos_));
    }

    friend constexpr bool operator==(instant a, instant b) noexcept { return a.nanos_ == b.nanos_; }
    friend constexpr bool operator!=(instant a, instant b) noexcept { return a.nanos_ != b.nanos_; }
    friend constexpr bool operator<(instant a, instant b) noexcept { return a.nanos_ < b.nanos_; }
    friend constexpr bool operator<=(instant a, instant b) noexcept { return a.nanos_ <= b.nanos_; }

private:
    std::uint64_t nanos_;
};

/// When a handle wants to be called again; empty for never.
using deadline = std::optional<instant>;

/// A deadline for poll or epoll_wait: whole milliseconds rounded up, 0 when it has passed, -1 for never.
inline int milliseconds_until(const deadline &at, instant now) noexcept {
    if (!at) {
        return -1;
    }
    if (*at <= now) {
        return 0;
    }
    constexpr std::uint64_t most = 1000u * 1000u;
    const std::uint64_t left = (at->count() - now.count() - 1) / 1000000u + 1;
    return static_cast<int>(left < most ? left : most);
}

namespace detail {

inline deadline deadline_of(std::uint64_t nanos) noexcept {
    return nanos == ISCSICORE_NEVER ? deadline() : deadline(instant::from_count(nanos));
}

/// Calls a function that fills a buffer and tells the length, whether it fits or not.
template <class Buffer, class... Parameters, class... Arguments>
result<Buffer> filled(iscsicore_status (*function)(Parameters...), Arguments... arguments) {
    Buffer buffer(96, typename Buffer::value_type{});
    std::size_t len = 0;
    iscsicore_status status = function(arguments..., buffer.data(), buffer.size(), &len);
    if (status == ISCSICORE_STATUS_BUFFER_TOO_SMALL) {
        // With room for the NUL that text ends with.
        buffer.resize(len + 1);
        status = function(arguments..., buffer.data(), buffer.size(), &len);
    }
    if (status != ISCSICORE_STATUS_OK) {
        return failure::last(status);
    }
    buffer.resize(len);
    return buffer;
}

inline result<deadline> deadline_of(result<std::uint64_t> nanos) {
    if (!nanos) {
        return failure(nanos.status(), nanos.message());
    }
    return deadline_of(*nanos);
}

}  // namespace detail

/// The eight bytes of a LUN, as one number, of a plain number: 0 to 16383.
inline result<std::uint64_t> make_lun(std::uint16_t number) {
    return detail::fetch<std::uint64_t>(iscsicore_lun, number);
}

/// The plain number of a LUN.
inline result<std::uint16_t> lun_number(std::uint64_t lun) {
    return detail::fetch<std::uint16_t>(iscsicore_lun_number, lun);
}

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif

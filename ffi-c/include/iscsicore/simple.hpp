/// A connection in one handle: feed bytes, take bytes, next event.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_SIMPLE_HPP
#define ISCSICORE_SIMPLE_HPP

#include "host.hpp"
#include "nexus.hpp"

namespace iscsicore {
inline namespace ISCSICORE_ABI {

/// One connection, of either role.
///
/// That of a target uses its host: destroy it before the host, which stays in memory otherwise.
class simple : public detail::handle<simple, iscsicore_simple, iscsicore_simple_free> {
public:
    /// For a connection that a server accepted at `local_address`.
    static result<simple> target(host &of, instant now, const char *local_address, const seed &random) {
        return detail::make<simple>(iscsicore_simple_target, of.get(), now.count(), local_address,
                                    random.data());
    }

    /// For a connection that the program has opened.
    static result<simple> initiator(const iscsicore_initiator_options &options, const seed &random,
                                    instant now) {
        return detail::make<simple>(iscsicore_simple_initiator, &options, random.data(), now.count());
    }

    /// The nexus of an initiator's connection, for submit and the like: `simple.nexus()->submit(now, command)`. It lives as long
    /// as the connection.
    result<borrowed<iscsicore::nexus>> nexus() const {
        auto held = detail::fetch<iscsicore_nexus *>(iscsicore_simple_nexus, get());
        return held ? result<borrowed<iscsicore::nexus>>(borrowed<iscsicore::nexus>(*held))
                    : failure(held.status(), held.message());
    }

    /// Bytes that the socket gave.
    result<void> feed(instant now, bytes arrived) {
        return detail::call(iscsicore_simple_feed, get(), now.count(), static_cast<const void *>(arrived.data()),
                            arrived.size());
    }

    /// Bytes for the socket: as much of `room` as is filled with them, which must be sent.
    result<span<std::uint8_t>> take(instant now, span<std::uint8_t> room) {
        auto len = detail::fetch<std::size_t>(iscsicore_simple_take, get(), now.count(),
                                              static_cast<void *>(room.data()), room.size());
        return len ? result<span<std::uint8_t>>(room.first(*len)) : failure(len.status(), len.message());
    }

    /// What is to be acted on next; nullptr when there is nothing. It lives until the next call of this function.
    result<const iscsicore_simple_event *> next_event() {
        return detail::fetch<const iscsicore_simple_event *>(iscsicore_simple_next_event, get());
    }

    /// The socket is closed or broken.
    result<void> lost(instant now) { return detail::call(iscsicore_simple_lost, get(), now.count()); }

    /// When handle_timeout is to be called.
    result<deadline> timeout() const {
        return detail::deadline_of(detail::fetch<std::uint64_t>(iscsicore_simple_timeout, get()));
    }

    result<void> handle_timeout(instant now) {
        return detail::call(iscsicore_simple_handle_timeout, get(), now.count());
    }
};

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif

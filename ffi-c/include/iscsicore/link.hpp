/// The two halves of a connection, and the buffers that connections share.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_LINK_HPP
#define ISCSICORE_LINK_HPP

#include "payload.hpp"

namespace iscsicore {
inline namespace ISCSICORE_ABI {

/// The inbound half of one connection.
class receiver : public detail::handle<receiver, iscsicore_receiver, iscsicore_receiver_free> {
public:
    /// For a connection that begins; the limits are those of its session.
    static result<receiver> create(const iscsicore_limits *limits = nullptr) {
        return detail::make<receiver>(iscsicore_receiver_new, limits);
    }

    /// Where the next bytes are to be read; empty when the session is to take what has arrived first.
    result<span<std::uint8_t>> want() {
        std::uint8_t *memory = nullptr;
        std::size_t len = 0;
        auto ended = detail::call(iscsicore_receiver_want, get(), &memory, &len);
        return ended ? result<span<std::uint8_t>>(span<std::uint8_t>(memory, len))
                     : failure(ended.status(), ended.message());
    }

    /// So many bytes were read there.
    result<void> advance(std::size_t len) { return detail::call(iscsicore_receiver_advance, get(), len); }

    /// Bytes of the connection that are in memory already, in place of a read.
    result<void> push(payload &&arrived) {
        return arrived.hand_over(
            [&](const iscsicore_payload *data) { return detail::call(iscsicore_receiver_push, get(), data); });
    }

    /// How many bytes have arrived that belong to no PDU taken yet.
    result<std::size_t> buffered() const {
        return detail::fetch<std::size_t>(iscsicore_receiver_buffered, get());
    }
};

/// The outbound half of one connection.
class transmitter : public detail::handle<transmitter, iscsicore_transmitter, iscsicore_transmitter_free> {
public:
    static result<transmitter> create() { return detail::make<transmitter>(iscsicore_transmitter_new); }

    /// What is to be written next, for writev: as many of `room` as are filled in; none when there is nothing to write. On POSIX
    /// systems iscsicore_iovec is struct iovec.
    result<span<iscsicore_iovec>> slices(span<iscsicore_iovec> room) {
        auto count =
            detail::fetch<std::size_t>(iscsicore_transmitter_slices, get(), room.data(), room.size());
        return count ? result<span<iscsicore_iovec>>(room.first(*count))
                     : failure(count.status(), count.message());
    }

    /// So many bytes were written.
    result<void> advance(std::size_t len) {
        return detail::call(iscsicore_transmitter_advance, get(), len);
    }

    /// How many bytes wait to be written.
    result<std::size_t> queued() const {
        return detail::fetch<std::size_t>(iscsicore_transmitter_queued, get());
    }
};

/// Read buffers that the connections of one thread share.
class buffer_pool : public detail::handle<buffer_pool, iscsicore_buffer_pool, iscsicore_buffer_pool_free> {
public:
    /// `buffer_size` is the read_buffer of the limits, 0 the default; the pool holds on to `keep` buffers.
    static result<buffer_pool> create(std::size_t buffer_size, std::size_t keep) {
        return detail::make<buffer_pool>(iscsicore_buffer_pool_new, buffer_size, keep);
    }

    /// Gives a receiver a buffer, if its next read needs one.
    result<void> lend(receiver &to) { return detail::call(iscsicore_buffer_pool_lend, get(), to.get()); }

    /// Takes the buffer of a receiver back, if it can do without.
    result<void> take_back(receiver &from) {
        return detail::call(iscsicore_buffer_pool_take_back, get(), from.get());
    }
};

/// Has the library use the program's own memory functions: the first call of the process.
inline result<void> set_allocator(const iscsicore_allocator &functions) {
    return detail::call(iscsicore_set_allocator, &functions);
}

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif

/// An initiator: an I_T nexus that outlives its connections.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_NEXUS_HPP
#define ISCSICORE_NEXUS_HPP

#include "command.hpp"
#include "link.hpp"

namespace iscsicore {
inline namespace ISCSICORE_ABI {

/// An initiator. After any call: next_event until there is none, transmit, re-arm a timer for timeout.
class nexus : public detail::handle<nexus, iscsicore_nexus, iscsicore_nexus_free> {
public:
    /// The first event asks to dial.
    static result<nexus> create(const iscsicore_initiator_options &options, const seed &random, instant now) {
        return detail::make<nexus>(iscsicore_nexus_new, &options, random.data(), now.count());
    }

    /// What is to be acted on next; nullptr when there is nothing. It lives until the next call of this function:
    /// `while (const auto *event = nexus.next_event().value()) switch (event->kind) ...`
    result<const iscsicore_nexus_event *> next_event() {
        return detail::fetch<const iscsicore_nexus_event *>(iscsicore_nexus_next_event, get());
    }

    /// The connection that an event asked for is there.
    result<void> connected(instant now) {
        return detail::call(iscsicore_nexus_connected, get(), now.count());
    }

    /// There is none, for a reason in words.
    result<void> dial_failed(instant now, const char *why) {
        return detail::call(iscsicore_nexus_dial_failed, get(), now.count(), why);
    }

    /// Where the next bytes are to be read, for readv: as many of `room`, at most two, as are filled in. None: receive first.
    result<span<iscsicore_iovec>> want(receiver &from, span<iscsicore_iovec> room) {
        auto count = detail::fetch<std::size_t>(iscsicore_nexus_want, get(), from.get(), room.data(), room.size());
        return count ? result<span<iscsicore_iovec>>(room.first(*count))
                     : failure(count.status(), count.message());
    }

    /// So many bytes were read there.
    result<void> advance(receiver &from, std::size_t len) {
        return detail::call(iscsicore_nexus_advance, get(), from.get(), len);
    }

    /// Takes what has arrived. Events tell of failures, too.
    result<void> receive(instant now, receiver &from) {
        return detail::call(iscsicore_nexus_receive, get(), now.count(), from.get());
    }

    /// Queues what is to be sent.
    result<void> transmit(instant now, transmitter &to) {
        return detail::call(iscsicore_nexus_transmit, get(), now.count(), to.get());
    }

    /// The connection is gone.
    result<void> lost(instant now, iscsicore_loss why) {
        return detail::call(iscsicore_nexus_lost, get(), now.count(), why);
    }

    /// Takes a command; the result is the task that names it until its end was told. The command may be submitted again.
    result<std::uint64_t> submit(instant now, const command &what) {
        return detail::fetch<std::uint64_t>(iscsicore_nexus_submit, get(), now.count(), what.get());
    }

    /// Aborts a command; its end is told.
    result<void> abort(instant now, std::uint64_t task) {
        return detail::call(iscsicore_nexus_abort, get(), now.count(), task);
    }

    /// Aborts a command whose end nobody waits for.
    result<void> cancel(instant now, std::uint64_t task) {
        return detail::call(iscsicore_nexus_cancel, get(), now.count(), task);
    }

    /// Sends a task management function; the result is the request that the answer names.
    result<std::uint64_t> task_management(instant now, iscsicore_task_management_function function,
                                          std::uint64_t lun) {
        return detail::fetch<std::uint64_t>(iscsicore_nexus_task_management, get(), now.count(), function, lun);
    }

    /// Asks for targets: for one by its name, or (nullptr) for those that the session is for.
    result<std::uint64_t> send_targets(instant now, const char *target = nullptr) {
        return detail::fetch<std::uint64_t>(iscsicore_nexus_send_targets, get(), now.count(), target);
    }

    /// Asks for a sign of life; the payload comes back.
    result<std::uint64_t> ping(instant now, payload &&data = payload()) {
        return data.hand_over([&](const iscsicore_payload *lent) {
            return detail::fetch<std::uint64_t>(iscsicore_nexus_ping, get(), now.count(), lent);
        });
    }

    /// Drops the connection and dials again at once.
    result<void> reconnect(instant now) {
        return detail::call(iscsicore_nexus_reconnect, get(), now.count());
    }

    /// Waits for the commands that were taken, logs out, ends.
    result<void> logout(instant now) { return detail::call(iscsicore_nexus_logout, get(), now.count()); }

    /// Ends now.
    result<void> end(instant now) { return detail::call(iscsicore_nexus_end, get(), now.count()); }

    /// When handle_timeout is to be called.
    result<deadline> timeout() const {
        return detail::deadline_of(detail::fetch<std::uint64_t>(iscsicore_nexus_timeout, get()));
    }

    result<void> handle_timeout(instant now) {
        return detail::call(iscsicore_nexus_handle_timeout, get(), now.count());
    }

    /// Whether a session is up.
    result<bool> is_up() const { return detail::fetch<bool>(iscsicore_nexus_is_up, get()); }

    /// How many commands could be sent at once.
    result<std::uint32_t> window() const {
        return detail::fetch<std::uint32_t>(iscsicore_nexus_window, get());
    }

    /// How many commands and other requests have not ended.
    result<std::size_t> outstanding() const {
        return detail::fetch<std::size_t>(iscsicore_nexus_outstanding, get());
    }

    /// What the last login agreed on.
    result<iscsicore_parameters> parameters() const {
        return detail::fetch<iscsicore_parameters>(iscsicore_nexus_parameters, get());
    }
};

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif

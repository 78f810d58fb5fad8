/// One session of a target, for programs that carry out SCSI commands themselves.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_TARGET_HPP
#define ISCSICORE_TARGET_HPP

#include "link.hpp"

namespace iscsicore {
inline namespace ISCSICORE_ABI {

/// Payload of a command that outlives the event that showed it: see target::keep_data.
class kept_data : public detail::handle<kept_data, iscsicore_kept_data, iscsicore_kept_data_free> {};

/// A login, and the session that it becomes. After any call: next_event until there is none, transmit, re-arm a timer for
/// timeout.
class target : public detail::handle<target, iscsicore_target, iscsicore_target_free> {
public:
    /// For a connection that was accepted.
    static result<target> create(const seed &random, instant now, const iscsicore_limits *limits = nullptr) {
        return detail::make<target>(iscsicore_target_new, limits, random.data(), now.count());
    }

    /// Takes what has arrived. A login stops at the event that it wants an answer to: call again then.
    result<void> receive(instant now, receiver &from) {
        return detail::call(iscsicore_target_receive, get(), now.count(), from.get());
    }

    /// Queues what is to be sent.
    result<void> transmit(instant now, transmitter &to) {
        return detail::call(iscsicore_target_transmit, get(), now.count(), to.get());
    }

    /// The connection is gone.
    result<void> lost(instant now) { return detail::call(iscsicore_target_lost, get(), now.count()); }

    /// When handle_timeout is to be called.
    result<deadline> timeout() const {
        return detail::deadline_of(detail::fetch<std::uint64_t>(iscsicore_target_timeout, get()));
    }

    result<void> handle_timeout(instant now) {
        return detail::call(iscsicore_target_handle_timeout, get(), now.count());
    }

    /// What is to be acted on next; nullptr when there is nothing. It lives until the next call of this function.
    result<const iscsicore_target_event *> next_event() {
        return detail::fetch<const iscsicore_target_event *>(iscsicore_target_next_event, get());
    }

    /// Lets a login go on.
    result<void> admit(const iscsicore_admission &admission) {
        return detail::call(iscsicore_target_admit, get(), &admission);
    }

    /// Refuses a login; `why` comes back with the end, for the log.
    result<void> refuse(iscsicore_login_status status, const char *why = nullptr) {
        return detail::call(iscsicore_target_refuse, get(), status, why);
    }

    /// Sends a login elsewhere.
    result<void> redirect(bool permanent, const char *address) {
        return detail::call(iscsicore_target_redirect, get(), permanent ? 1 : 0, address);
    }

    /// Makes the login a session, with a TSIH that no other session has.
    result<void> establish(instant now, std::uint16_t tsih) {
        return detail::call(iscsicore_target_establish, get(), now.count(), tsih);
    }

    /// Has a login take the place of the connection of this session. Nothing can be done with `login` from then on.
    result<void> reinstate(instant now, target &login) {
        return detail::call(iscsicore_target_reinstate, get(), now.count(), login.get());
    }

    /// Asks for the payload of a command.
    result<void> accept(std::uint64_t task, std::uint32_t len) {
        return detail::call(iscsicore_target_accept, get(), task, len);
    }

    /// Makes the payload that the last event has shown outlive that event: it can be lent on, to a unit, say, and is not copied.
    result<payload> keep_data(const iscsicore_target_data_event &shown) {
        auto kept = detail::make<kept_data>(iscsicore_target_keep_data, get());
        if (!kept) {
            return failure(kept.status(), kept.message());
        }
        return payload::lend(slices(shown.data, shown.data_count),
                             [held = std::move(*kept)]() mutable noexcept { held.free(); });
    }

    /// Sends payload of a command, before its end.
    result<void> send_data(std::uint64_t task, payload &&data) {
        return data.hand_over([&](const iscsicore_payload *lent) {
            return detail::call(iscsicore_target_send_data, get(), task, lent);
        });
    }

    /// Ends a command. `transfer_len` is how much it would have moved, had there been room.
    result<void> complete(std::uint64_t task, std::uint8_t status, bytes sense, std::uint32_t transfer_len) {
        return detail::call(iscsicore_target_complete, get(), task, status, sense.data(), sense.size(),
                            transfer_len);
    }

    /// Sends the last payload of a command and ends it.
    result<void> complete_with(std::uint64_t task, payload &&data, std::uint8_t status, bytes sense,
                               std::uint32_t transfer_len) {
        return data.hand_over([&](const iscsicore_payload *lent) {
            return detail::call(iscsicore_target_complete_with, get(), task, lent, status, sense.data(),
                                sense.size(), transfer_len);
        });
    }

    result<void> answer_task_management(std::uint64_t request, iscsicore_task_management_result answer) {
        return detail::call(iscsicore_target_answer_task_management, get(), request, answer);
    }

    result<void> answer_send_targets(std::uint64_t request, span<const iscsicore_target_record> targets) {
        return detail::call(iscsicore_target_answer_send_targets, get(), request, targets.data(), targets.size());
    }

    /// Ends commands without an answer to them. The result names this call when an event tells that they have ended.
    result<std::uint64_t> abort_tasks(instant now, iscsicore_abort_scope scope, std::uint64_t lun = 0,
                                      std::uint64_t request = 0) {
        return detail::fetch<std::uint64_t>(iscsicore_target_abort_tasks, get(), now.count(), scope, lun, request);
    }

    /// Tells sense data that no command asked for.
    result<void> notify_sense(std::uint64_t lun, bytes sense) {
        return detail::call(iscsicore_target_notify_sense, get(), lun, sense.data(), sense.size());
    }

    /// Asks the initiator to log out.
    result<void> request_logout(instant now, std::chrono::nanoseconds within) {
        return detail::call(iscsicore_target_request_logout, get(), now.count(), nanos(within));
    }

    /// Ends the session.
    result<void> terminate(instant now) {
        return detail::call(iscsicore_target_terminate, get(), now.count());
    }

    /// What the login agreed on.
    result<iscsicore_parameters> parameters() const {
        return detail::fetch<iscsicore_parameters>(iscsicore_target_parameters, get());
    }

    /// What the session has counted; it lives until the next call of this function.
    result<const iscsicore_counters *> counters() const {
        return detail::fetch<const iscsicore_counters *>(iscsicore_target_counters, get());
    }

    /// How many commands and other requests have not been answered.
    result<std::size_t> outstanding() const {
        return detail::fetch<std::size_t>(iscsicore_target_outstanding, get());
    }
};

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif

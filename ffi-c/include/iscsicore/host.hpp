/// A server with disks: everything between the connections and the storage.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_HOST_HPP
#define ISCSICORE_HOST_HPP

#include "link.hpp"

namespace iscsicore {
inline namespace ISCSICORE_ABI {

/// What a server offers: units, targets, who may see what.
class host_config
    : public detail::handle<host_config, iscsicore_host_config, iscsicore_host_config_free> {
public:
    static result<host_config> create() { return detail::make<host_config>(iscsicore_host_config_new); }

    /// Bounds on each connection and session.
    result<void> set_limits(const iscsicore_limits &limits) {
        return detail::call(iscsicore_host_config_set_limits, get(), &limits);
    }

    /// Bounds on the number of sessions and connections.
    result<void> set_node_limits(const iscsicore_node_limits &limits) {
        return detail::call(iscsicore_host_config_set_node_limits, get(), &limits);
    }

    /// Adds a disk; the number of it is what jobs name.
    result<std::uint32_t> add_unit(const iscsicore_unit_options &unit) {
        return detail::fetch<std::uint32_t>(iscsicore_host_config_add_unit, get(), &unit);
    }

    /// Adds a target; the number of it is what the functions below take.
    result<std::uint32_t> add_target(const char *name, const char *alias = nullptr) {
        return detail::fetch<std::uint32_t>(iscsicore_host_config_add_target, get(), name, alias);
    }

    /// Adds an address, such as "127.0.0.1:3260", that the target is reached at. `announce` is what discovery tells in its place.
    result<void> add_portal(std::uint32_t target, std::uint16_t tag, const char *address,
                            const char *announce = nullptr) {
        return detail::call(iscsicore_host_config_add_portal, get(), target, tag, address, announce);
    }

    /// Shows a unit as a LUN: to every initiator that has no LUNs of its own, or to one initiator as its own.
    result<void> add_lun(std::uint32_t target, std::uint16_t lun, std::uint32_t unit,
                         iscsicore_access access = ISCSICORE_ACCESS_READ_WRITE, const char *initiator = nullptr) {
        return detail::call(iscsicore_host_config_add_lun, get(), target, initiator, lun, unit, access);
    }

    /// Lets an initiator in, and from then on no others but those that are let in so.
    result<void> allow_initiator(std::uint32_t target, const char *initiator) {
        return detail::call(iscsicore_host_config_allow_initiator, get(), target, initiator);
    }

    /// Adds a CHAP account, for a target or for ISCSICORE_DISCOVERY.
    result<void> add_account(std::uint32_t target, const char *name, bytes secret,
                             const char *initiator = nullptr) {
        return detail::call(iscsicore_host_config_add_account, get(), target, name, secret.data(),
                            secret.size(), initiator);
    }

    /// The account by which the server proves itself in turn.
    result<void> set_mutual(std::uint32_t target, const char *name, bytes secret) {
        return detail::call(iscsicore_host_config_set_mutual, get(), target, name, secret.data(),
                            secret.size());
    }

    /// The hash functions that CHAP takes: values of iscsicore_chap_algorithm.
    result<void> set_chap_algorithms(std::uint32_t target, span<const int> algorithms) {
        return detail::call(iscsicore_host_config_set_chap_algorithms, get(), target, algorithms.data(),
                            algorithms.size());
    }

    /// What logins may agree on.
    result<void> set_offer(std::uint32_t target, const iscsicore_offer &offer) {
        return detail::call(iscsicore_host_config_set_offer, get(), target, &offer);
    }
};

/// A server. After any call: next_job, transmit to every link that next_wake names, re-arm a timer for timeout.
class host : public detail::handle<host, iscsicore_host, iscsicore_host_free> {
public:
    static result<host> create(const host_config &config) {
        return detail::make<host>(iscsicore_host_new, config.get());
    }

    /// Takes the targets and rules of another configuration for logins to come.
    result<void> reconfigure(const host_config &config) {
        return detail::call(iscsicore_host_reconfigure, get(), config.get());
    }

    /// A connection was accepted at `local_address`. The result is the link that names it.
    result<std::uint64_t> connect(instant now, const char *local_address, const seed &random) {
        return detail::fetch<std::uint64_t>(iscsicore_host_connect, get(), now.count(), local_address,
                                            random.data());
    }

    /// Takes what has arrived. A failure ends the link: transmit, then close.
    result<void> receive(instant now, std::uint64_t link, receiver &from) {
        return detail::call(iscsicore_host_receive, get(), now.count(), link, from.get());
    }

    /// Queues what is to be sent.
    result<void> transmit(instant now, std::uint64_t link, transmitter &to) {
        return detail::call(iscsicore_host_transmit, get(), now.count(), link, to.get());
    }

    /// Whether the connection is to be closed once the transmitter is empty.
    result<bool> is_closing(std::uint64_t link) const {
        return detail::fetch<bool>(iscsicore_host_is_closing, get(), link);
    }

    /// The connection is gone.
    result<void> lost(instant now, std::uint64_t link) {
        return detail::call(iscsicore_host_lost, get(), now.count(), link);
    }

    /// The next operation on storage that is to be carried out; nullptr when there is none. It lives until it is finished.
    result<const iscsicore_job *> next_job() {
        return detail::fetch<const iscsicore_job *>(iscsicore_host_next_job, get());
    }

    /// An operation other than a read has ended, or a read has failed. `at` is the offset of a medium error.
    result<void> finish(instant now, std::uint64_t job, iscsicore_io io, std::uint64_t at = 0) {
        return detail::call(iscsicore_host_finish, get(), now.count(), job, io, at);
    }

    /// A read has ended, with its data.
    result<void> finish_read(instant now, std::uint64_t job, payload &&data) {
        return data.hand_over([&](const iscsicore_payload *lent) {
            return detail::call(iscsicore_host_finish_read, get(), now.count(), job, lent);
        });
    }

    /// The extents of a range are known.
    result<void> finish_extents(instant now, std::uint64_t job, span<const iscsicore_extent> extents) {
        return detail::call(iscsicore_host_finish_extents, get(), now.count(), job, extents.data(),
                            extents.size());
    }

    /// Keeps a pointer of the caller's for a connection, until that is lost.
    result<void> set_context(std::uint64_t link, void *context) {
        return detail::call(iscsicore_host_set_context, get(), link, context);
    }

    /// What set_context kept; null when nothing was.
    result<void *> context(std::uint64_t link) const {
        return detail::fetch<void *>(iscsicore_host_context, get(), link);
    }

    /// The next link that something changed for: transmit to it, and receive from it once more; 0 when there is none.
    result<std::uint64_t> next_wake() { return detail::fetch<std::uint64_t>(iscsicore_host_next_wake, get()); }

    /// When handle_timeout is to be called.
    result<deadline> timeout() const {
        return detail::deadline_of(detail::fetch<std::uint64_t>(iscsicore_host_timeout, get()));
    }

    result<void> handle_timeout(instant now) {
        return detail::call(iscsicore_host_handle_timeout, get(), now.count());
    }

    /// Asks all initiators to log out.
    result<void> request_logout(instant now, std::chrono::nanoseconds within) {
        return detail::call(iscsicore_host_request_logout, get(), now.count(), nanos(within));
    }

    /// Gives a unit another capacity.
    result<void> resize(std::uint32_t unit, std::uint64_t blocks) {
        return detail::call(iscsicore_host_resize, get(), unit, blocks);
    }

    /// Whether a target is served.
    result<void> set_service(const char *target, iscsicore_service service) {
        return detail::call(iscsicore_host_set_service, get(), target, service);
    }

    /// Who is at the other end of a link; nullptr before it has logged in.
    result<const iscsicore_session *> session(std::uint64_t link) {
        return detail::fetch<const iscsicore_session *>(iscsicore_host_session, get(), link);
    }

    result<std::size_t> session_count() const {
        return detail::fetch<std::size_t>(iscsicore_host_session_count, get());
    }
};

/// An address of the socket interface, a struct sockaddr, as connect takes it: "192.0.2.1:3260", "[::1]:3260".
inline result<std::string> address_text(const void *address, std::size_t address_len) {
    return detail::filled<std::string>(iscsicore_address_text, address, address_len);
}

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif

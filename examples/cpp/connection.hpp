/// A TCP connection to a target, and the loop that keeps a nexus going on it.
#ifndef CONNECTION_HPP
#define CONNECTION_HPP

#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include <iscsicore.hpp>

/// A socket and the two halves of the protocol that go with it.
class connection {
public:
    /// Connects to "host:port", "[v6]:port". The reason is thrown in words when that fails.
    connection(const char *address, const iscsicore_limits &limits);
    ~connection();
    connection(const connection &) = delete;
    connection &operator=(const connection &) = delete;

    /// Writes what there is to be written, as far as the socket takes it. False: the connection is gone.
    bool write(iscsicore::nexus &nexus);

    /// Waits for the socket, or until the deadline of the nexus, then reads what has arrived. False: the connection is gone.
    bool wait(iscsicore::nexus &nexus);

private:
    int socket_;
    iscsicore::receiver receiver_;
    iscsicore::transmitter transmitter_;
    /// Whether the socket takes no more for now.
    bool blocked_ = false;
};

/// A nexus with its connection: submits commands and waits for their ends.
class client {
public:
    using completed = std::function<void(const iscsicore_completed_event &)>;

    client(const iscsicore_initiator_options &options, const iscsicore_limits &limits);

    /// Waits until the session is up. What stands in the way is thrown, in words.
    void connect();

    /// Submits a command; the function is called when it has ended.
    void submit(const iscsicore::command &command, completed then);

    /// Submits a command, waits for it, and gives what it received. Anything but GOOD is thrown, in words.
    std::vector<std::uint8_t> ask(const iscsicore::command &command);

    /// Asks a discovery session for targets, and calls the function with each.
    void discover(const std::function<void(const iscsicore_target_record &)> &each);

    /// Goes on until `done` says that it is enough.
    void run_until(const std::function<bool()> &done);

    /// Logs out and waits for the end.
    void logout();

    const iscsicore::nexus &nexus() const { return nexus_; }

private:
    void turn();
    bool take_events();
    void handle(const iscsicore_nexus_event &event);
    void dial(const iscsicore_dial_event &dial);
    void lose();

    iscsicore_limits limits_;
    iscsicore::nexus nexus_;
    std::optional<connection> connection_;
    std::map<std::uint64_t, completed> waiting_;
    std::function<void(const iscsicore_targets_event &)> on_targets_;
    bool ended_ = false;
    std::string why_ended_;
};

/// What a completed command says, when that is not GOOD.
std::string words(const iscsicore_completed_event &ended);

#endif

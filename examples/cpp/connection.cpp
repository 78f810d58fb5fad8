#include "connection.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

namespace ic = iscsicore;

namespace {

ic::seed random_seed() {
    ic::seed seed;
    if (getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) {
        throw std::runtime_error("no randomness");
    }
    return seed;
}

/// A connected socket. A connect that is not answered is given up after a while.
int dial_one(const addrinfo &to) {
    const int made = socket(to.ai_family, to.ai_socktype | SOCK_CLOEXEC, to.ai_protocol);
    if (made < 0) {
        return -1;
    }
    const timeval patience{10, 0};
    const int yes = 1;
    setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(made, to.ai_addr, to.ai_addrlen) == 0 && fcntl(made, F_SETFL, O_NONBLOCK) == 0) {
        return made;
    }
    const int error = errno;
    close(made);
    errno = error;
    return -1;
}

int dial(const std::string &address) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string::npos) {
        throw std::runtime_error(address + " has no port");
    }
    std::string host = address.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo *found = nullptr;
    const int failed = getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found);
    if (failed != 0) {
        throw std::runtime_error(host + ": " + gai_strerror(failed));
    }
    int made = -1;
    for (const addrinfo *one = found; one != nullptr && made < 0; one = one->ai_next) {
        made = dial_one(*one);
    }
    const int error = errno;
    freeaddrinfo(found);
    if (made < 0) {
        throw std::runtime_error(address + ": " + std::strerror(error));
    }
    return made;
}

bool is_passing(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

connection::connection(const char *address, const iscsicore_limits &limits)
    : socket_(-1), receiver_(ic::receiver::create(&limits).value()),
      transmitter_(ic::transmitter::create().value()) {
    socket_ = dial(address);
}

connection::~connection() {
    if (socket_ >= 0) {
        close(socket_);
    }
}

bool connection::write(ic::nexus &nexus) {
    blocked_ = false;
    for (;;) {
        nexus.transmit(ic::instant::now(), transmitter_).value();
        std::array<iscsicore_iovec, 64> room;
        const ic::span<iscsicore_iovec> slices = transmitter_.slices(room).value();
        if (slices.empty()) {
            break;
        }
        msghdr message{};
        message.msg_iov = slices.data();
        message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(slices.size());
        const ssize_t written = sendmsg(socket_, &message, MSG_NOSIGNAL);
        if (written < 0) {
            blocked_ = is_passing(errno);
            return blocked_;
        }
        transmitter_.advance(static_cast<std::size_t>(written)).value();
    }
    // That the transmitter was emptied may let the session go on with what has arrived. When the target breaks the protocol
    // events tell so, too.
    (void)nexus.receive(ic::instant::now(), receiver_);
    return true;
}

bool connection::wait(ic::nexus &nexus) {
    // Payload of a command that has a buffer is read straight to there.
    std::array<iscsicore_iovec, 2> room;
    const ic::span<iscsicore_iovec> slices = nexus.want(receiver_, room).value();
    pollfd waiting{};
    waiting.fd = socket_;
    waiting.events = static_cast<short>((slices.empty() ? 0 : POLLIN) | (blocked_ ? POLLOUT : 0));
    if (poll(&waiting, 1, ic::milliseconds_until(nexus.timeout().value(), ic::instant::now())) < 0) {
        return errno == EINTR;
    }
    if ((waiting.revents & (POLLIN | POLLHUP | POLLERR)) == 0) {
        return true;
    }
    if (slices.empty()) {
        return (waiting.revents & (POLLHUP | POLLERR)) == 0;
    }
    const ssize_t len = readv(socket_, slices.data(), static_cast<int>(slices.size()));
    if (len <= 0) {
        return len < 0 && is_passing(errno);
    }
    nexus.advance(receiver_, static_cast<std::size_t>(len)).value();
    (void)nexus.receive(ic::instant::now(), receiver_);
    return true;
}

client::client(const iscsicore_initiator_options &options, const iscsicore_limits &limits)
    : limits_(limits), nexus_(ic::nexus::create(options, random_seed(), ic::instant::now()).value()) {}

void client::connect() {
    run_until([this] { return nexus_.is_up().value(); });
}

void client::submit(const ic::command &command, completed then) {
    waiting_.emplace(nexus_.submit(ic::instant::now(), command).value(), std::move(then));
}

std::vector<std::uint8_t> client::ask(const ic::command &command) {
    std::optional<std::vector<std::uint8_t>> answer;
    submit(command, [&answer](const iscsicore_completed_event &ended) {
        if (const std::string trouble = words(ended); !trouble.empty()) {
            throw std::runtime_error(trouble);
        }
        answer = ic::joined(ended.data, ended.data_count);
    });
    run_until([&answer] { return answer.has_value(); });
    return std::move(*answer);
}

void client::discover(const std::function<void(const iscsicore_target_record &)> &each) {
    bool answered = false;
    on_targets_ = [&](const iscsicore_targets_event &event) {
        answered = true;
        if (event.cause != ISCSICORE_CAUSE_NONE) {
            throw std::runtime_error("the target does not say which targets there are");
        }
        for (const auto &target : ic::span<const iscsicore_target_record>(event.targets, event.target_count)) {
            each(target);
        }
    };
    (void)nexus_.send_targets(ic::instant::now()).value();
    run_until([&answered] { return answered; });
}

void client::logout() {
    nexus_.logout(ic::instant::now()).value();
    while (!ended_) {
        turn();
    }
}

void client::run_until(const std::function<bool()> &done) {
    while (!done()) {
        if (ended_) {
            throw std::runtime_error(why_ended_);
        }
        turn();
    }
}

/// One turn: events, what is to be written, then the socket, or the time without one.
void client::turn() {
    const bool told = take_events();
    if (ended_) {
        return;
    }
    if (connection_ && !connection_->write(nexus_)) {
        lose();
    }
    // What was told may be what is waited for; and writing may have brought events, and they more to write.
    if (take_events() || told) {
        return;
    }
    if (!connection_) {
        poll(nullptr, 0, ic::milliseconds_until(nexus_.timeout().value(), ic::instant::now()));
    } else if (!connection_->wait(nexus_)) {
        lose();
    }
    nexus_.handle_timeout(ic::instant::now()).value();
}

bool client::take_events() {
    bool any = false;
    while (const iscsicore_nexus_event *event = nexus_.next_event().value()) {
        handle(*event);
        any = true;
    }
    return any;
}

void client::lose() {
    connection_.reset();
    nexus_.lost(ic::instant::now(), ISCSICORE_LOSS_CLOSED).value();
}

void client::dial(const iscsicore_dial_event &dial) {
    try {
        connection_.emplace(dial.address, limits_);
    } catch (const std::exception &error) {
        nexus_.dial_failed(ic::instant::now(), error.what()).value();
        return;
    }
    nexus_.connected(ic::instant::now()).value();
}

void client::handle(const iscsicore_nexus_event &event) {
    switch (event.kind) {
    case ISCSICORE_NEXUS_EVENT_KIND_DIAL:
        dial(event.u.dial);
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_HANG_UP:
        connection_.reset();
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_DOWN:
        if (event.u.down.reason != ISCSICORE_DOWN_REASON_LOGGED_OUT) {
            std::fprintf(stderr, "connection lost: %s\n", event.u.down.text);
        }
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_ATTEMPT_FAILED:
        std::fprintf(stderr, "trying again: %s\n", event.u.attempt_failed.text);
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_COMPLETED:
        // The function may submit the next command.
        if (auto ended = waiting_.extract(event.u.completed.task)) {
            ended.mapped()(event.u.completed);
        }
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_TARGETS:
        if (on_targets_) {
            on_targets_(event.u.targets);
        }
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_ENDED:
        ended_ = true;
        why_ended_ = event.u.ended.text;
        break;
    default:
        // Later versions of the library may tell of more.
        break;
    }
}

std::string words(const iscsicore_completed_event &ended) {
    if (ended.outcome != ISCSICORE_OUTCOME_ANSWERED) {
        return ended.outcome == ISCSICORE_OUTCOME_NOT_SENT ? "the command was not carried out"
                                                            : "nobody knows whether the command was carried out";
    }
    if (ended.status == 0) {
        return {};
    }
    std::string text = ic::scsi_status_text(ended.status);
    if (ended.sense_len != 0) {
        text += ": " + ic::sense_text(ic::bytes(ended.sense, ended.sense_len)).value();
    }
    return text;
}

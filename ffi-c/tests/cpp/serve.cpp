/// A small server for the test of the example: a disk in memory, of as many blocks as the first argument says, behind a port that
/// the system chooses and that is printed. With two more arguments initiators prove a CHAP name and secret. It ends when
/// standard input does.
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "initiator.hpp"

namespace {

/// An accepted socket and its connection.
class peer {
public:
    peer(int socket, ic::simple connection) : socket_(socket), connection_(std::move(connection)) {}
    ~peer() { close(socket_); }
    peer(const peer &) = delete;
    peer &operator=(const peer &) = delete;

    int socket() const { return socket_; }
    ic::simple &connection() { return connection_; }

    /// Takes what has arrived. False: the connection is at its end.
    bool read() {
        std::array<std::uint8_t, 65536> room;
        const ssize_t len = recv(socket_, room.data(), room.size(), 0);
        if (len <= 0) {
            return len < 0 && errno == EAGAIN;
        }
        // A peer that breaks the protocol is told so, and hung up on by an event.
        (void)connection_.feed(ic::instant::now(), ic::bytes(room).first(static_cast<std::size_t>(len)));
        return true;
    }

    /// Writes what there is, all of it.
    bool write() {
        std::vector<std::uint8_t> room(1 << 20);
        for (;;) {
            ic::span<std::uint8_t> left = connection_.take(ic::instant::now(), room).value();
            if (left.empty()) {
                return true;
            }
            while (!left.empty()) {
                const ssize_t len = send(socket_, left.data(), left.size(), MSG_NOSIGNAL);
                if (len < 0) {
                    return false;
                }
                left = left.subspan(static_cast<std::size_t>(len));
            }
        }
    }

private:
    int socket_;
    ic::simple connection_;
};

ic::host a_host(const char *address, std::uint64_t blocks, const char *user, const char *secret) {
    auto config = ic::host_config::create().value();
    auto unit = ic::options<iscsicore_unit_options>();
    unit.serial = "0004";
    unit.blocks = blocks;
    config.add_unit(unit).value();
    const auto target = config.add_target(TARGET).value();
    config.add_portal(target, 1, address).value();
    config.add_lun(target, 0, 0).value();
    if (user != nullptr) {
        config.add_account(target, user, ic::bytes_of(ic::text(secret))).value();
    }
    return ic::host::create(config).value();
}

class server {
public:
    server(std::uint64_t blocks, const char *user, const char *secret) : disk_(blocks * 512) {
        disk_.fill();
        listener_ = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto *generic = reinterpret_cast<sockaddr *>(&address);
        socklen_t len = sizeof address;
        CHECK(bind(listener_, generic, len) == 0 && listen(listener_, 16) == 0);
        CHECK(getsockname(listener_, generic, &len) == 0);
        address_ = ic::address_text(generic, len).value();
        host_ = a_host(address_.c_str(), blocks, user, secret);
        std::printf("%s\n", address_.c_str());
        std::fflush(stdout);
    }

    ~server() { close(listener_); }
    server(const server &) = delete;
    server &operator=(const server &) = delete;

    void run() {
        for (;;) {
            std::vector<pollfd> waiting{{STDIN_FILENO, POLLIN, 0}, {listener_, POLLIN, 0}};
            for (const auto &one : peers_) {
                waiting.push_back({one->socket(), POLLIN, 0});
            }
            poll(waiting.data(), waiting.size(),
                 ic::milliseconds_until(host_.timeout().value(), ic::instant::now()));
            if (waiting[0].revents != 0) {
                return;
            }
            for (std::size_t i = 0; i < peers_.size(); ++i) {
                if (waiting[i + 2].revents != 0 && !peers_[i]->read()) {
                    peers_[i].reset();
                }
            }
            if (waiting[1].revents != 0) {
                take();
            }
            host_.handle_timeout(ic::instant::now()).value();
            for (auto &one : peers_) {
                if (one && !(act(*one) && one->write())) {
                    one.reset();
                }
            }
            peers_.erase(std::remove(peers_.begin(), peers_.end(), nullptr), peers_.end());
        }
    }

private:
    void take() {
        const int made = accept(listener_, nullptr, nullptr);
        CHECK(made >= 0);
        ic::seed random;
        CHECK(getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()));
        auto connection = ic::simple::target(host_, ic::instant::now(), address_.c_str(), random);
        if (!connection) {
            close(made);
            return;
        }
        peers_.push_back(std::make_unique<peer>(made, std::move(*connection)));
    }

    /// Does what the connection asks for. False: it is at its end.
    bool act(peer &one) {
        for (bool again = true; again;) {
            again = false;
            while (const iscsicore_simple_event *event = one.connection().next_event().value()) {
                if (event->kind == ISCSICORE_SIMPLE_EVENT_KIND_CLOSE) {
                    return false;
                }
                finish(*event->job);
                again = true;
            }
            // What waits to be sent keeps the session from listening.
            if (!one.write()) {
                return false;
            }
        }
        return true;
    }

    void finish(const iscsicore_job &job) {
        if (job.op.kind == ISCSICORE_OP_KIND_READ) {
            host_.finish_read(ic::instant::now(), job.id, ic::payload::lend(disk_.read(job.op))).value();
        } else {
            host_.finish(ic::instant::now(), job.id, disk_.apply(job.op)).value();
        }
    }

    int listener_;
    std::string address_;
    storage disk_;
    ic::host host_;
    std::vector<std::unique_ptr<peer>> peers_;
};

}  // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2 || argc == 4);
    server(std::strtoull(argv[1], nullptr, 10), argc == 4 ? argv[2] : nullptr, argc == 4 ? argv[3] : nullptr).run();
}

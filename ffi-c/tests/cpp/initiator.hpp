/// An initiator for tests: a nexus with the halves of its connection, and what its events have told.
#ifndef INITIATOR_HPP
#define INITIATOR_HPP

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "check.hpp"

constexpr const char *TARGET = "iqn.2001-04.com.example:disk";
constexpr const char *INITIATOR = "iqn.2001-04.com.example:me";

/// The end of a command, kept.
struct ended {
    iscsicore_outcome outcome;
    std::uint8_t status;
    std::uint32_t received;
    std::vector<std::uint8_t> data;
    std::vector<std::uint8_t> sense;
    void *context;
};

class initiator {
public:
    explicit initiator(const iscsicore_initiator_options &options)
        : nexus(ic::nexus::create(options, seed_of(1), tick()).value()) {}

    static iscsicore_initiator_options options() {
        auto made = ic::options<iscsicore_initiator_options>();
        made.address = "192.0.2.1:3260";
        made.initiator = INITIATOR;
        made.target = TARGET;
        return made;
    }

    /// Takes all events there are, and gives how many.
    int events() {
        int count = 0;
        while (const iscsicore_nexus_event *event = nexus.next_event().value()) {
            ++count;
            handle(*event);
        }
        return count;
    }

    /// Moves bytes that a target has sent to where they belong. Gives how many there were.
    std::size_t take(ic::transmitter &from) {
        std::size_t total = 0;
        for (;;) {
            std::array<iscsicore_iovec, 2> room;
            const auto wanted = nexus.want(rx, room).value();
            std::array<iscsicore_iovec, 4> sent;
            const auto said = from.slices(sent).value();
            if (wanted.empty() || said.empty()) {
                return total;
            }
            const std::size_t len = std::min(wanted[0].iov_len, said[0].iov_len);
            std::memcpy(wanted[0].iov_base, said[0].iov_base, len);
            nexus.advance(rx, len).value();
            from.advance(len).value();
            total += len;
            (void)nexus.receive(tick(), rx);
        }
    }

    ic::nexus nexus;
    ic::receiver rx = ic::receiver::create().value();
    ic::transmitter tx = ic::transmitter::create().value();
    bool wants_connection = false;
    bool up = false;
    bool over = false;
    std::string last_words;
    std::map<std::uint64_t, ended> ends;
    std::map<std::uint64_t, std::vector<std::uint8_t>> pongs;
    std::map<std::uint64_t, int> managed;
    std::vector<std::string> targets;

private:
    void handle(const iscsicore_nexus_event &event) {
        switch (event.kind) {
        case ISCSICORE_NEXUS_EVENT_KIND_DIAL:
            CHECK(ic::text(event.u.dial.address) == "192.0.2.1:3260");
            wants_connection = true;
            break;
        case ISCSICORE_NEXUS_EVENT_KIND_UP:
            up = true;
            break;
        case ISCSICORE_NEXUS_EVENT_KIND_DOWN:
            up = false;
            break;
        case ISCSICORE_NEXUS_EVENT_KIND_COMPLETED: {
            const auto &how = event.u.completed;
            const ic::bytes sense(how.sense, how.sense_len);
            ends[how.task] = ended{how.outcome, how.status, how.received, ic::joined(how.data, how.data_count),
                                   std::vector<std::uint8_t>(sense.begin(), sense.end()), how.context};
            break;
        }
        case ISCSICORE_NEXUS_EVENT_KIND_PONG: {
            const ic::bytes data(event.u.pong.data, event.u.pong.data_len);
            pongs[event.u.pong.request].assign(data.begin(), data.end());
            break;
        }
        case ISCSICORE_NEXUS_EVENT_KIND_TASK_MANAGEMENT_DONE:
            managed[event.u.task_management_done.request] = event.u.task_management_done.result;
            break;
        case ISCSICORE_NEXUS_EVENT_KIND_TARGETS:
            for (const auto &found :
                 ic::span<const iscsicore_target_record>(event.u.targets.targets, event.u.targets.target_count)) {
                targets.emplace_back(found.name);
            }
            break;
        case ISCSICORE_NEXUS_EVENT_KIND_ENDED:
            over = true;
            last_words = ic::text(event.u.ended.text);
            break;
        default:
            break;
        }
    }
};

/// Storage of a test: bytes in memory, and operations on them.
class storage {
public:
    explicit storage(std::size_t size) : bytes_(size) {}

    std::vector<std::uint8_t> read(const iscsicore_op &op) const {
        const auto from = bytes_.begin() + static_cast<std::ptrdiff_t>(op.offset);
        return std::vector<std::uint8_t>(from, from + static_cast<std::ptrdiff_t>(op.len));
    }

    /// Does whatever is no read.
    iscsicore_io apply(const iscsicore_op &op) {
        std::uint64_t at = op.offset;
        switch (op.kind) {
        case ISCSICORE_OP_KIND_WRITE:
            for (const auto &slice : ic::slices(op.data, op.data_count)) {
                std::memcpy(bytes_.data() + at, slice.iov_base, slice.iov_len);
                at += slice.iov_len;
            }
            CHECK(at == op.offset + op.len);
            return ISCSICORE_IO_DONE;
        case ISCSICORE_OP_KIND_FLUSH:
            return ISCSICORE_IO_DONE;
        default:
            return ISCSICORE_IO_UNSUPPORTED;
        }
    }

    /// Puts something in every byte that says where it is.
    void fill() {
        for (std::size_t i = 0; i < bytes_.size(); ++i) {
            bytes_[i] = static_cast<std::uint8_t>(i * 7 + i / 512);
        }
    }

    const std::vector<std::uint8_t> &bytes() const { return bytes_; }

private:
    std::vector<std::uint8_t> bytes_;
};

#endif

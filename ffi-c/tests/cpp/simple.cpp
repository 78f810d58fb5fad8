/// Both roles as simple connections: bytes go from one to the other by copies.
#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"

namespace {

constexpr const char *TARGET = "iqn.2001-04.com.example:disk";

ic::host a_disk() {
    auto config = ic::host_config::create().value();
    auto unit = ic::options<iscsicore_unit_options>();
    unit.serial = "0003";
    unit.blocks = 64;
    config.add_unit(unit).value();
    const auto target = config.add_target(TARGET).value();
    config.add_portal(target, 1, "192.0.2.1:3260").value();
    config.add_lun(target, 0, 0).value();
    return ic::host::create(config).value();
}

/// Everything that one end has to say goes to the other. Gives how many bytes that were.
std::size_t carry(ic::simple &from, ic::simple &to) {
    std::array<std::uint8_t, 100> room;
    std::size_t total = 0;
    for (;;) {
        const auto said = from.take(tick(), room).value();
        if (said.empty()) {
            return total;
        }
        total += said.size();
        to.feed(tick(), said).value();
    }
}

struct ends {
    bool up = false, over = false, closed = false;
    std::vector<std::uint8_t> data;
    int status = -1;
};

void on(const iscsicore_nexus_event &event, ends &so_far) {
    if (event.kind == ISCSICORE_NEXUS_EVENT_KIND_UP) {
        so_far.up = true;
    } else if (event.kind == ISCSICORE_NEXUS_EVENT_KIND_ENDED) {
        so_far.over = true;
    } else if (event.kind == ISCSICORE_NEXUS_EVENT_KIND_COMPLETED) {
        so_far.status = event.u.completed.status;
        so_far.data = ic::joined(event.u.completed.data, event.u.completed.data_count);
    }
}

ends run(ic::host &host, ic::simple &server, ic::simple &client) {
    ends so_far;
    for (bool busy = true; busy;) {
        busy = carry(client, server) + carry(server, client) > 0;
        while (const iscsicore_simple_event *event = server.next_event().value()) {
            busy = true;
            if (event->kind == ISCSICORE_SIMPLE_EVENT_KIND_JOB) {
                const iscsicore_op &op = event->job->op;
                if (op.kind == ISCSICORE_OP_KIND_READ) {
                    const auto len = static_cast<std::size_t>(op.len);
                    host.finish_read(tick(), event->job->id, ic::payload::lend(std::string(len, 'r'))).value();
                } else {
                    host.finish(tick(), event->job->id, ISCSICORE_IO_DONE).value();
                }
            } else {
                CHECK(event->kind == ISCSICORE_SIMPLE_EVENT_KIND_CLOSE);
                so_far.closed = true;
                server.lost(tick()).value();
            }
        }
        while (const iscsicore_simple_event *event = client.next_event().value()) {
            busy = true;
            if (event->kind == ISCSICORE_SIMPLE_EVENT_KIND_NEXUS) {
                on(*event->nexus, so_far);
            }
        }
    }
    return so_far;
}

iscsicore_initiator_options options() {
    auto made = ic::options<iscsicore_initiator_options>();
    made.address = "192.0.2.1:3260";
    made.initiator = "iqn.2001-04.com.example:me";
    made.target = TARGET;
    return made;
}

void both_ends_talk() {
    ic::host host = a_disk();
    ic::simple server = ic::simple::target(host, tick(), "192.0.2.1:3260", seed_of(1)).value();
    ic::simple client = ic::simple::initiator(options(), seed_of(2), tick()).value();
    CHECK(run(host, server, client).up);
    CHECK(server.nexus().status() == ISCSICORE_STATUS_WRONG_STATE);

    ic::borrowed<ic::nexus> nexus = client.nexus().value();
    CHECK(nexus->is_up().value() && (*nexus).window().value() > 0);
    nexus->submit(tick(), ic::command::read(0, 0, 4, 512).value()).value();
    const ends read = run(host, server, client);
    CHECK(read.status == 0 && read.data == std::vector<std::uint8_t>(2048, 'r'));
    nexus->submit(tick(), ic::command::write(0, 0, ic::payload::lend(std::string(2048, 'w')), 512).value()).value();
    CHECK(run(host, server, client).status == 0);

    // Neither moves nor the end of what is borrowed end what it was borrowed from.
    ic::borrowed<ic::nexus> other = std::move(nexus);
    nexus = std::move(other);
    ic::simple moved = std::move(client);
    CHECK(nexus->outstanding().value() == 0 && moved.timeout().value().has_value());
    { ic::borrowed<ic::nexus> again = moved.nexus().value(); }
    moved.handle_timeout(tick()).value();
    server.handle_timeout(tick()).value();
    nexus->logout(tick()).value();
    const ends last = run(host, server, moved);
    CHECK(last.over && last.closed && host.session_count().value() == 0);
    CHECK(moved.feed(tick(), ic::bytes_of("x")).status() == ISCSICORE_STATUS_WRONG_STATE);
}

void connections_end_before_their_host() {
    ic::host host = a_disk();
    {
        ic::simple server = ic::simple::target(host, tick(), "192.0.2.1:3260", seed_of(1)).value();
        // It is not freed under its connections: the C function says so.
        CHECK(iscsicore_host_free(host.get()) != ISCSICORE_STATUS_OK);
        CHECK(!server.feed(tick(), ic::bytes_of(std::string(48, '\xff'))));
    }
    CHECK(ic::simple::target(host, tick(), "nowhere", seed_of(1)).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);
    CHECK(host.session_count().value() == 0);
}

}  // namespace

int main() {
    both_ends_talk();
    connections_end_before_their_host();
}

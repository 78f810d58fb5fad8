/// A server and an initiator in one process, connected by memory.
#include "initiator.hpp"

namespace {

constexpr std::uint64_t BLOCKS = 2048;

ic::host_config configuration() {
    ic::host_config config = ic::host_config::create().value();
    auto limits = ic::options<iscsicore_limits>();
    config.set_limits(limits).value();
    auto of_all = ic::options<iscsicore_node_limits>();
    of_all.sessions = 4;
    config.set_node_limits(of_all).value();
    auto unit = ic::options<iscsicore_unit_options>();
    unit.serial = "0001";
    unit.blocks = BLOCKS;
    unit.thin = 1;
    const std::uint32_t disk = config.add_unit(unit).value();
    const std::uint32_t target = config.add_target(TARGET, "a disk").value();
    config.add_portal(target, 1, "192.0.2.1:3260").value();
    config.add_lun(target, 0, disk).value();
    config.add_lun(target, 1, disk, ISCSICORE_ACCESS_READ_ONLY, INITIATOR).value();
    config.add_lun(target, 0, disk, ISCSICORE_ACCESS_READ_WRITE, INITIATOR).value();
    auto offer = ic::options<iscsicore_offer>();
    offer.header_digest = ISCSICORE_DIGEST_PREFER_CRC32C;
    config.set_offer(target, offer).value();
    return config;
}

/// Both ends and what lies between.
class pair {
public:
    explicit pair(const ic::host_config &config, const iscsicore_initiator_options &options)
        : host(ic::host::create(config).value()), with(options) {}

    /// Goes on until nothing happens any more.
    void run() {
        bool busy = true;
        for (int turns = 0; busy; ++turns) {
            CHECK(turns < 10000);
            busy = with.events() > 0;
            if (with.wants_connection) {
                with.wants_connection = false;
                link = host.connect(tick(), "192.0.2.1:3260", seed_of(2)).value();
                CHECK(host.context(link).value() == nullptr);
                host.set_context(link, this).value();
                CHECK(host.context(link).value() == this);
                with.nexus.connected(tick()).value();
                busy = true;
            }
            if (link != 0) {
                busy = carry() || busy;
            }
            busy = jobs() || busy;
        }
    }

    std::uint64_t submit(const ic::command &command) { return with.nexus.submit(tick(), command).value(); }

    ended finish(std::uint64_t task) {
        run();
        CHECK(with.ends.count(task) == 1);
        return with.ends[task];
    }

    ended ask(const ic::command &command) { return finish(submit(command)); }

    ic::host host;
    initiator with;
    storage disk{BLOCKS * 512};
    std::uint64_t link = 0;
    bool hold_jobs = false;
    ic::receiver rx = ic::receiver::create().value();
    ic::transmitter tx = ic::transmitter::create().value();

private:
    bool carry() {
        bool moved = false;
        with.nexus.transmit(tick(), with.tx).value();
        std::array<iscsicore_iovec, 8> room;
        for (auto said = with.tx.slices(room).value(); !said.empty(); said = with.tx.slices(room).value()) {
            std::size_t len = 0;
            for (const auto &slice : said) {
                rx.push(ic::payload::copy(ic::bytes_of(slice))).value();
                len += slice.iov_len;
            }
            with.tx.advance(len).value();
            moved = true;
        }
        (void)host.receive(tick(), link, rx);
        host.transmit(tick(), link, tx).value();
        moved = with.take(tx) > 0 || moved;
        if (host.is_closing(link).value() && tx.queued().value() == 0) {
            host.lost(tick(), link).value();
            with.nexus.lost(tick(), ISCSICORE_LOSS_CLOSED).value();
            link = 0;
            moved = true;
        }
        while (host.next_wake().value() != 0) {
            moved = true;
        }
        return moved;
    }

    bool jobs() {
        bool any = false;
        while (!hold_jobs) {
            const iscsicore_job *job = host.next_job().value();
            if (job == nullptr) {
                break;
            }
            any = true;
            if (job->op.kind == ISCSICORE_OP_KIND_READ) {
                host.finish_read(tick(), job->id, ic::payload::lend(disk.read(job->op))).value();
            } else {
                host.finish(tick(), job->id, disk.apply(job->op)).value();
            }
        }
        return any;
    }
};

std::vector<std::uint8_t> pattern(std::size_t len, int seed) {
    std::vector<std::uint8_t> made(len);
    for (std::size_t i = 0; i < len; ++i) {
        made[i] = static_cast<std::uint8_t>(i * 7 + static_cast<std::size_t>(seed) + i / 512);
    }
    return made;
}

/// What is written is read again, by both ways that payload can take.
void data_go_there_and_back() {
    pair both(configuration(), initiator::options());
    both.run();
    CHECK(both.with.up && both.with.nexus.is_up().value());
    CHECK(both.with.nexus.parameters().value().header_digest);
    const std::uint64_t lun = ic::make_lun(0).value();

    const auto written = std::make_shared<const std::vector<std::uint8_t>>(pattern(128 * 1024, 1));
    {
        auto command = ic::command::write(lun, 8, ic::payload::lend(written), 512).value();
        CHECK(command.data_out().value() == written->size() && written.use_count() == 2);
        CHECK(both.ask(command).status == 0);
        // The same command again, as long as it lives.
        CHECK(both.ask(command).status == 0);
    }
    CHECK(written.use_count() == 1);
    CHECK(std::equal(written->begin(), written->end(), both.disk.bytes().begin() + 8 * 512));

    auto read = ic::command::read(lun, 8, 256, 512).value();
    CHECK(read.data_in().value() == 128 * 1024);
    const ended collected = both.ask(read);
    CHECK(collected.status == 0 && collected.data == *written);

    std::vector<std::uint8_t> place(128 * 1024);
    read.set_buffer(place).value();
    read.set_context(&place).value();
    read.set_timeout(std::chrono::seconds(5)).value();
    const ended placed = both.ask(read);
    CHECK(placed.status == 0 && placed.received == place.size() && placed.data.empty());
    CHECK(placed.context == &place && collected.context == nullptr);
    CHECK(place == *written);

    place.resize(100);
    read.set_buffer(place).value();
    CHECK(both.with.nexus.submit(tick(), read).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);
    CHECK(both.ask(ic::command::flush(lun).value()).status == 0);
    CHECK(both.with.nexus.outstanding().value() == 0);
}

/// Handles go where containers want them, in the middle of it all.
void sessions_survive_moves() {
    pair both(configuration(), initiator::options());
    both.run();
    const auto task = both.submit(ic::command::read(ic::make_lun(0).value(), 0, 1, 512).value());
    ic::nexus elsewhere = std::move(both.with.nexus);
    CHECK(!both.with.nexus && both.with.nexus.window().status() == ISCSICORE_STATUS_NULL_POINTER);
    std::vector<ic::host> many;
    many.push_back(std::move(both.host));
    many.push_back(ic::host::create(configuration()).value());
    both.with.nexus = std::move(elsewhere);
    both.host = std::move(many.front());
    CHECK(both.finish(task).data.size() == 512);
    CHECK(both.host.session_count().value() == 1);
}

/// What the units answer is told in words and numbers.
void answers_are_read() {
    pair both(configuration(), initiator::options());
    both.run();
    const std::uint64_t lun = ic::make_lun(0).value();
    CHECK(ic::lun_number(ic::make_lun(300).value()).value() == 300);
    CHECK(ic::make_lun(16384).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);

    const auto capacity =
        ic::decode_capacity(both.ask(ic::command::read_capacity_16(lun).value()).data, true).value();
    CHECK(capacity.blocks == BLOCKS && capacity.block_size == 512);
    const auto small =
        ic::decode_capacity(both.ask(ic::command::read_capacity_10(lun).value()).data, false).value();
    CHECK(small.blocks == BLOCKS);
    const auto about = ic::decode_inquiry(both.ask(ic::command::inquiry(lun).value()).data).value();
    CHECK(ic::text(about.vendor) == "ISCSICOR" && about.device_type == 0);
    const auto luns = ic::decode_luns(both.ask(ic::command::report_luns(lun).value()).data).value();
    CHECK(luns.size() == 2 && ic::lun_number(luns[1]).value() == 1);

    const ended far = both.ask(ic::command::read(lun, BLOCKS, 1, 512).value());
    CHECK(far.status == 2);
    const iscsicore_sense sense = ic::decode_sense(far.sense).value();
    CHECK(sense.key == 5 && sense.asc == 0x21 && sense.ascq == 0);
    CHECK(ic::sense_text(far.sense).value().find("LOGICAL BLOCK ADDRESS OUT OF RANGE") != std::string::npos);
    CHECK(ic::text(ic::scsi_status_text(2)) == "CHECK CONDITION");
    const ended refused =
        both.ask(ic::command::write(ic::make_lun(1).value(), 0, ic::payload::lend(pattern(512, 0)), 512).value());
    CHECK(refused.status == 2 && ic::decode_sense(refused.sense).value().key == 7);
}

void requests_of_the_protocol_are_answered() {
    pair both(configuration(), initiator::options());
    both.run();
    const auto ping = both.with.nexus.ping(tick(), ic::payload::copy("are you there")).value();
    const auto quiet = both.with.nexus.ping(tick()).value();
    const auto reset = both.with.nexus
                           .task_management(tick(), ISCSICORE_TASK_MANAGEMENT_FUNCTION_LOGICAL_UNIT_RESET,
                                            ic::make_lun(0).value())
                           .value();
    both.with.nexus.send_targets(tick()).value();
    both.run();
    const std::string echo(both.with.pongs[ping].begin(), both.with.pongs[ping].end());
    CHECK(echo == "are you there" && both.with.pongs.count(quiet) == 1);
    CHECK(both.with.managed.at(reset) == ISCSICORE_TASK_MANAGEMENT_RESULT_COMPLETE);
    CHECK(both.with.targets == std::vector<std::string>{TARGET});

    const iscsicore_session *session = both.host.session(both.link).value();
    CHECK(session != nullptr && ic::text(session->initiator) == INITIATOR && ic::text(session->target) == TARGET);
    const ic::deadline next = both.with.nexus.timeout().value();
    CHECK(next && !(*next < tick()));
    both.host.handle_timeout(tick()).value();
    both.with.nexus.handle_timeout(tick()).value();
    CHECK(both.host.timeout().value().has_value());

    both.host.resize(0, 2 * BLOCKS).value();
    CHECK(both.host.resize(7, 1).status() == ISCSICORE_STATUS_UNKNOWN);
    both.host.set_service(TARGET, ISCSICORE_SERVICE_UNAVAILABLE).value();
    both.host.reconfigure(configuration()).value();
    both.host.request_logout(tick(), std::chrono::seconds(5)).value();
    both.with.nexus.logout(tick()).value();
    both.run();
    CHECK(both.with.over && both.host.session_count().value() == 0);
    CHECK(both.with.nexus.submit(tick(), ic::command::flush(0).value()).status() ==
          ISCSICORE_STATUS_WRONG_STATE);
}

/// A job that is finished with the wrong number of bytes stays, and so do the bytes.
void jobs_are_finished_once() {
    pair both(configuration(), initiator::options());
    both.run();
    const auto task = both.submit(ic::command::read(ic::make_lun(0).value(), 0, 2, 512).value());
    both.hold_jobs = true;
    both.run();
    const iscsicore_job *job = both.host.next_job().value();
    CHECK(job != nullptr && job->unit == 0 && job->op.kind == ISCSICORE_OP_KIND_READ && job->op.len == 1024);
    const std::uint64_t id = job->id;

    auto data = std::make_shared<const std::string>(100, 'x');
    ic::payload wrong = ic::payload::lend(data);
    CHECK(both.host.finish_read(tick(), id, std::move(wrong)).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);
    CHECK(wrong.size() == 100 && data.use_count() == 2);
    CHECK(!both.host.finish(tick(), id, ISCSICORE_IO_DONE));
    const iscsicore_extent extent{512, 1};
    CHECK(!both.host.finish_extents(tick(), id, ic::span<const iscsicore_extent>(&extent, 1)));
    both.host.finish_read(tick(), id, ic::payload::lend(std::string(1024, 'y'))).value();
    CHECK(both.host.finish(tick(), id, ISCSICORE_IO_DONE).status() == ISCSICORE_STATUS_UNKNOWN);
    CHECK(both.finish(task).data == std::vector<std::uint8_t>(1024, 'y'));
}

/// What storage tells besides data comes through: where the medium failed, what has storage, what is given up.
void outcomes_are_told() {
    pair both(configuration(), initiator::options());
    both.run();
    both.hold_jobs = true;
    const std::uint64_t lun = ic::make_lun(0).value();
    const auto begin = [&both](const ic::command &command) {
        const auto task = both.submit(command);
        both.run();
        const iscsicore_job *job = both.host.next_job().value();
        CHECK(job != nullptr);
        return std::pair(task, *job);
    };

    const auto [read, reading] = begin(ic::command::read(lun, 8, 4, 512).value());
    both.host.finish(tick(), reading.id, ISCSICORE_IO_MEDIUM_ERROR, 10 * 512).value();
    const auto sense = ic::decode_sense(both.finish(read).sense).value();
    CHECK(sense.key == 3 && sense.has_information != 0 && sense.information == 10);

    const auto [status, asking] = begin(ic::command::get_lba_status(lun, 16, 512).value());
    CHECK(asking.op.kind == ISCSICORE_OP_KIND_EXTENTS && asking.op.offset == 16 * 512);
    const iscsicore_extent extents[] = {{8 * 512, 1}, {4 * 512, 0}};
    both.host.finish_extents(tick(), asking.id, extents).value();
    const auto runs = ic::decode_lba_status(both.finish(status).data).value();
    CHECK(runs.size() >= 2 && runs[0].lba == 16 && runs[0].blocks == 8 && runs[0].status == 0);
    CHECK(runs[1].lba == 24 && runs[1].blocks == 4 && runs[1].status == 1);

    const iscsicore_blocks given_up[] = {{0, 8, 0}, {64, 16, 0}};
    const auto [unmap, forgetting] = begin(ic::command::unmap(lun, given_up).value());
    CHECK(forgetting.op.kind == ISCSICORE_OP_KIND_UNMAP);
    std::uint64_t total = 0;
    for (const auto &range : ic::span<const iscsicore_range>(forgetting.op.ranges, forgetting.op.range_count)) {
        total += range.len;
    }
    CHECK(total == 24 * 512);
    both.host.finish(tick(), forgetting.id, ISCSICORE_IO_DONE).value();
    CHECK(both.finish(unmap).status == 0);
}

/// Secrets that are wrong, and a nexus that aborts and ends.
void logins_are_proved() {
    ic::host_config config = configuration();
    config.add_account(0, "user", ic::bytes_of("a secret of length"), nullptr).value();
    config.set_mutual(0, "server", ic::bytes_of("another secret here")).value();
    const int algorithms[] = {ISCSICORE_CHAP_ALGORITHM_SHA256, ISCSICORE_CHAP_ALGORITHM_MD5};
    config.set_chap_algorithms(0, algorithms).value();
    config.allow_initiator(0, INITIATOR).value();
    auto options = initiator::options();
    const ic::bytes good = ic::bytes_of("a secret of length"), bad = ic::bytes_of("the wrong secret!!");
    options.user = "user";
    options.secret = bad.data();
    options.secret_len = bad.size();
    pair refused(config, options);
    refused.run();
    CHECK(refused.with.over && !refused.with.up && !refused.with.last_words.empty());

    const ic::bytes theirs = ic::bytes_of("another secret here");
    options.secret = good.data();
    options.secret_len = good.size();
    options.target_user = "server";
    options.target_secret = theirs.data();
    options.target_secret_len = theirs.size();
    pair proved(config, options);
    proved.run();
    CHECK(proved.with.up && ic::text(proved.host.session(proved.link).value()->user) == "user");

    proved.hold_jobs = true;
    const auto read = ic::command::read(ic::make_lun(0).value(), 0, 1, 512).value();
    const auto aborted = proved.submit(read), cancelled = proved.submit(read), unknown = proved.submit(read);
    proved.with.nexus.cancel(tick(), cancelled).value();
    proved.with.nexus.abort(tick(), aborted).value();
    proved.run();
    proved.with.nexus.end(tick()).value();
    proved.run();
    CHECK(proved.with.ends.at(aborted).outcome != ISCSICORE_OUTCOME_ANSWERED);
    CHECK(proved.with.ends.count(cancelled) == 0 && proved.with.ends.count(unknown) == 1);
    CHECK(proved.with.nexus.abort(tick(), aborted).status() == ISCSICORE_STATUS_UNKNOWN);
    CHECK(proved.with.over);
}

/// A connection that breaks is dialed again, and a command that was sent goes out once more.
void what_was_interrupted_goes_on() {
    pair both(configuration(), initiator::options());
    both.run();
    both.hold_jobs = true;
    const auto task = both.submit(ic::command::read(ic::make_lun(0).value(), 0, 1, 512).value());
    both.run();
    both.host.lost(tick(), both.link).value();
    both.with.nexus.lost(tick(), ISCSICORE_LOSS_FAILED).value();
    both.link = 0;
    both.hold_jobs = false;
    both.rx = ic::receiver::create().value();
    both.tx = ic::transmitter::create().value();
    both.with.rx = ic::receiver::create().value();
    both.with.tx = ic::transmitter::create().value();
    both.with.nexus.reconnect(tick()).value();
    CHECK(both.finish(task).status == 0);
    both.with.nexus.dial_failed(tick(), "nothing is asked for now").value();
    CHECK(both.with.nexus.is_up().value());
}

}  // namespace

int main() {
    data_go_there_and_back();
    sessions_survive_moves();
    answers_are_read();
    requests_of_the_protocol_are_answered();
    jobs_are_finished_once();
    outcomes_are_told();
    logins_are_proved();
    what_was_interrupted_goes_on();
}

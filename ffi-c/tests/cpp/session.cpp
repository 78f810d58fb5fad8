/// A target session and a disk put together by hand: login, commands, payload and task management, from memory to memory.
#include "initiator.hpp"

namespace {

constexpr std::uint64_t BLOCKS = 1024;
constexpr std::uint64_t NEXUS = 7;

iscsicore_unit_options disk_options() {
    auto options = ic::options<iscsicore_unit_options>();
    options.serial = "0002";
    options.blocks = BLOCKS;
    return options;
}

/// A device server over a session of the library.
class device {
public:
    device() {
        unit.attach(NEXUS, false).value();
        unit.set_port(NEXUS, "iqn.2001-04.com.example:disk,t,0x0001", 1).value();
        unit.set_access(NEXUS, ISCSICORE_ACCESS_READ_WRITE).value();
    }

    /// Takes all events there are, and gives how many.
    int events() {
        int count = 0;
        while (const iscsicore_target_event *event = session.next_event().value()) {
            ++count;
            handle(*event);
        }
        return count;
    }

    ic::target session = ic::target::create(seed_of(3), tick()).value();
    ic::unit unit = ic::unit::create(disk_options()).value();
    ic::receiver rx = ic::receiver::create().value();
    ic::transmitter tx = ic::transmitter::create().value();
    storage disk{BLOCKS * 512};
    bool refuses = false;
    bool keeps = true;
    bool closing = false;
    bool over = false;
    int aborts = 0;
    std::uint64_t aborted = 0;
    iscsicore_end_reason reason = ISCSICORE_END_REASON_OTHER;
    std::string why;

private:
    void handle(const iscsicore_target_event &event) {
        switch (event.kind) {
        case ISCSICORE_TARGET_EVENT_KIND_LOGIN:
            login(event.u.login);
            break;
        case ISCSICORE_TARGET_EVENT_KIND_READY:
            CHECK(ic::text(event.u.ready.user) == "user");
            CHECK(session.parameters().value().max_burst >= 512);
            session.establish(tick(), 1).value();
            break;
        case ISCSICORE_TARGET_EVENT_KIND_COMMAND:
            begin(event.u.command);
            break;
        case ISCSICORE_TARGET_EVENT_KIND_DATA: {
            auto &command = waiting_.at(event.u.data.task);
            ic::payload data = keeps ? session.keep_data(event.u.data).value()
                                     : ic::payload::lend(ic::joined(event.u.data.data, event.u.data.data_count));
            CHECK(data.size() == event.u.data.data_len);
            unit.resume_data(command, std::move(data)).value();
            go_on(event.u.data.task, command);
            break;
        }
        case ISCSICORE_TARGET_EVENT_KIND_ABORT:
            ++aborts;
            waiting_.erase(event.u.abort.task);
            break;
        case ISCSICORE_TARGET_EVENT_KIND_TASK_MANAGEMENT:
            CHECK(event.u.task_management.function == ISCSICORE_TASK_MANAGEMENT_FUNCTION_LOGICAL_UNIT_RESET);
            unit.reset(ISCSICORE_RESET_CAUSE_LOGICAL_UNIT).value();
            session.answer_task_management(event.u.task_management.request,
                                           ISCSICORE_TASK_MANAGEMENT_RESULT_COMPLETE).value();
            break;
        case ISCSICORE_TARGET_EVENT_KIND_SEND_TARGETS: {
            iscsicore_target_address place{"192.0.2.1:3260", 1};
            iscsicore_target_record record{TARGET, &place, 1};
            session.answer_send_targets(event.u.send_targets.request,
                                        ic::span<const iscsicore_target_record>(&record, 1)).value();
            break;
        }
        case ISCSICORE_TARGET_EVENT_KIND_TASKS_ABORTED:
            aborted = event.u.tasks_aborted.abort;
            break;
        case ISCSICORE_TARGET_EVENT_KIND_CLOSE:
            closing = true;
            break;
        case ISCSICORE_TARGET_EVENT_KIND_ENDED:
            over = true;
            reason = event.u.ended.reason;
            why = ic::text(event.u.ended.text);
            break;
        default:
            CHECK(false);
        }
    }

    void login(const iscsicore_target_login_event &who) {
        CHECK(ic::text(who.initiator) == INITIATOR && ic::text(who.target) == TARGET && !who.discovery);
        if (refuses) {
            session.refuse(ISCSICORE_LOGIN_STATUS_AUTHORIZATION_FAILURE, "not today").value();
            return;
        }
        const ic::bytes secret = ic::bytes_of("a secret of length");
        const iscsicore_account account{"user", secret.data(), secret.size()};
        auto admission = ic::options<iscsicore_admission>();
        admission.accounts = &account;
        admission.account_count = 1;
        admission.alias = "by hand";
        session.admit(admission).value();
    }

    void begin(const iscsicore_target_command_event &command) {
        const ic::bytes cdb(command.cdb, command.cdb_len);
        ic::disk_command begun;
        if (ic::lun_number(command.lun).value() != 0) {
            begun = ic::disk_command::absent_unit(cdb).value();
        } else if (cdb[0] == 0xa0) {
            const std::uint64_t luns[] = {ic::make_lun(0).value(), ic::make_lun(5).value()};
            begun = ic::disk_command::report_luns(cdb, luns).value();
            unit.luns_changed(NEXUS, true).value();
        } else {
            begun = unit.start(NEXUS, cdb, command.attribute, command.data_in, command.data_out).value();
        }
        go_on(command.task, waiting_.insert_or_assign(command.task, std::move(begun)).first->second);
    }

    /// Carries a command on as far as it goes without payload of the initiator.
    void go_on(std::uint64_t task, ic::disk_command &command) {
        for (;;) {
            const iscsicore_step &step = *command.step().value();
            if (step.kind == ISCSICORE_STEP_KIND_NEED_DATA) {
                session.accept(task, step.need).value();
                return;
            }
            if (step.kind == ISCSICORE_STEP_KIND_DONE) {
                reply(task, *step.reply);
                waiting_.erase(task);
                return;
            }
            if (step.op->kind == ISCSICORE_OP_KIND_READ) {
                unit.resume_read(command, ic::payload::lend(disk.read(*step.op))).value();
            } else {
                unit.resume(command, disk.apply(*step.op)).value();
            }
        }
    }

    void reply(std::uint64_t task, const iscsicore_reply &reply) {
        const ic::bytes sense(reply.sense, reply.sense_len);
        if (reply.data_count == 0) {
            session.complete(task, reply.status, sense, reply.transfer_len).value();
            return;
        }
        std::vector<std::uint8_t> data = ic::joined(reply.data, reply.data_count);
        // In two parts where there are two, to go both ways.
        if (data.size() > 512) {
            session.send_data(task, ic::payload::copy(ic::bytes(data).first(512))).value();
            data.erase(data.begin(), data.begin() + 512);
        }
        session.complete_with(task, ic::payload::lend(std::move(data)), reply.status, sense, reply.transfer_len)
            .value();
    }

    std::map<std::uint64_t, ic::disk_command> waiting_;
};

iscsicore_initiator_options options() {
    const ic::bytes secret = ic::bytes_of("a secret of length");
    auto made = initiator::options();
    made.user = "user";
    made.secret = secret.data();
    made.secret_len = secret.size();
    return made;
}

/// Both ends, and what lies between.
struct pair {
    void run() {
        for (int turns = 0; turn(); ++turns) {
            CHECK(turns < 10000);
        }
    }

    bool turn() {
        bool busy = with.events() > 0;
        if (with.wants_connection) {
            with.wants_connection = false;
            with.nexus.connected(tick()).value();
            busy = true;
        }
        with.nexus.transmit(tick(), with.tx).value();
        std::array<iscsicore_iovec, 8> room;
        for (auto said = with.tx.slices(room).value(); !said.empty(); said = with.tx.slices(room).value()) {
            const iscsicore_iovec first = said[0];
            server.rx.push(ic::payload::copy(ic::bytes_of(first))).value();
            with.tx.advance(first.iov_len).value();
            busy = true;
        }
        if (!server.over) {
            (void)server.session.receive(tick(), server.rx);
            busy = server.events() > 0 || busy;
            server.session.transmit(tick(), server.tx).value();
            busy = with.take(server.tx) > 0 || busy;
        }
        if (server.closing && server.tx.queued().value() == 0) {
            server.closing = false;
            server.session.lost(tick()).value();
            with.nexus.lost(tick(), ISCSICORE_LOSS_CLOSED).value();
            busy = true;
        }
        return busy;
    }

    ended ask(const ic::command &command) {
        const auto task = with.nexus.submit(tick(), command).value();
        run();
        CHECK(with.ends.count(task) == 1);
        return with.ends[task];
    }

    device server;
    initiator with{options()};
};

void a_disk_is_served_by_hand() {
    pair both;
    both.run();
    CHECK(both.with.up && both.server.session.outstanding().value() == 0);
    CHECK(both.server.unit.blocks().value() == BLOCKS && both.server.unit.block_size().value() == 512);
    const std::uint64_t lun = ic::make_lun(0).value();
    for (const bool keeps : {true, false}) {
        both.server.keeps = keeps;
        std::vector<std::uint8_t> data(300 * 512, keeps ? std::uint8_t{0xaa} : std::uint8_t{0xbb});
        data[1000] = 1;
        CHECK(both.ask(ic::command::write(lun, 1, ic::payload::copy(data), 512).value()).status == 0);
        CHECK(both.ask(ic::command::read(lun, 1, 300, 512).value()).data == data);
        CHECK(std::equal(data.begin(), data.end(), both.server.disk.bytes().begin() + 512));
        const std::vector<std::uint8_t> other(512, 9);
        CHECK(both.ask(ic::command::verify_data(lun, 1, ic::payload::copy(other), 512).value()).status == 2);
    }
    const auto luns = ic::decode_luns(both.ask(ic::command::report_luns(lun).value()).data).value();
    CHECK(luns.size() == 2 && ic::lun_number(luns[1]).value() == 5);
    CHECK(both.ask(ic::command::test_unit_ready(ic::make_lun(3).value()).value()).status == 2);

    const iscsicore_counters *counted = both.server.session.counters().value();
    CHECK(counted->commands >= 8 && counted->bytes_out >= 600 * 512 && counted->digest_errors == 0);
    both.server.unit.resize(BLOCKS / 2).value();
    CHECK(both.server.unit.resize(0).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);
    both.server.unit.tasks_cleared(1, NEXUS).value();
    both.server.unit.tasks_terminated(NEXUS).value();
    both.server.unit.detach(NEXUS).value();
    CHECK(both.server.unit.detach(NEXUS).status() == ISCSICORE_STATUS_UNKNOWN);
}

void functions_and_ends_are_told() {
    pair both;
    both.run();
    const std::uint64_t lun = ic::make_lun(0).value();
    const auto reset =
        both.with.nexus.task_management(tick(), ISCSICORE_TASK_MANAGEMENT_FUNCTION_LOGICAL_UNIT_RESET, lun).value();
    (void)both.with.nexus.send_targets(tick()).value();
    const auto abort = both.server.session.abort_tasks(tick(), ISCSICORE_ABORT_SCOPE_LOGICAL_UNIT, lun).value();
    iscsicore_sense sense{};
    sense.key = 6;
    sense.asc = 0x2a;
    sense.ascq = 9;
    const auto bytes = ic::encode_sense(sense).value();
    CHECK(ic::decode_sense(bytes).value().ascq == 9 && ic::encode_sense(sense, true).value() != bytes);
    both.server.session.notify_sense(lun, bytes).value();
    both.run();
    CHECK(both.with.managed.at(reset) == ISCSICORE_TASK_MANAGEMENT_RESULT_COMPLETE);
    CHECK(both.with.targets == std::vector<std::string>{TARGET} && both.server.aborted == abort);

    both.server.session.handle_timeout(tick()).value();
    CHECK(both.server.session.timeout().value().has_value());
    both.server.session.request_logout(tick(), std::chrono::seconds(3)).value();
    both.with.nexus.logout(tick()).value();
    both.run();
    CHECK(both.with.over && both.server.over && both.server.reason == ISCSICORE_END_REASON_LOGGED_OUT);
}

void logins_are_refused() {
    pair both;
    both.server.refuses = true;
    both.run();
    CHECK(both.with.over && both.server.over && both.server.reason == ISCSICORE_END_REASON_LOGIN_FAILED);
    CHECK(both.server.why.find("not today") != std::string::npos);
    CHECK(both.server.session.terminate(tick()).status() == ISCSICORE_STATUS_WRONG_STATE);
    CHECK(both.server.session.redirect(true, "192.0.2.2").status() == ISCSICORE_STATUS_WRONG_STATE);

    ic::target session = ic::target::create(seed_of(4), tick()).value();
    ic::target other = ic::target::create(seed_of(5), tick()).value();
    CHECK(session.reinstate(tick(), other).status() == ISCSICORE_STATUS_WRONG_STATE);
    CHECK(session.counters().status() == ISCSICORE_STATUS_WRONG_STATE);
}

void sessions_are_terminated() {
    pair both;
    both.run();
    both.server.session.terminate(tick()).value();
    both.run();
    CHECK(both.server.over && both.server.reason == ISCSICORE_END_REASON_TERMINATED && !both.with.up);
}

void commands_outlive_their_unit() {
    ic::unit unit = ic::unit::create(disk_options()).value();
    unit.attach(1, true).value();
    ic::unit other = ic::unit::create(disk_options()).value();
    const std::array<std::uint8_t, 10> read{0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0};
    const auto attribute = ISCSICORE_TASK_ATTRIBUTE_SIMPLE;
    // The first command meets the unit attention of the attachment.
    CHECK(unit.start(1, read, attribute, 512, 0).value().step().value()->kind == ISCSICORE_STEP_KIND_DONE);
    ic::disk_command begun = unit.start(1, read, attribute, 512, 0).value();
    CHECK(begun.step().value()->kind == ISCSICORE_STEP_KIND_IO);
    CHECK(!other.resume_read(begun, ic::payload::lend(std::string(512, 'x'))));
    CHECK(!unit.resume_data(begun, ic::payload::lend(std::string(512, 'x'))));
    CHECK(!unit.resume_extents(begun, ic::span<const iscsicore_extent>()));
    CHECK(!unit.resume(begun, ISCSICORE_IO_DONE));
    const ic::disk_command moved = std::move(begun);
    CHECK(!begun && begun.step().status() == ISCSICORE_STATUS_NULL_POINTER);
    CHECK(moved.step().value()->op->len == 512);
    unit.free();
    CHECK(moved.step().value()->op->offset == 0);
}

}  // namespace

int main() {
    a_disk_is_served_by_hand();
    functions_and_ends_are_told();
    logins_are_refused();
    sessions_are_terminated();
    commands_outlive_their_unit();
}
